// SPDX-License-Identifier: GPL-2.0-only

/**
 * The files through which a device moves: one that it is read from, one that
 * the other is written to. What goes through them are whole states, each with
 * its length before it, of which the last counts.
 *
 * @module
 */

import { File } from "../../kernel/files/file.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { EINVAL, ENODEV, ENOMEM, ENOMSG, ENOTTY } from "../../uapi/errno.ts";
import { O_RDONLY, O_WRONLY } from "../../uapi/mman.ts";
import {
  VFIO_MIG_GET_PRECOPY_INFO,
  VfioPrecopyInfo,
} from "../../uapi/vfio/migration.ts";
import { load } from "../pci/structs.ts";

/** Bytes of a length. */
const HEADER = 4;
/** Most bytes that are taken of who writes a device. */
const MOST = 2 ** 26;

const ENDED = ENODEV.because("the device is not moved any more");

/** A device as it is read. */
export class SavingFile extends File {
  readonly #save: () => Uint8Array;
  readonly #knowsFlags: () => boolean;
  /** What was not read yet. */
  #pending = new Uint8Array(0);
  /** How much of that there was first. */
  #initial: number;
  /** The state that was added last. */
  #last: Uint8Array | undefined;
  #phase: "running" | "stopped" | "ended" = "running";

  /** Of a device that runs. */
  constructor(save: () => Uint8Array, knowsFlags: () => boolean) {
    super(O_RDONLY);
    this.#save = save;
    this.#knowsFlags = knowsFlags;
    this.#add();
    this.#initial = this.#pending.length;
  }

  override get label(): string {
    return "anon_inode:[vfio-migration]";
  }

  /** The device has stopped: what it is now is the last that is read. */
  stop(): void {
    this.#add();
    this.#phase = "stopped";
  }

  /** Nothing can be read any more. */
  end(): void {
    this.#phase = "ended";
    this.put();
  }

  /** Throws ENOMSG where there is nothing new of a device that runs, ENODEV after the end, EFAULT. */
  override read(task: Task, uaddr: number, count: number): number {
    if (this.#phase === "ended") throw ENDED;
    if (this.#pending.length === 0 && this.#phase === "running") {
      if (!this.#add()) throw ENOMSG.because("the device has not changed");
    }
    const part = this.#pending.subarray(0, count);
    if (part.length > 0) task.mm.copyToUser(uaddr, part);
    this.#pending = this.#pending.subarray(part.length);
    this.#initial = Math.max(0, this.#initial - part.length);
    return part.length;
  }

  /** How much is left while the device runs. Throws ENOTTY, EFAULT, EINVAL, ENODEV. */
  override ioctl(task: Task, cmd: number, arg: number | bigint): number {
    if (cmd !== VFIO_MIG_GET_PRECOPY_INFO) {
      throw ENOTTY.because("the file does not have the ioctl");
    }
    const uaddr = Number(arg);
    const { bytes, cmd: info } = load(task, uaddr, VfioPrecopyInfo);
    if (this.#phase === "ended") throw ENDED;
    if (this.#phase === "stopped") {
      throw EINVAL.because("the device does not run");
    }
    this.#add();
    if (this.#knowsFlags()) info.flags = 0;
    info.initialBytes = BigInt(this.#initial);
    info.dirtyBytes = BigInt(this.#pending.length - this.#initial);
    task.mm.copyToUser(uaddr, bytes);
    return 0;
  }

  /** Adds what the device is, if it is not what it was. Returns whether it was added. */
  #add(): boolean {
    const state = this.#save();
    const last = this.#last;
    if (last?.every((byte, i) => byte === state[i])) return false;
    const left = this.#pending.length;
    const bytes = new Uint8Array(left + HEADER + state.length);
    bytes.set(this.#pending);
    new DataView(bytes.buffer).setUint32(left, state.length, true);
    bytes.set(state, left + HEADER);
    this.#pending = bytes;
    this.#last = state;
    return true;
  }
}

/** A device as it is written. */
export class ResumingFile extends File {
  #bytes = new Uint8Array(0);
  #hasEnded = false;

  /** Nothing was written yet. */
  constructor() {
    super(O_WRONLY);
  }

  override get label(): string {
    return "anon_inode:[vfio-migration]";
  }

  /** Throws ENODEV after the end, ENOMEM for too much, EFAULT. */
  override write(task: Task, uaddr: number, count: number): number {
    if (this.#hasEnded) throw ENDED;
    const had = this.#bytes.length;
    if (had + count > MOST) throw ENOMEM.because("no device is so long");
    const bytes = new Uint8Array(had + count);
    bytes.set(this.#bytes);
    task.mm.copyFromUser(bytes.subarray(had), uaddr);
    this.#bytes = bytes;
    return count;
  }

  /** The state that was written last. Throws EINVAL where there is none, or a part of one. */
  state(): Uint8Array {
    const bytes = this.#bytes;
    const view = new DataView(bytes.buffer);
    let last: Uint8Array | undefined;
    for (let at = 0; at < bytes.length;) {
      const length = at + HEADER <= bytes.length ? view.getUint32(at, true) : 0;
      const end = at + HEADER + length;
      if (end > bytes.length) throw EINVAL.because("a state is incomplete");
      last = bytes.subarray(at + HEADER, end);
      at = end;
    }
    if (last === undefined) throw EINVAL.because("no state was written");
    return last;
  }

  /** Nothing can be written any more. */
  end(): void {
    this.#hasEnded = true;
    this.put();
  }
}
