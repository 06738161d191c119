// SPDX-License-Identifier: GPL-2.0-only

/**
 * Open files of the model that programs hold.
 *
 * What a program has is one end of a pair of sockets; the supervisor has the
 * other. The inode of the program's end says which file a descriptor is open
 * to, however it came to be: by dup, by fork, in a message. When the last of
 * them is gone, the supervisor's end is hung up.
 *
 * A byte in the program's end makes it ready to be read, as poll sees it.
 *
 * @module
 */

import { ENFILE, type Errno, errnoFromCode } from "../../impl/uapi/errno.ts";
import { POLLIN, POLLOUT, RLIMIT_NOFILE } from "../../impl/uapi/mman.ts";
import type { File } from "../../impl/kernel/files/file.ts";
import {
  AT_EMPTY_PATH,
  EPOLL_CTL_ADD,
  KCMP_EPOLL_TFD,
  O_CLOEXEC,
  STATX,
} from "../sys/structs.ts";
import { type Block, must, type Sys } from "../sys/sys.ts";
import type { Caller } from "./caller.ts";
import { type InodeId, readInode } from "./thread_folder.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
/** Bytes that are sent at a time to fill a socket. */
const PLUG = 256;
const STATX_INO = 0x100;
/** Descriptors of the supervisor that are not for files of programs. */
const RESERVED = 32;

/** One open file that programs hold. */
export interface EmulatedFile {
  /** It. */
  readonly file: File;
  /** By which path it was opened; undefined if by none. */
  readonly path: string | undefined;
  /** What people call it: its path, or what the link of its descriptor says. */
  readonly name: string;
  /** The number of the inode that the program's descriptors have. */
  readonly ino: number;
  /** Who was last seen to have it, and where. */
  readonly holder: { pidfd: number; fd: number };
}

/** The same, with what nobody else needs. */
interface Held extends EmulatedFile {
  /** The supervisor's end. */
  readonly fd: number;
  /** An epoll that has the program's end without holding it: kcmp can tell by it. */
  readonly witness: number;
  /** The number that the program's end had when the epoll got it. */
  readonly witnessed: number;
  /** Whether there is a byte in the program's end. */
  ready: boolean;
  unsubscribe: () => void;
}

/** Who tells of hang-ups. */
export interface HangUps {
  /** From now on `hungUp` is called when the other side of `fd` is gone. */
  watch(fd: number, hungUp: () => void): void;
  /** No longer. */
  unwatch(fd: number): void;
}

/** All of them, by inode. */
export class EmulatedFiles {
  readonly #sys: Sys;
  readonly #hangUps: HangUps;
  readonly #held = new Map<number, Held>();
  readonly #scratch: Block;
  readonly #inode: InodeId = { ino: 0, device: 0 };
  readonly #pid = Deno.pid;
  /** The file system of sockets. */
  #sockets = -1;
  /** Called before a file is released whose last descriptor is gone. */
  onClosing: ((file: EmulatedFile) => void) | undefined;

  /** None yet. */
  constructor(sys: Sys, hangUps: HangUps) {
    this.#sys = sys;
    this.#hangUps = hangUps;
    this.#scratch = sys.alloc(STATX.size);
  }

  /** How many there are. */
  get size(): number {
    return this.#held.size;
  }

  /** All of them. */
  values(): Iterable<EmulatedFile> {
    return this.#held.values();
  }

