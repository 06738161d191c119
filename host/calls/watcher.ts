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
  /** The last descriptor of an open file is gone, and the file is about to be released: `ends` if its process did not close it, but ends. */
  closing?(file: File, path: string, ends: boolean): void;
  /** A process is gone: `status` is what wait told, -1 where that is not known. */
  ended?(process: SystemCalls, status: number): void;
}

/** A watcher that passes on to several what any of them wants to know: nobody pays for the rest. */
export function watchers(all: readonly Watcher[]): Watcher {
  const [enter, leave] = [who(all, "enter"), who(all, "leave")];
  const [began, exec] = [who(all, "began"), who(all, "exec")];
  const [closing, ended] = [who(all, "closing"), who(all, "ended")];
  return {
    ...enter.length > 0 &&
      { enter: (call) => enter.forEach((each) => each.enter(call)) },
    ...leave.length > 0 && {
      leave: (call, result) =>
        leave.forEach((each) => each.leave(call, result)),
    },
    ...began.length > 0 && {
      began: (process, parent) =>
        began.forEach((each) => each.began(process, parent)),
    },
    ...exec.length > 0 && {
      exec: (process, path) => exec.forEach((each) => each.exec(process, path)),
    },
    ...closing.length > 0 && {
      closing: (file, path, ends) =>
        closing.forEach((each) => each.closing(file, path, ends)),
    },
    ...ended.length > 0 && {
      ended: (process, status) =>
        ended.forEach((each) => each.ended(process, status)),
    },
  };
}

/** Those who want to be told of something. */
function who<K extends keyof Watcher>(
  all: readonly Watcher[],
  what: K,
): (Watcher & Required<Pick<Watcher, K>>)[] {
  return all.filter((each): each is Watcher & Required<Pick<Watcher, K>> =>
    each[what] !== undefined
  );
}
