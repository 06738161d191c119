// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory of a process with its system calls: what their arguments mean, and which errno comes
 * first when several things are wrong.
 *
 * @module
 */

import {
  EACCES,
  EINVAL,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
} from "../../../uapi/errno.ts";
import {
  CAP_SYS_RAWIO,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  PAGE_SIZE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../../uapi/mman.ts";
import type { File, FileMapping } from "../../files/file.ts";
import type {
  MmapArgs,
  MremapArgs,
  ProcessMemory,
} from "../../interfaces/process_memory.ts";
import type { Task } from "../../interfaces/task.ts";
import { hugePageSize } from "../huge_pages.ts";
import { SimulatedObject } from "../pages/memory_object.ts";
import { isKnownAdvice, type Mapping } from "./address_space.ts";
import { MovableSpace } from "./mremap.ts";

/** mmap: the bits that choose between shared and private. */
const MAP_TYPE = 0x0f;
/** mmap: as MAP_SHARED, and unknown flags are an error. */
const MAP_SHARED_VALIDATE = 0x03;
/** mmap: the flags that MAP_SHARED_VALIDATE knows (Linux: LEGACY_MAP_MASK). */
const LEGACY_MAP_MASK = 0x7c07_f9f3;
/** mmap: do not fault in after all. */
const MAP_NONBLOCK = 0x10000;
/** mprotect: all bits; PROT_SEM (8) means nothing on x86. */
const PROT_KNOWN = PROT_READ | PROT_WRITE | PROT_EXEC | 8;

/** The memory of a simulated process. */
export class SimulatedMemory extends MovableSpace implements ProcessMemory {
  /** Maps memory and returns its address (Linux: ksys_mmap_pgoff, do_mmap). Throws an errno. */
  mmap(task: Task, args: MmapArgs): number {
    const { flags } = args;
    checkInt32(args.prot);
    checkInt32(flags);
    const offset = asUnsigned(args.offset);
    if (offset % PAGE_SIZE !== 0) throw EINVAL;
    const file = (flags & MAP_ANONYMOUS) === 0
      ? task.files.lookup(args.fd)
      : undefined;
    const granule = granuleOf(file, flags);
    const length = Math.ceil(asUnsigned(args.length) / granule) * granule;
    if (length === 0) throw EINVAL;
    const shared = (flags & MAP_SHARED) !== 0;
    const address = this.place(asUnsigned(args.addr), length, flags, {
      granule,
      thpAligned: file === undefined && !shared,
      mapsLow: task.capable(CAP_SYS_RAWIO),
    });
    if (file !== undefined) {
      checkFile(file, args, length);
    } else if (
      (flags & MAP_TYPE) !== MAP_SHARED && (flags & MAP_TYPE) !== MAP_PRIVATE
    ) {
      throw EINVAL;
    }
    const mapped = file?.mapping({
      offset,
      length,
      prot: args.prot,
      shared: shared && file.isWritable,
    }, () => this.unmap(address, address + length));
    this.#checkCommit(args, length, granule, file);
    this.#mapAt(address, {
      length,
      prot: args.prot & (PROT_READ | PROT_WRITE | PROT_EXEC),
      shared,
      mayWrite: mapped?.mayWrite ?? (!shared || file?.isWritable !== false),
      granule,
    }, mapped);
    if ((flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE) {
      this.prefault(address, address + length);
    }
    return address;
  }

  /** Unmaps memory (Linux: __vm_munmap). Throws EINVAL, ENOMEM. */
  munmap(addr: number, length: number): void {
    const start = asUnsigned(addr);
    const size = pageAlign(asUnsigned(length));
    if (
      start % PAGE_SIZE !== 0 || start > TASK_SIZE || size === 0 ||
      size > TASK_SIZE - start
    ) {
      throw EINVAL;
    }
    this.unmap(start, start + size);
  }

  /** Changes the length or the place of a mapping; returns the place. Throws EINVAL, EFAULT, ENOMEM. */
  mremap(task: Task, args: MremapArgs): number {
    checkInt32(args.flags);
    const fixed = (args.flags & MREMAP_FIXED) !== 0;
    const given = asUnsigned(args.newAddr);
    const remap = {
      from: asUnsigned(args.addr),
      oldLength: pageAlign(asUnsigned(args.oldLength)),
      length: pageAlign(asUnsigned(args.length)),
      to: fixed ? given : undefined,
      given,
    };
    return this.remap(args.flags, remap, task.capable(CAP_SYS_RAWIO));
  }

  /** Changes protection (Linux: do_mprotect_pkey). Throws EINVAL, ENOMEM, EACCES. */
  mprotect(addr: number, length: number, prot: number): void {
    checkInt32(prot);
    const start = asUnsigned(addr);
    if (start % PAGE_SIZE !== 0) throw EINVAL;
    const end = start + pageAlign(asUnsigned(length));
    if (end === start) return;
    if (end > 2 ** 64) throw ENOMEM;
    if ((prot & ~PROT_KNOWN) !== 0) throw EINVAL;
    this.protect(start, end, prot & PROT_KNOWN);
  }

  /** Gives advice (Linux: do_madvise). Throws EINVAL, EACCES, EAGAIN, ENOMEM, ENODEV, EFAULT, EPERM. */
  madvise(addr: number, length: number, advice: number): void {
    if (!isKnownAdvice(advice)) throw EINVAL;
    const start = asUnsigned(addr);
    if (start % PAGE_SIZE !== 0) throw EINVAL;
    const end = start + pageAlign(asUnsigned(length));
    if (end > 2 ** 64) throw EINVAL;
    if (end > start) this.advise(start, end, advice);
  }

  /** The memory of a child. Throws ENOMEM. */
  fork(): SimulatedMemory {
    const child = new SimulatedMemory(
      this.frames,
      this.differences,
      this.copyStep,
    );
    this.copyTo(child);
    return child;
  }

  /** Refuses what could never be filled (Linux: OVERCOMMIT_GUESS; the huge page pool). Throws ENOMEM. */
  #checkCommit(
    args: MmapArgs,
    length: number,
    granule: number,
    file: File | undefined,
  ): void {
    if ((args.flags & MAP_NORESERVE) !== 0) return;
    const shared = (args.flags & MAP_SHARED) !== 0;
    const charged = granule > PAGE_SIZE ||
      (shared ? file === undefined : (args.prot & PROT_WRITE) !== 0);
    if (charged && length / PAGE_SIZE > this.frames.count) throw ENOMEM;
  }

  /** Maps a part of a file, or anonymous memory. */
  #mapAt(
    address: number,
    options: Omit<Mapping, "object" | "pageOffset">,
    file: FileMapping | undefined,
  ): void {
    const { length, shared, granule, prot } = options;
    if (file !== undefined) {
      const { object, pageIndex: pageOffset, device } = file;
      this.map(address, { ...options, object, pageOffset, device });
      if (granule > PAGE_SIZE && (prot & PROT_WRITE) !== 0) {
        object.extend(pageOffset * PAGE_SIZE + length);
      }
      return;
    }
    const object = shared
      ? new SimulatedObject(this.frames, length, granule)
      : null;
    try {
      this.map(address, { ...options, object, pageOffset: 0 });
    } finally {
      object?.put();
    }
  }
}

