// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertRejects } from "@std/assert";
import { after, describe, it } from "@std/testing/bdd";
import type { Kernel } from "../../impl/kernel.ts";
import { hostKernel } from "../run/start.ts";
import { run, type RunResult } from "../run/run.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import { Sys } from "../sys/sys.ts";
import { buildProgram } from "../testing/build.ts";
import { Supervisor } from "./supervisor.ts";
import { killSupervisor } from "./testing/kills.ts";

const onLinux = Deno.build.os === "linux";
const folder = Deno.makeTempDirSync();
const source = new URL("testing/behaviour.c", import.meta.url);
const built = onLinux ? buildProgram(source, folder, "-pthread") : undefined;
const sys = onLinux ? Sys.shared : undefined!;

/** Runs the program in one of its ways; nothing may be left of it. */
async function behave(
  way: string,
  args: readonly string[] = [],
  kernel: Kernel = hostKernel(),
): Promise<RunResult> {
  const result = await run(built!, [way, ...args], { kernel });
  assertEquals(kernel.audit(), []);
  return result;
}

/** What it prints when all is well. */
async function printed(
  way: string,
  ...args: readonly string[]
): Promise<string> {
  const { code, stdout } = await behave(way, args);
  assertEquals(code, 0, stdout);
  return stdout;
}

describe("A program under supervision", { skip: built === undefined }, () => {
  after(() => Deno.removeSync(folder, { recursive: true }));

  it("shares a file with children of fork, vfork and posix_spawn, and with what it becomes", async () => {
    assertEquals(await printed("children"), "4\n5\n7\n");
  });

  it("has no file after an exec that closes it", async () => {
    const { code, stdout } = await behave("cloexec");
    assertEquals([code, stdout], [1, "-9\n"]);
  });

  it("makes calls in many threads at a time", async () => {
    assertEquals(await printed("threads"), "401\n");
  });

  it("goes on in another thread when its first has ended", async () => {
    await printed("first_thread_ends");
  });

  it("makes no call twice when signals arrive meanwhile", async () => {
    await printed("signals");
  });

  it("meets its limit of descriptors, and can go on", async () => {
    assertEquals(await printed("descriptors", "64"), "EMFILE\n");
  });

  it("has children that die in the middle", async () => {
    assertEquals(await printed("forks", "100"), "1\n");
  });

  it("keeps a file open that is in flight over a socket", async () => {
    await printed("pass");
  });

  it("leaves no process behind, whatever those do", async () => {
    const { code } = await behave("daemons");
    assertEquals(code, 7);
    assertEquals(namesOf("behaviour daemons"), []);
  });

  it("has no io_uring", async () => {
    await printed("uring");
  });

  it("is killed when it is one of 32 bits", {
    skip: Deno.build.arch !== "x86_64",
  }, async () => {
    const { signal } = await behave("call32");
    assertEquals(signal, "SIGKILL");
  });

  it("is told ENFILE when the supervisor has no descriptors left, and can go on", async () => {
    // Its own limit is the same, but it has fewer files open.
    const command = new URL("../command.ts", import.meta.url).pathname;
    const script = 'ulimit -n 150; exec "$@"';
    const deno = [Deno.execPath(), "run", "-A", "--no-check", command, "--"];
    const args = ["-c", script, "sh", ...deno, built!, "descriptors", "0"];
    const { stdout, stderr } = await new Deno.Command("sh", { args }).output();
    const told = new TextDecoder().decode(stdout);
    assertEquals(told, "ENFILE\n", new TextDecoder().decode(stderr));
  });

  it("does not outlive its supervisor, nor does anything else of it", async () => {
    for (const way of ["hold", "busy"]) {
      const moment = { afterMs: 20, from: "program" } as const;
      await killSupervisor(sys, built!, way, moment);
      assertEquals(namesOf(`behaviour ${way}`), []);
    }
  });

  it("can be one of several at a time, and one after the other, on one supervisor", async () => {
    const kernel = hostKernel();
    const supervisor = new Supervisor({ kernel });
    const start = (way: string) =>
      supervisor.start({ program: built!, args: [way] }).ended;
    for (let round = 0; round < 3; round++) {
      const { code } = await start("uring");
      assertEquals(code, 0);
    }
    const ends = await Promise.all(["uring", "pass", "uring"].map(start));
    assertEquals(ends.map(({ code }) => code), [0, 0, 0]);
    supervisor.close();
    assertEquals(kernel.audit(), []);
  });

  it("starts when descriptors of the supervisor are closed right after", async () => {
    for (let round = 0; round < 50; round++) await printed("uring");
  });

  it("ends when it kills its guard, with all that made calls", async () => {
    // Who made no call yet is not known: each of the three has when it has printed.
    const out = `${folder}/held`;
    const script = `: >${out}; ${built} hold >${out} &
      until [ "$(wc -l <${out})" -eq 3 ]; do sleep 0.01; done
      kill -9 $PPID; sleep 9`;
    const kernel = hostKernel();
    const { signal } = await run("sh", ["-c", script], { kernel });
    assertEquals(signal, "SIGKILL");
    assertEquals(kernel.audit(), []);
    assertEquals(namesOf("behaviour hold"), []);
  });

  it("cannot be started under a second supervisor", async () => {
    const command = new URL("../command.ts", import.meta.url).pathname;
    const args = ["run", "-A", "--no-check", command, "--", built!, "uring"];
    const { code, stderr } = await run(Deno.execPath(), args);
    assertEquals([code, stderr.includes("two supervisors")], [126, true]);
  });

  it("is killed when the supervisor fails, which tells why", async () => {
    const kernel = hostKernel();
    kernel.registerDevice("/dev/broken", () => {
      throw new Error("This device is broken");
    });
    const script = `${built} hold & exec 3</dev/broken; sleep 9`;
    await assertRejects(
      () => run("sh", ["-c", script], { kernel }),
      Error,
      "This device is broken",
    );
    assertEquals(namesOf("behaviour hold"), []);
  });

  it("cannot be started if it is none", async () => {
    await assertRejects(() => run("/does/not/exist"));
    await assertRejects(() => run(folder));
  });
});

/** The processes that were started in one way. */
function namesOf(command: string): string[] {
  const listed = sys.openat(AT_FDCWD, "/proc", 0);
  assert(listed >= 0);
  sys.close(listed);
  const found: string[] = [];
  const max = Number(sys.readFile(AT_FDCWD, "/proc/sys/kernel/pid_max"));
  for (let pid = 1; pid < max; pid++) {
    if (sys.call(sys.nr.kill, pid, 0) !== 0) continue;
    const text = sys.readFile(AT_FDCWD, `/proc/${pid}/cmdline`);
    if (typeof text === "number") continue;
    const line = text.replaceAll("\0", " ");
    if (line.startsWith(folder) && line.includes(command)) found.push(line);
  }
  return found;
}
