// SPDX-License-Identifier: GPL-2.0-only

/**
 * Kills a supervisor while it works, and waits until all it ran is gone: what
 * would stay behind makes this wait for ever, or is named.
 *
 * ```sh
 * deno task host:kills [TIMES] [SEED]
 * ```
 *
 * @module
 */

import { Random } from "../../../selftests/harness/random.ts";
import { AT_FDCWD, SIGKILL } from "../../sys/structs.ts";
import { Sys } from "../../sys/sys.ts";
import { buildProgram } from "../../testing/build.ts";

const COMMAND = new URL("../../command.ts", import.meta.url).pathname;

/** When a supervisor is killed. */
export interface Moment {
  /** Milliseconds that are waited. */
  readonly afterMs: number;
  /** From when on: from its start, or from when it has started something. */
  readonly from: "start" | "program";
}

/** Starts a supervisor for a program, and kills it. Returns how many processes it had. */
export async function killSupervisor(
  sys: Sys,
  program: string,
  way: string,
  { afterMs, from }: Moment,
): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", COMMAND, "--", program, way],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  if (from === "program") {
    while (descendantsOf(sys, child.pid).length < 2) await sleep(5);
  }
  await sleep(afterMs);
  const tree = descendantsOf(sys, child.pid);
  const pidfds = tree.map((pid) => sys.pidfdOpen(pid)).filter((fd) => fd >= 0);
  sys.call(sys.nr.kill, child.pid, SIGKILL);
  await child.status;
  for (const pidfd of pidfds) await gone(sys, pidfd);
  return tree.length;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for the end of a process. */
async function gone(sys: Sys, pidfd: number): Promise<void> {
  const poll = sys.alloc(8);
  poll.view.setInt32(0, pidfd, true);
  poll.view.setInt16(4, 1, true);
  await sys.callLater(sys.nr.ppoll, poll.address, 1, 0, 0, 8);
  sys.close(pidfd);
}

/** All processes below one, without it. */
function descendantsOf(sys: Sys, root: number): number[] {
  const found = [root];
  for (const pid of found) {
    const path = `/proc/${pid}/task/${pid}/children`;
    const text = sys.readFile(AT_FDCWD, path);
    if (typeof text === "number") continue;
    found.push(...text.split(" ").filter((word) => word !== "").map(Number));
  }
  return found.slice(1);
}

/** Kills as often as it is told, at moments that look random, and prints what came of it. */
async function main(times: number, seed: number): Promise<void> {
  const sys = Sys.shared;
  const folder = Deno.makeTempDirSync();
  const source = new URL("behaviour.c", import.meta.url);
  const program = buildProgram(source, folder, "-pthread");
  if (program === undefined) throw new Error("There is no compiler");
  const random = new Random(seed);
  let killed = 0;
  for (let i = 0; i < times; i++) {
    const way = random.below(5) < 4 ? "busy" : "hold";
    const from = random.below(5) < 4 ? "program" : "start";
    const afterMs = random.below(from === "start" ? 400 : 100);
    killed += await killSupervisor(sys, program, way, { afterMs, from });
  }
  const left = new Deno.Command("pgrep", { args: ["-c", "-f", program] })
    .outputSync();
  console.log(
    `${times} supervisors were killed, with ${killed} processes; left behind: ${
      new TextDecoder().decode(left.stdout).trim()
    }`,
  );
  Deno.removeSync(folder, { recursive: true });
}

if (import.meta.main) {
  const [times = "1000", seed = "1"] = Deno.args;
  await main(Number(times), Number(seed));
}