/**
 * Bytes of the pages of a mapping. A page of 1 GiB is one for mmap, munmap and
 * mprotect; it is filled by parts of 2 MiB.
 */
function granuleOf(file: File | undefined, flags: number): number {
  const huge = (flags & MAP_HUGETLB) !== 0;
  const ofFile = file?.pageSize ?? PAGE_SIZE;
  if (ofFile > PAGE_SIZE || !huge) return ofFile;
  const size = file === undefined ? hugePageSize(flags) : undefined;
  if (size === undefined) throw EINVAL;
  return size;
}

/** The checks of do_mmap that only a file needs. */
function checkFile(file: File, args: MmapArgs, length: number): void {
  if (asUnsigned(args.offset) + length >= 2 ** 63) throw EOVERFLOW;
  const type = args.flags & MAP_TYPE;
  if (
    type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE
  ) {
    throw EINVAL;
  }
  if (type === MAP_SHARED_VALIDATE && (args.flags & ~LEGACY_MAP_MASK) !== 0) {
    throw EOPNOTSUPP;
  }
  if (
    type !== MAP_PRIVATE && (args.prot & PROT_WRITE) !== 0 &&
    !file.isWritable
  ) {
    throw EACCES;
  }
  if (!file.isReadable) throw EACCES;
}

function pageAlign(length: number): number {
  return Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
}

/** A register as the kernel sees it: negative numbers are huge. Throws EINVAL for no integer. */
function asUnsigned(value: number): number {
  if (!Number.isInteger(value)) throw EINVAL;
  return value < 0 ? value + 2 ** 64 : value;
}

/** Throws EINVAL for what no `int` of C holds. */
function checkInt32(value: number): void {
  if (value !== (value | 0) && value !== value >>> 0) throw EINVAL;
}
