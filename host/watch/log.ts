// SPDX-License-Identifier: GPL-2.0-only

/**
 * The log: a line for each call that the model answers, in the style of strace.
 *
 * @module
 */

import { printable } from "../../conformance/lib/printable.ts";
import type { Errno } from "../../impl/uapi/errno.ts";
import type { SystemCalls } from "../../impl/kernel/system_calls.ts";
import type { WatchedCall, Watcher } from "../calls/watcher.ts";
import { CallText } from "./format_call.ts";
import { describeStatus } from "./status.ts";

/**
 * Writes what programs do:
 *
 * ```text
 * [pid 41] openat(AT_FDCWD, "/dev/iommu", O_RDWR) = 3</dev/iommu>
 * [pid 41] ioctl(3</dev/iommu>, IOMMU_IOAS_ALLOC, {flags=0x0} => {out_ioas_id=1}) = 0
 * [pid 41] ioctl(3</dev/iommu>, IOMMU_DESTROY, {id=7}) = -1 ENOENT (there is no object 7)
 * [pid 41] +++ exited with 0 +++
 * ```
 */
export class Log implements Watcher {
  readonly #write: (line: string) => void;
  /** What is not told of processes until they make a call: most never do. */
  readonly #untold = new Map<SystemCalls, string[]>();
  #text: CallText | undefined;
  #warnings = 0;

  /** `write` takes each line with its end. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  enter(call: WatchedCall): void {
    const { process } = call;
    for (const text of this.#untold.get(process) ?? []) {
      this.#line(process, text);
    }
    this.#untold.delete(process);
    this.#text = new CallText(call);
    this.#warnings = call.process.kernel.warnings.list.length;
    // That of an older call would explain this one.
    call.process.kernel.lastErrno = undefined;
  }

  leave(call: WatchedCall, result: number): void {
    const { kernel } = call.process;
    const { lastErrno } = kernel;
    const errno: Errno | undefined = lastErrno?.code === -result
      ? lastErrno
      : undefined;
    const text = this.#text ?? new CallText(call);
    this.#text = undefined;
    this.#line(call.process, text.text(result, errno), call.tid);
    for (const what of kernel.warnings.list.slice(this.#warnings)) {
      this.#line(call.process, `+++ the kernel warns: ${what} +++`, call.tid);
    }
  }

  began(process: SystemCalls, parent: SystemCalls | undefined): void {
    const forked = parent && `+++ forked by ${parent.pid} +++`;
    this.#untold.set(process, forked === undefined ? [] : [forked]);
  }

  exec(process: SystemCalls, path: string): void {
    const text = `+++ runs ${JSON.stringify(path)} +++`;
    if (!this.#untold.has(process)) this.#line(process, text);
    else this.#untold.set(process, [text]);
  }

  closing(_file: unknown, path: string): void {
    this.#put(`+++ ${path} is closed +++`);
  }

  ended(process: SystemCalls, status: number): void {
    if (this.#untold.delete(process)) return;
    this.#line(process, `+++ ${describeStatus(status)} +++`);
  }

  #line({ pid }: SystemCalls, text: string, tid = pid): void {
    const thread = tid === pid ? "" : ` thread ${tid}`;
    this.#put(`[pid ${pid}${thread}] ${text}`);
  }

  #put(text: string): void {
    this.#write(`${printable(text)}\n`);
  }
}