  /** The one with an inode; undefined if it is none of these. */
  find(inode: InodeId): EmulatedFile | undefined {
    if (inode.device !== this.#sockets) return undefined;
    return this.#held.get(inode.ino);
  }

  /** The one whose socket has an inode of this number. */
  findSocket(ino: number): EmulatedFile | undefined {
    return this.#held.get(ino);
  }

  /** Whether a thread's descriptor is of this file: quicker than to ask what it is of. */
  isOpenAt(emulated: EmulatedFile, tid: number, fd: number): boolean {
    const held = emulated as Held;
    // One that is released has no witness any more, but somebody else its number.
    if (this.#held.get(held.ino) !== held) return false;
    const { view, address } = this.#scratch;
    view.setUint32(0, held.witness, true);
    view.setUint32(4, held.witnessed, true);
    view.setUint32(8, 0, true);
    const { kcmp } = this.#sys.nr;
    const type = KCMP_EPOLL_TFD;
    return this.#sys.call(kcmp, tid, this.#pid, type, fd, address) === 0;
  }

  /** Notes that a process has one, and where. */
  seen(emulated: EmulatedFile, pidfd: number, fd: number): void {
    const { holder } = emulated;
    holder.pidfd = pidfd;
    holder.fd = fd;
  }

  /**
   * Gives a caller a descriptor of a file, whose reference is taken over;
   * returns the number. Throws, with the reference kept, ENFILE if the
   * supervisor has no descriptors left, and what the host says, as EMFILE.
   */
  install(
    file: File,
    caller: Caller,
    path: string | undefined,
    closeOnExec: boolean,
  ): number {
    const [own, theirs] = this.#pair();
    const { ino, device } = this.#inodeOf(theirs);
    this.#sockets = device;
    const witness = this.#witness(theirs);
    // Before the program has it: it may look at once.
    const ready = isReady(file) && this.#put(own);
    if ((file.poll() & POLLOUT) === 0) this.#plug(theirs);
    const fd = caller.addDescriptor(theirs, closeOnExec);
    this.#sys.close(theirs);
    if (fd < 0) {
      this.#sys.close(own);
      this.#sys.close(witness);
      throw errnoOfHost(fd);
    }
    const holder = { pidfd: caller.pidfd, fd };
    const held: Held = {
      file,
      path,
      name: path ?? file.label,
      ino,
      fd: own,
      witness,
      witnessed: theirs,
      ready,
      holder,
      unsubscribe: file.onPollChange(() => this.#showReadiness(held)),
    };
    this.#held.set(ino, held);
    this.#hangUps.watch(own, () => this.#release(held));
    return fd;
  }

  /** Releases all that are left, as if their last descriptors were gone. */
  releaseAll(): void {
    for (const held of [...this.#held.values()]) this.#release(held);
  }

  #release(held: Held): void {
    this.#held.delete(held.ino);
    this.#hangUps.unwatch(held.fd);
    this.#sys.close(held.fd);
    this.#sys.close(held.witness);
    held.unsubscribe();
    this.onClosing?.(held);
    held.file.put();
  }

  #pair(): [own: number, theirs: number] {
    const sys = this.#sys;
    const { address, view } = this.#scratch;
    const type = SOCK_SEQPACKET | O_CLOEXEC;
    const result = sys.call(sys.nr.socketpair, AF_UNIX, type, 0, address);
    const own = view.getInt32(0, true);
    const theirs = view.getInt32(4, true);
    if (result === 0 && theirs < this.#descriptorLimit()) return [own, theirs];
    if (result === 0) {
      sys.close(own);
      sys.close(theirs);
    }
    throw ENFILE.because("the supervisor can open no more files");
  }

  /** Descriptors of the supervisor from here on are for what programs need besides their files. */
  #descriptorLimit(): number {
    const sys = this.#sys;
    const { address, view } = this.#scratch;
    sys.call(sys.nr.prlimit64, 0, RLIMIT_NOFILE, 0, address);
    return Number(view.getBigUint64(0, true)) - RESERVED;
  }

  /** An epoll with a descriptor. */
  #witness(fd: number): number {
    const sys = this.#sys;
    const { nr } = sys;
    const { address, view } = this.#scratch;
    const epoll = sys.call(nr.epoll_create1, O_CLOEXEC);
    view.setUint32(0, 0, true);
    sys.call(nr.epoll_ctl, epoll, EPOLL_CTL_ADD, fd, address);
    return epoll;
  }

  #inodeOf(fd: number): InodeId {
    const sys = this.#sys;
    const { address, view } = this.#scratch;
    const empty = sys.text("");
    const mask = STATX_INO;
    must(
      sys.call(sys.nr.statx, fd, empty, AT_EMPTY_PATH, mask, address),
      "statx",
    );
    readInode(view, this.#inode);
    return this.#inode;
  }

  /** Fills what the program's end has room for, so that it is never ready to be written: nobody reads what is in there. */
  #plug(theirs: number): void {
    const { nr } = this.#sys;
    const { address, view } = this.#scratch;
    // The least that the kernel takes is more than that.
    view.setInt32(0, 0, true);
    this.#sys.call(nr.setsockopt, theirs, SOL_SOCKET, SO_SNDBUF, address, 4);
    while (this.#sys.call(nr.sendto, theirs, address, PLUG, MSG_DONTWAIT) > 0);
  }

  /** Puts the byte in, or takes it out, as the file's poll says. */
  #showReadiness(held: Held): void {
    const ready = isReady(held.file);
    if (ready === held.ready) return;
    held.ready = ready ? this.#put(held.fd) : !this.#take(held);
  }

  /** Puts the byte in by the supervisor's end; true if it is in. */
  #put(fd: number): boolean {
    const { nr } = this.#sys;
    const at = this.#scratch.address;
    return this.#sys.call(nr.sendto, fd, at, 1, MSG_DONTWAIT) === 1;
  }

  /** Takes the byte out, by way of who has the other end; true if it is out. */
  #take({ holder, ino }: Held): boolean {
    const sys = this.#sys;
    const fd = sys.pidfdGetfd(holder.pidfd, holder.fd);
    if (fd < 0) return false;
    try {
      // By now the number may be that of something else.
      if (this.#inodeOf(fd).ino !== ino) return false;
      const at = this.#scratch.address;
      return sys.call(sys.nr.recvfrom, fd, at, 1, MSG_DONTWAIT) === 1;
    } finally {
      sys.close(fd);
    }
  }
}

/** Whether a file can be read now, as poll says. */
function isReady(file: File): boolean {
  return (file.poll() & POLLIN) !== 0;
}

/** What the host answered, as the model's errno. */
function errnoOfHost(result: number): Errno {
  return errnoFromCode(-result) ?? ENFILE;
}
