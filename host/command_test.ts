// SPDX-License-Identifier: GPL-2.0-only

/** `deno task run`, from the outside. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { noClients } from "./testing/real_programs.ts";
import config from "../deno.json" with { type: "json" };

const ROOT = new URL("../", import.meta.url).pathname;
const CLIENT = `${ROOT}host/testing/programs/small_client.py`;
const NAME = "small_client.py";

/** The command that the task runs, with its permissions. */
const TASK = config.tasks.run.command.split(" ").slice(1);

function command(
  args: readonly string[],
  options: Partial<Deno.CommandOptions> = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [...TASK.slice(0, -1), ROOT + TASK.at(-1), ...args],
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    ...options,
  });
}

async function run(line: string, options: Partial<Deno.CommandOptions> = {}) {
  const args = line.split(" ").map((word) => word === NAME ? CLIENT : word);
  const { code, stdout, stderr } = await command(args, options).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

describe("deno task run", { skip: noClients }, () => {
  it("passes on what the program prints, and its exit status", async () => {
    const { code, out, err } = await run(`python3 ${NAME} open ioas close 5`);
    assertEquals([code, out, err], [5, "ioas 1\n", ""]);
    assertEquals((await run(`python3 ${NAME} abort`)).code, 134);
  });

  it("asks for nothing that the task does not allow", () => {
    assert(!TASK.includes("-A") && !TASK.includes("--allow-all"));
    assert(!TASK.some((word) => word.startsWith("--allow-run")));
  });

  it("runs the program in the folder of who called the task", async () => {
    const env = { NO_COLOR: "1", INIT_CWD: "/usr" };
    const { out } = await run(`python3 ${NAME} cwd`, { cwd: ROOT, env });
    assertEquals(out, "/usr\n");
    const elsewhere = await run(`python3 ${NAME} cwd`, { cwd: "/etc", env });
    assertEquals(elsewhere.out, "/etc\n");
  });

  it("audits: 125 and a list where something was left open", async () => {
    const messy = await run(`--audit python3 ${NAME} open ioas`);
    const left = "run: /dev/iommu was left open with 1 object: IOAS 1.\n";
    assertEquals([messy.code, messy.err], [125, left]);
    const tidy = await run(`--audit python3 ${NAME} open ioas close`);
    assertEquals([tidy.code, tidy.err], [0, ""]);
  });

  it("has the devices that were asked for, one's own too", async () => {
    const own = `${ROOT}examples/checksum_device.ts`;
    const devices = `--device dma --device ${own},at=0000:01:00.0`;
    const places = "/sys/bus/pci/devices/0000:01:00.0/vfio-dev";
    const { code, out, err } = await run(
      `--audit ${devices} ls /dev/vfio/devices ${places}`,
    );
    assertEquals([code, err], [0, ""]);
    assertEquals(out.match(/vfio[01]$/gm), ["vfio0", "vfio1", "vfio1"]);
  });

  it("says what is wrong with a device, and runs nothing", async () => {
    const { code, out, err } = await run("--device nvme,file=/none ls /");
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(err, `run: Cannot make device "nvme,file=/none": `);
    const none = await run("--device ./none.ts ls /");
    assertEquals([none.code, none.out], [2, ""]);
    assertStringIncludes(none.err, `Cannot get a device from "./none.ts": `);
  });

  it("logs to a file what the program does", async () => {
    const file = await Deno.makeTempFile();
    const { err } = await run(`--log=${file} python3 ${NAME} open ioas close`);
    assertEquals(err, "");
    const text = await Deno.readTextFile(file);
    assertMatch(text, /^\[pid \d+\] ioctl\(3<\/dev\/iommu>, IOMMU_IOAS_ALLOC/m);
    assertStringIncludes(text, "+++ exited with 0 +++\n");
    await Deno.remove(file);
  });

  it("sweeps", async () => {
    const { code, out } = await run(`--sweep python3 ${NAME} open ioas`);
    assertEquals(code, 0);
    assertMatch(
      out,
      / object.alloc +IOMMU_IOAS_ALLOC +ENOMEM +exited with 1\n/,
    );
    assertMatch(out, /\n(\d+) runs: .*exited with 1/);
  });

  it("says what it cannot run, and what it does not understand", async () => {
    const none = await run("/none");
    assertEquals([none.code, none.err], [
      127,
      "run: There is no program /none.\n",
    ]);
    assertEquals((await run("/etc/passwd")).code, 126);
    assertEquals((await run("--nonsense x")).code, 2);
    assertEquals((await run("--help")).code, 0);
  });

  it("passes signals on, and draws for SIGUSR1", async () => {
    const args = ["--inspect", "python3", CLIENT, "open", "ioas", "wait"];
    const child = command(args).spawn();
    const out = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    while (!(await out.read()).value?.includes("waiting"));
    const err = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    child.kill("SIGUSR1");
    let drawn = "";
    while (!drawn.includes("user 0") && !drawn.includes("locked\n")) {
      drawn += (await err.read()).value;
    }
    assertMatch(drawn, /context 1 \(process \d+ fd 3\): 1 object/);
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 143);
    await out.cancel();
    await err.cancel();
  });

  it("ends the program when it is killed itself", async () => {
    const child = command(["python3", CLIENT, "open", "wait"]).spawn();
    const out = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    while (!(await out.read()).value?.includes("waiting"));
    child.kill("SIGKILL");
    // The end of its output: nobody has it any more.
    while (!(await out.read()).done);
    await child.status;
    await child.stderr.cancel();
  });
});
