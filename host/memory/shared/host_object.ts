// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory that several mappings and files share, which is a file of the host: a
 * program's, or one of our own that programs can map.
 *
 * @module
 */

import type { DeviceMapping } from "../../../impl/kernel/files/file.ts";
import type {
  MemoryObject,
  PrivateMapping,
} from "../../../impl/kernel/interfaces/memory_object.ts";
import type { FrameList } from "../../../impl/lib/frame_list.ts";
import { EFAULT, ENOMEM } from "../../../impl/uapi/errno.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  PAGE_SIZE,
} from "../../../impl/uapi/mman.ts";
import { KernelBug } from "../../../impl/kernel/warn.ts";
import type { Copier } from "../spaces/copier.ts";
import type { HostFrames } from "../frames/frames.ts";
import type { OpenFile } from "./open_file.ts";
import { OwnBytes } from "./own_bytes.ts";
import { type FindPlaces, SharedPages } from "./shared_pages.ts";

const BEYOND_END = EFAULT.because("the file ends before an address");
/** Bytes of the model's own memory that are mapped at most: arrays cannot have any length. */
const MOST_MAPPED = 2 ** 30;
const NO_HUGE_PAGE = EFAULT.because("the host has no huge page left");

/** What {@link HostObject} is made of. */
export interface HostObjectParts {
  /** Makes the calls. */
  readonly copier: Copier;
  /** Where its pages get numbers. */
  readonly frames: HostFrames;
  /** Which file it is, as `fileKey`. */
  readonly key: string;
  /** Bytes of its pages: more than PAGE_SIZE where they are huge. */
  readonly pageSize: number;
  /** Whether it is the model's own: memory of a device. */
  readonly own: boolean;
  /** Looks for a process that has it mapped. */
  readonly find: FindPlaces;
  /** Nobody refers to it, and none of its pages has a frame. */
  readonly onIdle: (object: HostObject) => void;
}

/** See the module. */
export class HostObject implements MemoryObject {
  /** Which file it is, as `fileKey`. */
  readonly key: string;
  readonly pageSize: number;
  readonly huge: boolean;
  /** Whether it is the model's own: what programs map of it is a device's, and cannot be pinned. */
  readonly own: boolean;
  readonly privateMappings: Set<PrivateMapping> = new Set();
  writableMappings = 0;
  writeSealed = false;
  /** What programs have mapped of it, if that is memory of a device. */
  device: DeviceMapping | undefined;
  /** References held: one of its own, none of a program's to begin with. */
  refs: number;
  /** Its pages, of which those in use have frames. */
  readonly pages: SharedPages;
  readonly #copier: Copier;
  readonly #frames: HostFrames;
  readonly #onIdle: (object: HostObject) => void;
  #file: OpenFile | undefined;
  /** How long it is, if it is the model's own: nobody else changes that. */
  #ownSize = 0;
  #ownBytes: OwnBytes | undefined;

