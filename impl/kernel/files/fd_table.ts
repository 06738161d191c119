// SPDX-License-Identifier: GPL-2.0-only

/**
 * The descriptors of a process.
 *
 * @module
 */

import { EBADF, EMFILE } from "../../uapi/errno.ts";
import { popLowest, pushHeap } from "../../lib/heap.ts";
import type { Descriptors } from "../interfaces/descriptors.ts";
import type { File } from "./file.ts";

/** The descriptors of a simulated program. */
export class FdTable implements Descriptors {
  readonly #files: (File | undefined)[] = [];
  /** Min-heap of the free descriptors below the highest that was ever open. */
  readonly #free: number[] = [];
  /** Those that exec closes (Linux: close_on_exec). */
  readonly #closeOnExec = new Set<number>();

  get(fd: number): File | undefined {
    return this.#files[fd];
  }

  lookup(fd: number): File {
    const file = this.#files[fd];
    if (file === undefined) throw EBADF;
    return file;
  }

  /** The open descriptors with their files, lowest first. */
  *[Symbol.iterator](): Generator<[fd: number, file: File], void, undefined> {
    for (const [fd, file] of this.#files.entries()) {
      if (file !== undefined) yield [fd, file];
    }
  }

  checkFree(limit: bigint): void {
    this.#nextFree(limit);
  }

  #nextFree(limit: bigint): number {
    const fd = this.#free[0] ?? this.#files.length;
    if (BigInt(fd) >= limit) {
      throw EMFILE.because("the process has as many open files as it may");
    }
    return fd;
  }

  install(file: File, limit: bigint, closeOnExec = false): number {
    const fd = this.#nextFree(limit);
    if (fd < this.#files.length) popLowest(this.#free);
    this.#files[fd] = file;
    if (closeOnExec) this.#closeOnExec.add(fd);
    return fd;
  }

  /**
   * Makes a descriptor one of `file`, whose reference is taken over, and drops
   * what it was of. (Linux: do_dup2.)
   */
  replace(fd: number, file: File, closeOnExec: boolean): void {
    const old = this.#files[fd];
    if (old === undefined) {
      const free = this.#free.splice(0).filter((other) => other !== fd);
      for (let next = this.#files.length; next < fd; next++) free.push(next);
      this.#free.push(...free.sort((a, b) => a - b));
    }
    // What lies between is free, not missing.
    while (this.#files.length < fd) this.#files.push(undefined);
    this.#files[fd] = file;
    this.setCloseOnExec(fd, closeOnExec);
    old?.put();
  }

  answerAndInstall(
    file: File,
    limit: bigint,
    answer: (fd: number) => void,
  ): void {
    answer(this.#nextFree(limit));
    this.install(file, limit, true);
  }

  closesOnExec(fd: number): boolean {
    return this.#closeOnExec.has(fd);
  }

  setCloseOnExec(fd: number, closes: boolean): void {
    this.lookup(fd);
    if (closes) this.#closeOnExec.add(fd);
    else this.#closeOnExec.delete(fd);
  }

  close(fd: number): void {
    const file = this.lookup(fd);
    this.#files[fd] = undefined;
    this.#closeOnExec.delete(fd);
    pushHeap(this.#free, fd);
    file.put();
  }

  closeAll(): void {
    for (let fd = 0; fd < this.#files.length; fd++) {
      if (this.#files[fd] !== undefined) this.close(fd);
    }
  }

  /** Closes what does not outlive the program, lowest descriptor first (Linux: do_close_on_exec). */
  exec(): void {
    for (const fd of [...this.#closeOnExec].sort((a, b) => a - b)) {
      this.close(fd);
    }
  }

  /** A copy with references of its own. */
  fork(): FdTable {
    const copy = new FdTable();
    for (const file of this.#files) copy.#files.push(file?.get());
    for (const fd of this.#free) copy.#free.push(fd);
    for (const fd of this.#closeOnExec) copy.#closeOnExec.add(fd);
    return copy;
  }
}
