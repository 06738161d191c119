// SPDX-License-Identifier: GPL-2.0-only

/**
 * The address space of a process: the system calls that change what is mapped.
 *
 * @module
 */

import {
  asErrno,
  EACCES,
  EAGAIN,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOMEM,
  EPERM,
} from "../../../uapi/errno.ts";
import {
  HPAGE_SIZE,
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_NORMAL,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../../uapi/mman.ts";
import type { MemoryObject } from "../../interfaces/memory_object.ts";
import { UserPages } from "./user_pages.ts";
import { Vma, type VmaOptions } from "./vma.ts";

/** Where mappings start from, downwards: Linux's place without randomisation and with a stack limit of 8 MiB. */
export const MMAP_BASE: number = 0x7fff_f7ff_f000;
/** Where the search goes on, upwards, when nothing is free below {@link MMAP_BASE} (Linux: TASK_UNMAPPED_BASE). */
const TASK_UNMAPPED_BASE = Math.floor(TASK_SIZE / 3 / PAGE_SIZE) * PAGE_SIZE;
/** Lowest address that an unprivileged process may map (Linux: vm.mmap_min_addr). */
export const MMAP_MIN_ADDR: number = 65536;
/** Mappings that a process may have, and no more by cutting one (Linux: vm.max_map_count). */
export const MAX_MAP_COUNT = 65530;

/** madvise: how memory will be read. It changes nothing but the mapping. */
const READINGS = new Set([MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL]);
/** madvise: accepted without an effect: hints about paging, huge pages and core dumps. */
const MADV_HINTS = new Set([3, 14, 15, 16, 17]);
/** What is to be mapped, after the arguments of mmap were understood. */
export interface Mapping
  extends Omit<VmaOptions, "start" | "end" | "privatePages"> {
  /** Bytes, a multiple of `granule`. */
  readonly length: number;
  /** What is behind it; null for private anonymous memory. A reference is taken. */
  readonly object: MemoryObject | null;
}

/** The simulated memory of one process (Linux: struct mm_struct). */
export class AddressSpace extends UserPages {
  /**
   * The address that a mapping gets (Linux: __get_unmapped_area). Throws
   * ENOMEM if there is no room or there are too many mappings, EINVAL for an
   * unaligned fixed address, EPERM for one below 64 KiB without `mapsLow`,
   * EEXIST.
   */
  place(
    address: number,
    length: number,
    flags: number,
    options: { granule: number; thpAligned: boolean; mapsLow: boolean },
  ): number {
    const { granule } = options;
    if (this.vmas.count > MAX_MAP_COUNT) throw ENOMEM;
    if (length > TASK_SIZE) throw ENOMEM;
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) === 0) {
      return this.#hinted(address, length, granule) ??
        this.#search(length, granule, options.thpAligned && address === 0);
    }
    if (address > TASK_SIZE - length) throw ENOMEM;
    if (address % granule !== 0) throw EINVAL;
    if (address < MMAP_MIN_ADDR && !options.mapsLow) throw EPERM;
    if (
      (flags & MAP_FIXED_NOREPLACE) !== 0 &&
      this.vmas.intersects(address, address + length)
    ) {
      throw EEXIST;
    }
    return address;
  }

  /** Maps at `address`, in place of what is there. Throws as {@link unmap}. */
  map(address: number, mapping: Mapping): void {
    const end = address + mapping.length;
    this.unmap(address, end);
    mapping.object?.get();
    this.vmas.insert(
      new Vma({
        ...mapping,
        start: address,
        end,
        privatePages: this.privatePages,
      }),
    );
  }

  /**
   * Unmaps [start, end). Throws ENOMEM if that would make two of one mapping
   * and there are too many, EINVAL if it would cut a huge page. (Linux:
   * do_vmi_munmap.)
   */
  unmap(start: number, end: number): void {
    const vma = this.vmas.lookup(start);
    const divides = vma !== undefined && vma.start < start && end < vma.end;
    if (divides && this.vmas.count >= MAX_MAP_COUNT) throw ENOMEM;
    this.#checkCuts(start, end);
    for (const vma of this.vmas.remove(start, end)) {
      if (!vma.shared) {
        this.privatePages.zap(vma.start / PAGE_SIZE, vma.end / PAGE_SIZE);
      }
      vma.close();
    }
  }

  /**
   * Changes the protection of [start, end). At a hole, a mapping that may not
   * be writable, or one that cannot be cut it stops with ENOMEM, EACCES or
   * what {@link #modify} throws, what lies before changed. (Linux:
   * do_mprotect_pkey.)
   */
  protect(start: number, end: number, prot: number): void {
    let next = start;
    for (const vma of this.vmas.overlapping(start, end)) {
      if (vma.start > next) throw ENOMEM;
      if ((prot & PROT_WRITE) !== 0 && !vma.mayWrite) throw EACCES;
      const to = Math.min(vma.end, end);
      this.#modify(vma, next, to, "prot", prot);
      next = to;
    }
    if (next < end) throw ENOMEM;
  }

  /**
   * Advice about [start, end), one that {@link isKnownAdvice} knows. A hole is
   * ENOMEM at the end; populating stops there. Throws EINVAL if it would cut a
   * huge page or populate what may not be accessed, EAGAIN for one mapping too
   * many, EFAULT or ENOMEM if populating fails; EINVAL, EACCES, EPERM or
   * ENODEV where there is nothing to free or to remove. (Linux: do_madvise.)
   */
  advise(start: number, end: number, advice: number): void {
    if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE) {
      const writes = advice === MADV_POPULATE_WRITE;
      return this.#populateAll(start, end, writes ? PROT_WRITE : PROT_READ);
    }
    let next = start;
    let holes = false;
    for (const vma of this.vmas.overlapping(start, end)) {
      holes ||= vma.start > next;
      next = vma.end;
      const from = Math.max(start, vma.start);
      this.#adviseOne(vma, from, Math.min(end, vma.end), advice);
    }
    if (holes || next < end) throw ENOMEM;
  }

  /** Faults in what can be of [start, end), for writing where that is private and writable (Linux: mm_populate). */
  prefault(start: number, end: number): void {
    for (const vma of this.vmas.overlapping(start, end)) {
      const writes = !vma.shared && (vma.prot & PROT_WRITE) !== 0;
      try {
        this.populate(
          Math.max(start, vma.start) / PAGE_SIZE,
          Math.min(end, vma.end) / PAGE_SIZE,
          writes ? PROT_WRITE : PROT_READ,
        );
      } catch (error) {
        asErrno(error);
        return;
      }
    }
  }

  /** Gives a child with no memory yet a copy of it. Throws ENOMEM, the child empty again. (Linux: dup_mmap.) */
  protected copyTo(child: AddressSpace): void {
    try {
      for (const vma of this.vmas) {
        if (vma.dontFork) continue;
        child.vmas.insert(vma.clone(child.privatePages));
        if (!vma.shared) this.privatePages.forkTo(child.privatePages, vma);
      }
    } catch (error) {
      child.release();
      throw error;
    }
  }

  /** The address that was asked for, if it is free. */
  #hinted(
    address: number,
    length: number,
    granule: number,
  ): number | undefined {
    if (!(address > 0) || address > TASK_SIZE - length) return undefined;
    const page = Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
    if (page === 0) return undefined;
    const least = Math.max(page, MMAP_MIN_ADDR);
    const hint = Math.ceil(least / granule) * granule;
    const end = hint + length;
    return end > TASK_SIZE || this.vmas.intersects(hint, end)
      ? undefined
      : hint;
  }

  /** A free place, from the top down. Throws ENOMEM. */
  #search(length: number, granule: number, thpAligned: boolean): number {
    const size = Math.max(granule, HPAGE_SIZE);
    if (thpAligned && length % size === 0) {
      const aligned = this.#searchAligned(length, size, size);
      if (aligned !== undefined) return aligned;
    }
    const padding = granule - PAGE_SIZE;
    const place = this.#searchAligned(length, granule, padding);
    if (place === undefined) throw ENOMEM;
    return place;
  }

  #searchAligned(
    length: number,
    alignment: number,
    padding: number,
  ): number | undefined {
    const { vmas } = this;
    return vmas.findTopDown(
      length,
      MMAP_MIN_ADDR,
      MMAP_BASE,
      alignment,
      padding,
    ) ??
      vmas.findBottomUp(
        length,
        TASK_UNMAPPED_BASE,
        TASK_SIZE,
        alignment,
        padding,
      );
  }

  /** Advice about a part of a mapping. Throws EINVAL, EACCES, EPERM, ENODEV, EAGAIN. (Linux: madvise_vma_behavior.) */
  #adviseOne(vma: Vma, start: number, end: number, advice: number): void {
    if (advice === MADV_DONTNEED) return this.#dontNeed(vma, start, end);
    if (advice === MADV_REMOVE) return this.#remove(vma, start, end);
    // Memory never gets so short that what is free is dropped.
    if (advice === MADV_FREE && (vma.huge || vma.object !== null)) throw EINVAL;
    const doesFork = vma.device === undefined &&
      (!vma.huge || this.differences.hugePagesDoFork);
    if (advice === MADV_DOFORK && !doesFork) throw EINVAL;
    try {
      if (READINGS.has(advice)) {
        this.#modify(vma, start, end, "reading", advice);
      } else if (advice === MADV_DONTFORK || advice === MADV_DOFORK) {
        this.#modify(vma, start, end, "dontFork", advice === MADV_DONTFORK);
      }
    } catch (error) {
      throw ENOMEM.is(error) ? EAGAIN : error;
    }
  }

  /** Linux: madvise_dontneed_free. */
  #dontNeed(vma: Vma, start: number, end: number): void {
    // The end of a huge page mapping may be anywhere: it is rounded down.
    if (start % vma.granule !== 0 || vma.device !== undefined) throw EINVAL;
    if (vma.shared) return;
    const to = Math.floor(end / vma.granule) * vma.granule;
    this.privatePages.zap(start / PAGE_SIZE, to / PAGE_SIZE);
  }

  /** Linux: madvise_remove. */
  #remove(vma: Vma, start: number, end: number): void {
    const { object } = vma;
    if (object === null) throw EINVAL;
    if (!vma.shared || !vma.mayWrite) throw EACCES;
    if (vma.device !== undefined) throw ENODEV;
    if (object.writeSealed) throw EPERM;
    const offset = vma.objectIndex(0) * PAGE_SIZE;
    object.punch(start + offset, end + offset);
  }

  /** Linux: madvise_populate. */
  #populateAll(start: number, end: number, access: number): void {
    let next = start;
    for (const vma of this.vmas.overlapping(start, end)) {
      if (vma.start > next) throw ENOMEM;
      if (vma.device !== undefined || (vma.prot & access) === 0) throw EINVAL;
      const to = Math.min(end, vma.end);
      this.populate(next / PAGE_SIZE, to / PAGE_SIZE, access);
      next = to;
    }
    if (next < end) throw ENOMEM;
  }

  /**
   * Gives a part of a mapping another property. Throws EINVAL if that would
   * cut a huge page, ENOMEM for one mapping too many. (Linux: vma_modify.)
   */
  #modify<K extends "prot" | "dontFork" | "reading">(
    vma: Vma,
    start: number,
    end: number,
    key: K,
    value: Vma[K],
  ): void {
    const { [key]: old } = vma;
    if (old === value) return;
    this.#checkCuts(start, end);
    const { count } = this.vmas;
    this.vmas.change(start, end, (part) => part[key] = value);
    if (this.vmas.count > Math.max(count, MAX_MAP_COUNT)) {
      this.vmas.change(start, end, (part) => part[key] = old);
      throw ENOMEM;
    }
  }

  /** Throws EINVAL if a border at `start` or `end` would cut a huge page. */
  #checkCuts(start: number, end: number): void {
    for (const border of [start, end]) {
      const vma = this.vmas.lookup(border);
      if (vma !== undefined && border % vma.granule !== 0) throw EINVAL;
    }
  }
}

/** True for advice that madvise knows. */
export function isKnownAdvice(advice: number): boolean {
  return MADV_HINTS.has(advice) || READINGS.has(advice) ||
    advice === MADV_DONTNEED || advice === MADV_FREE ||
    advice === MADV_REMOVE ||
    advice === MADV_DONTFORK || advice === MADV_DOFORK ||
    advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE;
}
