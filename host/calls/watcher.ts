// SPDX-License-Identifier: GPL-2.0-only

/**
 * What can be seen of programs while they run on the model: the log, the
 * transcript, the audit and the drawing are made of it.
 *
 * @module
 */

import type { File } from "../../impl/kernel/files/file.ts";
import type { SystemCalls } from "../../impl/kernel/system_calls.ts";

/** A system call of a program that the model answers. */
export interface WatchedCall {
  /** Who makes it. */
  readonly process: SystemCalls;
  /** The thread that makes it. */
  readonly tid: number;
  /** Its name in Linux, for instance `openat`. */
  readonly name: string;
  /** Its arguments as the program passed them, addresses as numbers. */
  readonly args: readonly number[];
  /** The path that it opens, or that its descriptor is open to; undefined if it has none. */
  readonly path: string | undefined;
}

/** Who watches. Nothing here may call into the model, but for reading. */
export interface Watcher {
  /** A call is about to be answered. */
  enter?(call: WatchedCall): void;
  /** It was answered: `result` is a number that is not negative, or a negative errno. */
  leave?(call: WatchedCall, result: number): void;
  /** A process is known: the first, or a child of `parent`. */
  began?(process: SystemCalls, parent: SystemCalls | undefined): void;
  /** A process runs another program. */
  exec?(process: SystemCalls, path: string): void;
  /** The last descriptor of an open file is gone, and the file is about to be released. */
  closing?(file: File, path: string): void;
  /** A process is gone: `status` is what wait told, -1 where that is not known. */
  ended?(process: SystemCalls, status: number): void;
}

/** A watcher that passes everything on to several. */
export function watchers(all: readonly Watcher[]): Watcher {
  return {
    enter: (call) => all.forEach((each) => each.enter?.(call)),
    leave: (call, result) => all.forEach((each) => each.leave?.(call, result)),
    began: (process, parent) =>
      all.forEach((each) => each.began?.(process, parent)),
    exec: (process, path) => all.forEach((each) => each.exec?.(process, path)),
    closing: (file, path) => all.forEach((each) => each.closing?.(file, path)),
    ended: (process, status) =>
      all.forEach((each) => each.ended?.(process, status)),
  };
}
