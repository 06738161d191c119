// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory to share whose bytes are somewhere else.
 *
 * @module
 */

import type {
  MemoryObject,
  PrivateMapping,
} from "../../interfaces/memory_object.ts";
import { addRun, type FrameList } from "../../../lib/frame_list.ts";
import { EFAULT } from "../../../uapi/errno.ts";
import { PAGE_SIZE } from "../../../uapi/mman.ts";
import { type RemoteFrames, RemoteStore } from "./frames.ts";

/** Pages by index. */
export class RemoteObject implements MemoryObject {
  readonly pageSize: number;
  readonly huge: boolean;
  readonly privateMappings: Set<PrivateMapping> = new Set();
  writableMappings = 0;
  writeSealed = false;
  size: number;
  refs = 1;
  readonly #frames: RemoteFrames;
  readonly #store = new RemoteStore();
  /** Frames by page index. */
  readonly #pfns = new Map<number, number>();

  constructor(
    frames: RemoteFrames,
    size: number,
    pageSize: number = PAGE_SIZE,
  ) {
    this.#frames = frames;
    this.size = size;
    this.pageSize = pageSize;
    this.huge = pageSize > PAGE_SIZE;
  }

  get(): this {
    this.refs++;
    return this;
  }

  put(): void {
    if (--this.refs === 0) this.truncate(0);
  }

  present(index: number): number {
    if (index * PAGE_SIZE >= this.size) throw EFAULT;
    return this.#pfns.get(index) ?? 0;
  }

  frameAt(index: number): number {
    return this.present(index) || this.#add(index);
  }

  pin(index: number, count: number, list: FrameList): number {
    for (let i = 0; i < count; i++) {
      const pfn = this.#pfns.get(index + i);
      const end = (index + i) * PAGE_SIZE >= this.size;
      if (pfn === undefined || end) return i;
      this.#frames.pin(pfn);
      addRun(list, Infinity, pfn, 1);
    }
    return count;
  }

  read(offset: number, to: Uint8Array): number {
    const count = Math.max(0, Math.min(to.length, this.size - offset));
    for (let done = 0; done < count;) {
      const at = (offset + done) % PAGE_SIZE;
      const part = to.subarray(done, Math.min(count, done + PAGE_SIZE - at));
      this.#store.read(Math.floor((offset + done) / PAGE_SIZE), at, part);
      done += part.length;
    }
    return count;
  }

  write(offset: number, from: Uint8Array): number {
    this.extend(offset + from.length);
    for (let done = 0; done < from.length;) {
      const at = (offset + done) % PAGE_SIZE;
      const part = from.subarray(done, done + PAGE_SIZE - at);
      this.#store.write(Math.floor((offset + done) / PAGE_SIZE), at, part);
      done += part.length;
    }
    return from.length;
  }

  word(index: number): number {
    const word = new Int32Array(1);
    this.read(4 * index, new Uint8Array(word.buffer));
    return word[0]!;
  }

  isPinned(): boolean {
    return [...this.#pfns.values()].some((pfn) => this.#frames.pins(pfn) > 0);
  }

  truncate(size: number): void {
    this.size = size;
    this.#dropPrivate(Math.ceil(size / PAGE_SIZE), Infinity);
    this.#drop((index) => index * PAGE_SIZE >= size);
    this.#store.zero(size, Infinity);
  }

  allocate(first: number, end: number): void {
    for (let index = first; index < end; index++) {
      if (!this.#pfns.has(index)) this.#add(index);
    }
  }

  punch(from: number, to: number): void {
    const unit = this.pageSize / PAGE_SIZE;
    const first = Math.ceil(from / PAGE_SIZE / unit) * unit;
    const end = Math.floor(to / PAGE_SIZE / unit) * unit;
    if (this.huge) this.#dropPrivate(first, end);
    this.#drop((index) => index >= first && index < end);
    this.#store.zero(from, to);
  }

  extend(size: number): void {
    this.size = Math.max(this.size, size);
  }

  #dropPrivate(first: number, end: number): void {
    for (const mapping of this.privateMappings) mapping.dropPrivate(first, end);
  }

  /** Takes pages out; those that are pinned keep their bytes for that. */
  #drop(isMeant: (index: number) => boolean): void {
    for (const [index, pfn] of this.#pfns) {
      if (!isMeant(index)) continue;
      this.#pfns.delete(index);
      this.#frames.unmap(pfn);
    }
  }

  #add(index: number): number {
    const pfn = this.#frames.add(this.#store, index, this.huge);
    this.#pfns.set(index, pfn);
    return pfn;
  }
}
