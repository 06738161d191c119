// SPDX-License-Identifier: GPL-2.0-only

/** Real programs: clients in Python, and shells. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyEngine } from "../../mod.ts";
import { ENODEV, ENOENT, ENOMEM } from "../../impl/uapi/errno.ts";
import { noClients, python } from "../testing/real_programs.ts";
import { CannotRun, hostKernel, run, type RunOptions, start } from "../mod.ts";

const CLIENT = new URL("../testing/programs/small_client.py", import.meta.url)
  .pathname;

const PYTHON = python ?? "";

function client(what: string, options: RunOptions = {}) {
  return run(PYTHON, [CLIENT, ...what.split(" ")], options);
}

describe("run()", { skip: noClients }, () => {
  it("shows a program /dev/iommu, which this host does not have", async () => {
    const { code, stdout } = await client("open ioas destroy close");
    assertEquals([code, stdout], [0, "ioas 1\n"]);
    const outside = await new Deno.Command(PYTHON, { args: [CLIENT, "open"] })
      .output();
    // Or it has one, and this is no control.
    const text = new TextDecoder().decode(outside.stdout);
    assert(text === "" || text === `open ${ENOENT.code}\n`);
  });

  it("tells how a program ended", async () => {
    const { success, code, signal } = await client("7");
    assertEquals([success, code, signal], [false, 7, null]);
    const killed = await client("abort");
    assertEquals([killed.code, killed.signal], [134, "SIGABRT"]);
  });

  it("hands on what it reads, its folder and its environment", async () => {
    const input = "a line\n".repeat(20_000);
    assertEquals((await client("echo", { input })).stdout, input);
    assertEquals((await client("cwd", { cwd: "/usr" })).stdout, "/usr\n");
    const HOME = Deno.env.get("HOME");
    const env = { CLIENT: "yes" };
    assertEquals((await client("env", { env })).stdout, `yes ${HOME}\n`);
    const cleared = await client("env", { env, clearEnv: true });
    assertEquals(cleared.stdout, "yes None\n");
  });

  it("does not wait for a program to read", async () => {
    const input = "x".repeat(1 << 20);
    assertEquals((await client("0", { input })).code, 0);
  });

  it("says what a program left behind, and nothing of what it closed", async () => {
    const { left } = await client("open ioas device map", {
      uid: 1000,
      memlock: 1n << 30n,
    });
    assertEquals(left, [
      "/dev/iommu was left open with 4 objects: IOAS 1, selftest 2, device 3, HWPT 4.",
      "IOVA was mapped in 1 area: 16 pages pinned, charged to user 1000.",
    ]);
    assertEquals((await client("open ioas device map close")).left, []);
    const killed = await client("open ioas abort");
    assertEquals(killed.left, [
      "/dev/iommu was left open with 1 object: IOAS 1.",
    ]);
  });

  it("says the same of a child that its parent waits for", async () => {
    const { left } = await client("open fork ioas");
    assertEquals(left, ["/dev/iommu was left open with 1 object: IOAS 1."]);
  });

  it("runs on a kernel of one's own, and leaves nothing there", async () => {
    const kernel = hostKernel({ revision: "6.12" });
    const { code } = await client("open ioas device map", { kernel });
    assertEquals(code, 0);
    assertEquals(kernel.audit(), []);
    const sees: string[] = [];
    kernel.registerDevice("/dev/iommu", () => {
      sees.push("an open");
      throw ENODEV;
    });
    const { stdout } = await client("open", { kernel });
    assertEquals([stdout, sees], [`open ${ENODEV.code}\n`, ["an open"]]);
  });

  it("shows the devices that are plugged into its kernel", async () => {
    const kernel = hostKernel();
    const { pci } = kernel.addPciDevice(new CopyEngine());
    const paths = ["/dev/vfio/devices", `/sys/bus/pci/devices/${pci.name}`];
    const { stdout, left } = await run("ls", paths, { kernel });
    assertStringIncludes(stdout, "vfio0\n");
    assertStringIncludes(stdout, "iommu_group\n");
    assertEquals(left, []);
  });

  it("runs several programs at the same time, on one kernel", async () => {
    const kernel = hostKernel();
    const all = await Promise.all(
      ["open ioas", "open ioas close 3", "open fork ioas map"]
        .map((what) => client(what, { kernel })),
    );
    assertEquals(all.map(({ code }) => code), [0, 3, 0]);
    assertEquals(kernel.audit(), []);
  });

  it("has the model believe what it is told of the caller", async () => {
    const small = { uid: 1000, memlock: 4096n };
    const { stdout } = await client("open ioas device map", small);
    assertStringIncludes(stdout, `map ${ENOMEM.code}\n`);
    const large = { uid: 1000, memlock: 1n << 30n };
    const enough = await client("open ioas device map", large);
    assertEquals(enough.code, 0);
    assertStringIncludes(enough.left[1]!, "charged to user 1000.");
    // Whom no limit binds.
    const root = await client("open ioas device map", {
      uid: 0,
      memlock: 4096n,
    });
    assertEquals(root.code, 0);
  });

  it("makes each step fail until there are none left", async () => {
    const names = new Set<string>();
    const codes = new Set<number>();
    for (let failNth = 1;; failNth++) {
      const { failed, code, signal } = await client("open ioas", { failNth });
      assertEquals(signal, null);
      if (failed === undefined) break;
      names.add(failed.name);
      codes.add(code);
    }
    for (const name of ["open.name", "iommufd.open", "object.alloc"]) {
      assert(names.has(name), name);
    }
    assertEquals([...codes].sort(), [0, 1]);
  });

  it("counts steps over all processes", async () => {
    const alone = await client("open ioas", { failNth: 6 });
    const child = await client("open fork ioas", { failNth: 6 });
    assertEquals(child.failed, alone.failed);
    assertEquals(alone.failed?.name, "object.alloc");
  });

  it("logs the calls of all processes, with their numbers", async () => {
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);
    await client("open fork ioas destroy destroy", { log });
    const pids = new Set(lines.map((line) => /^\[pid (\d+)\]/.exec(line)?.[1]));
    pids.delete(undefined);
    assertEquals(pids.size, 2);
    const text = lines.join("");
    assertStringIncludes(
      text,
      `"/dev/iommu", O_RDWR|O_CLOEXEC) = 3</dev/iommu>`,
    );
    assertStringIncludes(
      text,
      "IOMMU_IOAS_ALLOC, {flags=0x0} => {out_ioas_id=1}) = 0",
    );
    assertStringIncludes(text, "IOMMU_DESTROY, {id=1}) = 0");
    assertStringIncludes(text, "IOMMU_DESTROY, {id=1}) = -1 ENOENT (");
    assertStringIncludes(text, "+++ exited with 1 +++");
  });

  it("keeps no descriptor of a program that has ended", async () => {
    const script = new URL("../testing/leaks.ts", import.meta.url).pathname;
    const allowed = ["ffi", "read", "write", "env", "sys"].map((name) =>
      `--allow-${name}`
    );
    const what = [PYTHON, CLIENT, "open", "ioas", "device", "map"];
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...allowed, script, ...what],
    }).output();
    const text = new TextDecoder().decode(stdout);
    const [before, after] = text.trim().split("\n").map(Number);
    // Some are the runtime's own.
    assert(after! <= before! + 4, text);
  });
});

describe("start()", { skip: noClients }, () => {
  it("hands over a program while it runs, which can be sent signals", async () => {
    const args = [CLIENT, "open", "ioas", "wait"];
    const program = start(PYTHON, args, { stdout: "piped" });
    const reader = program.stdout.getReader();
    let text = "";
    while (!text.includes("waiting")) {
      text += new TextDecoder().decode((await reader.read()).value);
    }
    assertEquals(program.kernel.iommufd.contexts.size, 1);
    program.kill();
    const { signal, code } = await program.status;
    assertEquals([signal, code], ["SIGTERM", 143]);
    assertEquals((await reader.read()).done, true);
    assertEquals(program.kernel.audit(), []);
    program.kill("SIGKILL");
  });

  it("lets a program handle a signal", async () => {
    const args = [CLIENT, "signal", "wait"];
    const program = start(PYTHON, args, { stdout: "piped" });
    const reader = program.stdout.getReader();
    await reader.read();
    program.kill("SIGTERM");
    assertEquals((await program.status).code, 9);
    await reader.cancel();
  });

  it("has no stream that is not piped", async () => {
    const program = start(PYTHON, [CLIENT, "0"], { stdout: "null" });
    assertThrows(() => program.stdin, TypeError, "stdin is not piped");
    assertThrows(() => program.stdout, TypeError, "stdout is not piped");
    assertThrows(() => program.stderr, TypeError, "stderr is not piped");
    await program.status;
  });

  it("refuses what is no program", async () => {
    const none = assertThrows(() => start("./none"), CannotRun);
    assertEquals(none.code, 127);
    const text = await Deno.makeTempFile();
    await Deno.writeTextFile(text, "no program\n");
    const refused = assertThrows(() => start(text), CannotRun);
    assertEquals(refused.code, 126);
    // Which only the kernel of the host finds out.
    await Deno.chmod(text, 0o755);
    const { status } = start(text);
    const late = await assertRejects(() => status, CannotRun);
    assertEquals(late.code, 126);
    await Deno.remove(text);
  });
});
