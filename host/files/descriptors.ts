// SPDX-License-Identifier: GPL-2.0-only

/**
 * The descriptors of a real process, as the model sees them: those that are
 * open to a file of the model. They are the host's own, so that dup, fork, exec
 * and close need no help.
 *
 * @module
 */

import { EBADF, EMFILE } from "../../impl/uapi/errno.ts";
import type { File } from "../../impl/kernel/files/file.ts";
import type { Descriptors } from "../../impl/kernel/interfaces/descriptors.ts";
import { KernelBug } from "../../impl/kernel/warn.ts";
import type { Caller } from "./caller.ts";
import type { HostMachine } from "../memory/machine.ts";
import type { Sys } from "../sys/sys.ts";
import type { Eventfds } from "./eventfds.ts";
import { HostFile } from "./host_file.ts";
import type { EmulatedFile, EmulatedFiles } from "./emulated.ts";
import type { InodeId } from "./thread_folder.ts";

/** The descriptors of a process: those of its thread that makes a call. */
export class HostDescriptors implements Descriptors {
  readonly #sys: Sys;
  readonly #machine: HostMachine;
  readonly #files: EmulatedFiles;
  readonly #eventfds: Eventfds;
  #borrowed: HostFile[] = [];
  readonly #inode: InodeId = { ino: 0, device: 0 };
  #caller: Caller | undefined;
  /** By descriptor, what was found there last. */
  readonly #found = new Map<number, EmulatedFile>();
  /** Which was asked for last in this call, and what it is: the model asks again. */
  #lastFd = -1;
  #lastIsOpen = false;
  #last: EmulatedFile | undefined;
  /** By which path the next file is opened that is installed. */
  path: string | undefined;

  /** Among the files that programs hold; others may be eventfds. */
  constructor(
    sys: Sys,
    machine: HostMachine,
    files: EmulatedFiles,
    eventfds: Eventfds,
  ) {
    this.#sys = sys;
    this.#machine = machine;
    this.#files = files;
    this.#eventfds = eventfds;
  }

  /** A call begins. */
  begin(caller: Caller): void {
    this.#caller = caller;
    this.#lastFd = -1;
    this.#lastIsOpen = false;
    this.#last = undefined;
    this.path = undefined;
  }

  /** What a descriptor is open to, if that is the model's. */
  emulated(fd: number): EmulatedFile | undefined {
    if (fd === this.#lastFd) return this.#last;
    const caller = this.#caller;
    if (caller === undefined || fd < 0) return undefined;
    const found = this.#again(caller, fd) ?? this.#find(caller, fd);
    if (found !== undefined) this.#files.seen(found, caller.pidfd, fd);
    this.#lastFd = fd;
    this.#last = found;
    return found;
  }

  /**
   * Whether a descriptor is open to something of the host's, and so certainly is
   * of the thread that is thought to make the call.
   */
  isOfHost(fd: number): boolean {
    return this.emulated(fd) === undefined && this.#lastIsOpen;
  }

  /** What was found at a descriptor before, if it is there still. */
  #again(caller: Caller, fd: number): EmulatedFile | undefined {
    if (!caller.isFirst) return undefined;
    const guess = this.#found.get(fd);
    if (guess === undefined) return undefined;
    return this.#files.isOpenAt(guess, caller.tid, fd) ? guess : undefined;
  }

  #find(caller: Caller, fd: number): EmulatedFile | undefined {
    this.#lastIsOpen = caller.folder.inodeOf(fd, this.#inode) === 0;
    const found = this.#lastIsOpen ? this.#files.find(this.#inode) : undefined;
    if (found === undefined) this.#found.delete(fd);
    else this.#found.set(fd, found);
    return found;
  }

  get(fd: number): File | undefined {
    return this.emulated(fd)?.file ?? this.#borrow(fd);
  }

  /** A call ends: what of the host's was named in it is given back. */
  end(): void {
    if (this.#borrowed.length === 0) return;
    for (const file of this.#borrowed) file.put();
    this.#borrowed = [];
  }

  /** A file of the host that is named in a call. */
  #borrow(fd: number): File | undefined {
    if (this.#caller === undefined || fd < 0) return undefined;
    const own = this.#sys.pidfdGetfd(this.#caller.pidfd, fd);
    if (own < 0) return undefined;
    const file = new HostFile(this.#sys, this.#machine, this.#eventfds, own);
    this.#borrowed.push(file);
    return file;
  }

  lookup(fd: number): File {
    const file = this.get(fd);
    if (file === undefined) throw EBADF;
    return file;
  }

  *[Symbol.iterator](): Generator<[fd: number, file: File], void, undefined> {
    for (const fd of this.#caller?.folder.descriptors() ?? []) {
      const emulated = this.emulated(fd);
      if (emulated !== undefined) yield [fd, emulated.file];
    }
  }

  checkFree(limit: bigint): void {
    const { folder } = this.#asking;
    // Where the host does not count them it says EMFILE later. Some may be above the limit.
    if (
      BigInt(folder.count()) >= limit && BigInt(folder.lowestFree()) >= limit
    ) {
      throw EMFILE.because("the process has as many open files as it may");
    }
  }

  install(file: File, _limit: bigint, closeOnExec = false): number {
    const fd = this.#files
      .install(file, this.#asking, this.path, closeOnExec);
    this.#lastFd = -1;
    return fd;
  }

  answerAndInstall(
    file: File,
    limit: bigint,
    answer: (fd: number) => void,
  ): void {
    this.checkFree(limit);
    const expected = this.#asking.folder.lowestFree();
    answer(expected);
    const fd = this.install(file, limit, true);
    if (fd !== expected) answer(fd);
  }

  /** The host knows that itself. */
  closesOnExec(_fd: number): boolean {
    throw new KernelBug("The host knows which descriptors exec closes");
  }

  /** The host does that itself. */
  setCloseOnExec(_fd: number, _closes: boolean): void {
    throw new KernelBug("The host says which descriptors exec closes");
  }

  /** The host does that itself. */
  close(_fd: number): void {
    throw new KernelBug("The host closes descriptors");
  }

  /** Nothing is left to do: the host closes what a process has at its end. */
  closeAll(): void {}

  get #asking(): Caller {
    if (this.#caller !== undefined) return this.#caller;
    throw new KernelBug("No thread of the process makes a call");
  }
}
