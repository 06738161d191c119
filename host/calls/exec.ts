// SPDX-License-Identifier: GPL-2.0-only

/**
 * exec: the host does it, but the process has other memory afterwards.
 *
 * @module
 */

import { AT_FDCWD, O_CLOEXEC } from "../sys/structs.ts";
import type { Sys } from "../sys/sys.ts";
import type { HostProcess } from "./process.ts";
import { type Answer, type Call, CONTINUE, type NotifiedCall } from "./call.ts";
import { pathAt } from "./path.ts";

/** Whether it comes to pass is seen at the process's next call. */
function exec(call: Call, pathIndex: number): Answer {
  const { process, tid, host: { sys } } = call;
  const path = pathAt(call, call.arg(pathIndex)) ?? "";
  const memory = sys.openat(AT_FDCWD, `/proc/${tid}/mem`, O_CLOEXEC);
  settleExec(sys, process);
  if (memory >= 0) process.execBegins({ path, memory });
  return CONTINUE;
}

/** Finds out what came of an exec; returns the path of the program that runs now instead, if one does. */
export function settleExec(
  sys: Sys,
  process: HostProcess,
): string | undefined {
  const { exec } = process;
  if (exec === undefined) return undefined;
  const hasOther = process.lender === undefined
    ? isGone(sys, exec.memory)
    : !sys.haveSameMemory(process.pid, process.lender.pid);
  sys.close(exec.memory);
  process.execEnded(hasOther);
  return hasOther ? exec.path : undefined;
}

/** Whether nobody has a memory any more: it reads as an empty file then, not as an error. */
function isGone(sys: Sys, memory: number): boolean {
  return sys.call(sys.nr.pread64, memory, sys.text(""), 1, 0) === 0;
}

/** The family. */
export const EXEC_CALLS: readonly NotifiedCall[] = [
  { name: "execve", handle: (call) => exec(call, 0) },
  { name: "execveat", handle: (call) => exec(call, 1) },
];