  /** Of a file that is not open yet. */
  constructor(parts: HostObjectParts) {
    this.key = parts.key;
    this.pageSize = parts.pageSize;
    this.huge = parts.pageSize > PAGE_SIZE;
    this.own = parts.own;
    this.refs = parts.own ? 1 : 0;
    this.#copier = parts.copier;
    this.#frames = parts.frames;
    this.#onIdle = parts.onIdle;
    this.pages = new SharedPages(parts.find, () => this.#idle());
  }

  /** The file, once it could be opened. */
  get file(): OpenFile | undefined {
    return this.#file;
  }

  /** Whether nobody refers to it and none of its pages has a frame. */
  get isIdle(): boolean {
    return this.refs <= 0 && this.pages.live === 0;
  }

  /** Opens it: takes the descriptor over. */
  open(file: OpenFile): void {
    this.#file = file;
    this.pages.view = file.view(this.#copier);
  }

  /** A descriptor of it, for a program to map. */
  get fd(): number {
    if (this.#file === undefined) throw new KernelBug("The file is not open");
    return this.#file.fd;
  }

  /** Nobody needs it: lets the file go. */
  close(): void {
    this.pages.view?.close();
    this.pages.view = undefined;
    this.#ownBytes?.close();
    this.#ownBytes = undefined;
    if (this.#file !== undefined) this.#copier.sys.close(this.#file.fd);
    this.#file = undefined;
  }

  get size(): number {
    return this.own ? this.#ownSize : this.#file?.size ?? Infinity;
  }

  get(): this {
    if (this.refs === 0 && this.own) {
      throw new KernelBug("Cannot get a dropped object");
    }
    this.refs++;
    return this;
  }

  /** The last one of an own object drops the pages; what is pinned of them stays. */
  put(): void {
    if (--this.refs > 0) return;
    if (this.own) this.#frames.release(this.pages, 0, Infinity);
    this.#idle();
  }

  present(index: number): number {
    if (index * PAGE_SIZE >= this.size) throw BEYOND_END;
    return this.pages.frameOf(index);
  }

  /** As Linux has it for a driver: the frame stays as long as the object. Of a program's file, only for now. */
  frameAt(index: number): number {
    if (index * PAGE_SIZE >= this.size) throw BEYOND_END;
    if (!this.own) return this.#frames.peek(this.pages, index, this.huge);
    return this.#frames.hold(this.pages, index, this.huge);
  }

  /** Throws EFAULT where a page cannot be had. */
  pin(index: number, count: number, list: FrameList): number {
    const n = this.available(index, count);
    if (n === 0) throw BEYOND_END;
    return this.#frames.pin(this.pages, index, n, this.huge, list);
  }

  /** How many of `count` pages from `index` on there are, allocated where they are huge. Throws EFAULT where the host has no huge page for the first. */
  available(index: number, count: number): number {
    const { view } = this.pages;
    if (view === undefined) return this.pages.countBehind(index, count);
    const n = Math.min(count, Math.ceil(this.size / PAGE_SIZE) - index);
    if (n <= 0 || !this.huge) return Math.max(0, n);
    if (view.populate(index, n)) return n;
    for (let i = 0; i < n; i++) {
      if (view.populate(index + i, 1)) continue;
      if (i === 0) throw NO_HUGE_PAGE;
      return i;
    }
    return n;
  }

  read(offset: number, to: Uint8Array): number {
    const own = this.#bytesAt(offset + to.length);
    if (own === undefined) return this.#copier.readFile(this.fd, offset, to);
    own.read(offset, to);
    return to.length;
  }

  write(offset: number, from: Uint8Array): number {
    const own = this.#bytesAt(offset + from.length);
    if (own !== undefined) {
      own.write(offset, from);
      return from.length;
    }
    const n = this.#copier.writeFile(this.fd, offset, from);
    if (n === 0 && from.length > 0) throw ENOMEM;
    this.#ownSize = Math.max(this.#ownSize, offset + n);
    return n;
  }

  word(index: number): number {
    const own = this.#bytesAt(4 * index + 4);
    if (own !== undefined) return own.word(index);
    const word = new Int32Array(1);
    this.#copier.readFile(this.fd, 4 * index, new Uint8Array(word.buffer));
    return word[0]!;
  }

  isPinned(): boolean {
    return this.#frames.isPinned(this.pages, 0, Infinity);
  }

  truncate(size: number): void {
    this.letGo(Math.ceil(size / PAGE_SIZE), Infinity);
    const { sys } = this.#copier;
    if (sys.call(sys.nr.ftruncate, this.fd, size) < 0) throw ENOMEM;
    this.#ownSize = size;
  }

  allocate(first: number, end: number): void {
    const { sys } = this.#copier;
    const length = (end - first) * PAGE_SIZE;
    const at = first * PAGE_SIZE;
    const result = sys.call(sys.nr.fallocate, this.fd, 0, at, length);
    if (result < 0) throw ENOMEM;
    this.#ownSize = Math.max(this.#ownSize, at + length);
  }

  punch(from: number, to: number): void {
    this.letGo(Math.ceil(from / PAGE_SIZE), Math.floor(to / PAGE_SIZE));
    const { sys } = this.#copier;
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    sys.call(sys.nr.fallocate, this.fd, mode, from, to - from);
  }

  extend(size: number): void {
    if (size > this.size) this.truncate(size);
  }

  /** The pages [first, end) are about to be dropped from the file: what is pinned of them lives on alone. */
  letGo(first: number, end: number): void {
    if (first < end) this.#frames.keep(this.pages, first, end);
  }

  /** The bytes of the model's own memory up to `end`, which must be there: what is not would be a bus error of ours. */
  #bytesAt(end: number): OwnBytes | undefined {
    if (end > this.#ownSize || this.#ownSize > MOST_MAPPED) return undefined;
    const mapped = this.#ownBytes;
    if (mapped !== undefined && mapped.length >= end) return mapped;
    mapped?.close();
    const { sys } = this.#copier;
    return this.#ownBytes = new OwnBytes(sys, this.fd, this.#ownSize);
  }

  #idle(): void {
    if (this.isIdle) this.#onIdle(this);
  }
}
