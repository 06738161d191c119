// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory of a process whose bytes are somewhere else: every page has a
 * line of its own in one table, and a child gets copies at once.
 *
 * @module
 */

import type { CopyStep } from "../../fault_steps.ts";
import type { Pfn } from "../../../lib/brands.ts";
import { addRun, type FrameList } from "../../../lib/frame_list.ts";
import type { DeviceMapping, File } from "../../files/file.ts";
import { FOLL_WRITE } from "../../interfaces/mm.ts";
import {
  type MmapArgs,
  type ProcessMemory,
  SegmentationFault,
} from "../../interfaces/process_memory.ts";
import type { Task } from "../../interfaces/task.ts";
import {
  EACCES,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOMEM,
  EPERM,
  Errno,
} from "../../../uapi/errno.ts";
import {
  HPAGE_SIZE,
  MADV_FREE,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../uapi/mman.ts";
import { type RemoteFrames, RemoteStore } from "./frames.ts";
import type {
  MemoryObject,
  PrivateMapping,
} from "../../interfaces/memory_object.ts";
import { RemoteObject } from "./object.ts";

/** Where addresses that nobody asks for begin, downwards. */
const TOP = 2 ** 46;

/** What a mapping is of. */
interface MappingParts {
  readonly object: MemoryObject | undefined;
  readonly pageIndex: number;
  readonly device?: DeviceMapping | undefined;
  readonly mayWrite?: boolean;
}

/** One page of the address space. */
interface Mapped {
  prot: number;
  readonly shared: boolean;
  readonly huge: boolean;
  /** What is mapped, a reference for each page; undefined for private anonymous memory. */
  readonly object: MemoryObject | undefined;
  /** The page's index in it. */
  readonly index: number;
  /** The mapping of a device, opened for each page. */
  readonly device: DeviceMapping | undefined;
  /** Whether it may be made writable. */
  readonly mayWrite: boolean;
  /** The process's own page, 0 for none. */
  pfn: number;
  /** What drops that with a page of a file. */
  copies?: PrivateMapping;
}

/** See the module. */
export class RemoteMemory implements ProcessMemory {
  alive = true;
  lockedVm = 0;
  pinnedVm = 0;
  readonly #frames: RemoteFrames;
  readonly #step: CopyStep;
  readonly #store = new RemoteStore();
  readonly #pages = new Map<number, Mapped>();
  #bottom = TOP;

  constructor(frames: RemoteFrames, step: CopyStep) {
    this.#frames = frames;
    this.#step = step;
  }

  mmap(task: Task, args: MmapArgs): number {
    const { flags, prot, offset } = args;
    const file = flags & MAP_ANONYMOUS ? undefined : task.files.lookup(args.fd);
    const own = flags & MAP_HUGETLB ? HPAGE_SIZE : PAGE_SIZE;
    const unit = file?.pageSize ?? own;
    const huge = unit > PAGE_SIZE;
    const length = Math.ceil(args.length / unit) * unit;
    if (!(length > 0) || offset % PAGE_SIZE !== 0) throw EINVAL;
    const shared = (flags & MAP_SHARED) !== 0;
    const readOnly = shared && file?.isWritable === false;
    const writes = readOnly && (prot & PROT_WRITE) !== 0;
    if (writes || file?.isReadable === false) throw EACCES;
    const mapping = this.#mappingOf(file, args, length, unit);
    const { object, pageIndex, device, mayWrite = !readOnly } = mapping;
    const start = this.#place(args, length, unit) / PAGE_SIZE;
    for (let i = 0; i < length / PAGE_SIZE; i++) {
      this.#drop(start + i);
      const index = pageIndex + i;
      const parts = { prot, shared, huge, object, index, device, mayWrite };
      this.#add(start + i, { ...parts, pfn: 0 });
    }
    if (file === undefined) object?.put();
    return start * PAGE_SIZE;
  }

  munmap(addr: number, length: number): void {
    const pages = this.#range(addr, length);
    const end = addr / PAGE_SIZE + pages.length;
    if (this.#isWithin(addr / PAGE_SIZE) || this.#isWithin(end)) throw EINVAL;
    for (const page of pages) this.#drop(page);
  }

  /** Whether a page is a part of a file's huge page other than the first. */
  #isWithin(page: number): boolean {
    const { object, index } = this.#pages.get(page) ?? {};
    return object !== undefined &&
      index! % (object.pageSize / PAGE_SIZE) !== 0;
  }

  mremap(): never {
    throw EINVAL;
  }

  mprotect(addr: number, length: number, prot: number): void {
    for (const page of this.#range(addr, length)) {
      const mapped = this.#pages.get(page);
      if (mapped === undefined) throw ENOMEM;
      if ((prot & PROT_WRITE) !== 0 && !mapped.mayWrite) throw EACCES;
      mapped.prot = prot;
    }
  }

  /** Drops a part of one mapping, or takes it that it may be dropped. */
  madvise(addr: number, length: number, advice: number): void {
    const mapped = this.#pages.get(addr / PAGE_SIZE);
    if (mapped === undefined) throw ENOMEM;
    const { object, huge, index } = mapped;
    if (advice === MADV_FREE && object === undefined && !huge) return;
    if (advice !== MADV_REMOVE || object === undefined) throw EINVAL;
    if (!mapped.shared || !mapped.mayWrite) throw EACCES;
    if (object.writeSealed) throw EPERM;
    object.punch(index * PAGE_SIZE, index * PAGE_SIZE + length);
  }

  peek(address: number, to: Uint8Array): void {
    this.#program(() => this.getUser(to, address));
  }

  poke(address: number, from: Uint8Array): void {
    this.#program(() => this.putUser(address, from));
  }

  fork(): RemoteMemory {
    const child = new RemoteMemory(this.#frames, this.#step);
    child.#bottom = this.#bottom;
    const bytes = new Uint8Array(PAGE_SIZE);
    for (const [page, mapped] of this.#pages) {
      const pfn = mapped.pfn && child.#own(page, mapped.huge);
      child.#add(page, { ...mapped, pfn });
      if (pfn === 0) continue;
      this.#frames.read(mapped.pfn, 0, bytes);
      this.#frames.write(pfn, 0, bytes);
    }
    return child;
  }

  release(): void {
    this.alive = false;
    for (const page of [...this.#pages.keys()]) this.#drop(page);
  }

  pinUserPages(
    uaddr: number,
    npages: number,
    gupFlags: number,
    list: FrameList,
  ): number {
    const access = gupFlags & FOLL_WRITE ? PROT_WRITE : PROT_READ;
    let done = 0;
    try {
      for (; done < npages; done++) {
        const pfn = this.#frame(uaddr + done * PAGE_SIZE, access, true);
        this.#refuseDevice(uaddr + done * PAGE_SIZE);
        this.#frames.pin(pfn);
        addRun(list, Infinity, pfn, 1);
      }
    } catch (error) {
      if (done === 0 || !(error instanceof Errno)) throw error;
    }
    return done;
  }

  userPage(uaddr: number): Pfn {
    this.#refuseDevice(uaddr);
    return this.#frame(uaddr, PROT_READ, false) as Pfn;
  }

  copyFromUser(to: Uint8Array, uaddr: number): void {
    this.#step("user.copyFrom");
    this.getUser(to, uaddr);
  }

  copyToUser(uaddr: number, from: Uint8Array): void {
    this.#step("user.copyTo");
    this.putUser(uaddr, from);
  }

  getUser(to: Uint8Array, uaddr: number): void {
    this.#eachPart(uaddr, to.length, PROT_READ, (pfn, offset, from, end) => {
      this.#frames.read(pfn, offset, to.subarray(from, end));
    });
  }

  putUser(uaddr: number, from: Uint8Array): void {
    this.#eachPart(uaddr, from.length, PROT_WRITE, (pfn, offset, at, end) => {
      this.#frames.write(pfn, offset, from.subarray(at, end));
    });
  }

  isZeroed(uaddr: number, length: number): boolean {
    let zeroed = true;
    this.#eachPart(uaddr, length, PROT_READ, (pfn, offset, from, end) => {
      const bytes = new Uint8Array(end - from);
      this.#frames.read(pfn, offset, bytes);
      zeroed = bytes.every((byte) => byte === 0);
      return zeroed;
    });
    return zeroed;
  }

  clearUser(uaddr: number, length: number): void {
    this.putUser(uaddr, new Uint8Array(length));
  }

  /** What a mapping is of, with a reference for the caller if it is anonymous. */
  #mappingOf(
    file: File | undefined,
    { flags, offset, prot }: MmapArgs,
    length: number,
    unit: number,
  ): MappingParts {
    if (file !== undefined) {
      const shared = (flags & MAP_SHARED) !== 0 && file.isWritable;
      return file.mapping({ offset, length, prot, shared });
    }
    const object = flags & MAP_SHARED
      ? new RemoteObject(this.#frames, length, unit)
      : undefined;
    return { object, pageIndex: 0, device: undefined };
  }

  #place({ addr, flags }: MmapArgs, length: number, unit: number): number {
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
      if (addr % unit !== 0) throw EINVAL;
      const taken = this.#range(addr, length).some((p) => this.#pages.has(p));
      if (taken && flags & MAP_FIXED_NOREPLACE) throw EEXIST;
      return addr;
    }
    this.#bottom = Math.floor((this.#bottom - length) / unit) * unit;
    return this.#bottom;
  }

  /** The pages of a range. Throws EINVAL. */
  #range(addr: number, length: number): number[] {
    if (addr % PAGE_SIZE !== 0) throw EINVAL;
    return Array.from(
      { length: Math.ceil(length / PAGE_SIZE) },
      (_, i) => addr / PAGE_SIZE + i,
    );
  }

  #add(page: number, mapped: Mapped): void {
    this.#pages.set(page, mapped);
    const { object } = mapped;
    if (object !== undefined && !mapped.shared) {
      mapped.copies = { dropPrivate: (...range) => this.#uncopy(page, range) };
      object.privateMappings.add(mapped.copies);
    } else if (object !== undefined && mapped.mayWrite) {
      object.writableMappings++;
    }
    object?.get();
    mapped.device?.open();
  }

  #drop(page: number): void {
    const mapped = this.#pages.get(page);
    if (mapped === undefined) return;
    this.#pages.delete(page);
    const { pfn, object, copies } = mapped;
    if (pfn !== 0) this.#frames.unmap(pfn);
    if (copies !== undefined) object!.privateMappings.delete(copies);
    else if (object !== undefined && mapped.mayWrite) object.writableMappings--;
    object?.put();
    mapped.device?.close();
  }

  /** Drops the process's own page where it stands for one of the file's pages [first, end). */
  #uncopy(page: number, [first, end]: readonly [number, number]): void {
    const mapped = this.#pages.get(page)!;
    if (mapped.pfn === 0 || mapped.index < first || mapped.index >= end) return;
    this.#frames.unmap(mapped.pfn);
    mapped.pfn = 0;
  }

  /** Throws EFAULT for memory of a device. */
  #refuseDevice(address: number): void {
    const page = Math.floor(address / PAGE_SIZE);
    if (this.#pages.get(page)?.device !== undefined) throw EFAULT;
  }

  /** The frame behind an address; a private one that is this process's own if asked. Throws EFAULT. */
  #frame(address: number, access: number, own: boolean): number {
    const page = Math.floor(address / PAGE_SIZE);
    const mapped = this.#pages.get(page);
    if (mapped === undefined || !(mapped.prot & access)) throw EFAULT;
    if (mapped.pfn !== 0) return mapped.pfn;
    const from = mapped.object?.frameAt(mapped.index);
    if (from !== undefined && (mapped.shared || !own)) return from;
    mapped.pfn = this.#own(page, mapped.huge);
    if (from !== undefined) {
      const bytes = new Uint8Array(PAGE_SIZE);
      this.#frames.read(from, 0, bytes);
      this.#frames.write(mapped.pfn, 0, bytes);
    }
    return mapped.pfn;
  }

  #own(page: number, huge: boolean): number {
    return this.#frames.add(this.#store, page, huge);
  }

  /**
   * Calls `visit` with each page of a range: its frame, the offset in it, and
   * what part of the range it is. Ends when it returns false.
   */
  #eachPart(
    uaddr: number,
    length: number,
    access: number,
    visit: (pfn: number, offset: number, from: number, end: number) => unknown,
  ): void {
    for (let done = 0; done < length;) {
      const offset = (uaddr + done) % PAGE_SIZE;
      const end = Math.min(length, done + PAGE_SIZE - offset);
      const pfn = this.#frame(uaddr + done, access, access === PROT_WRITE);
      if (visit(pfn, offset, done, end) === false) return;
      done = end;
    }
  }

  #program(access: () => void): void {
    try {
      access();
    } catch (error) {
      if (!EFAULT.is(error)) throw error;
      throw new SegmentationFault("There is no such memory");
    }
  }
}
