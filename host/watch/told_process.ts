// SPDX-License-Identifier: GPL-2.0-only

/**
 * A process as a transcript tells of it.
 *
 * @module
 */

import type { File } from "../../impl/kernel/files/file.ts";
import type { SystemCalls } from "../../impl/kernel/system_calls.ts";
import type { Call } from "../../selftests/target/verbs.ts";

/** The lowest descriptor of a fresh process. */
const FIRST_FD = 3;

/** A call, and what it returns. */
export interface Told {
  /** The call. */
  readonly call: Call;
  /** Its result. */
  readonly result: number;
}

/** What a descriptor of a transcript is open to. */
interface Open {
  readonly fd: number;
  /** Whether exec closes it. */
  readonly closes: boolean;
}

/** Its number, its memory and its descriptors: those that the transcript tells of. */
export class ToldProcess {
  /** Its number in the transcript. */
  readonly number: number;
  /** Numbers of the pages that are mapped. */
  readonly pages: Set<number>;
  readonly #files: Map<File, Open>;

  /** An empty one, or a copy of its parent. */
  constructor(number: number, parent: ToldProcess | undefined) {
    this.number = number;
    this.pages = new Set(parent?.pages);
    this.#files = new Map(parent?.files);
  }

  /** Its open files. */
  get files(): ReadonlyMap<File, Open> {
    return this.#files;
  }

  /** Whether nothing was told of it. */
  get isEmpty(): boolean {
    return this.pages.size === 0 && this.#files.size === 0;
  }

  /** The descriptor of a file; undefined if it was not told that it is open. */
  fdOf(file: File | undefined): number | undefined {
    return file && this.#files.get(file)?.fd;
  }

  /** What turns a descriptor of a real process into the one that is told. */
  toldBy(process: SystemCalls): (fd: number) => number | undefined {
    return (fd) => this.fdOf(process.files.get(fd));
  }

  /** The number of what a real process got as descriptor `fd`: the lowest that is free. */
  add(process: SystemCalls, fd: number, closes: boolean): number {
    const file = process.files.get(fd);
    const taken = new Set([...this.#files.values()].map(({ fd }) => fd));
    let free = FIRST_FD;
    while (taken.has(free)) free++;
    if (file !== undefined) this.#files.set(file, { fd: free, closes });
    return free;
  }

  /** Forgets a file; its descriptor if there was one. */
  forget(file: File): number | undefined {
    const fd = this.fdOf(file);
    this.#files.delete(file);
    return fd;
  }

  /** Forgets what exec takes away. */
  exec(): void {
    this.pages.clear();
    for (const [file, { closes }] of this.#files) {
      if (closes) this.#files.delete(file);
    }
  }

  /** Forgets everything: it is gone. */
  forgetAll(): void {
    this.pages.clear();
    this.#files.clear();
  }
}
