// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mappings that change their length and their place.
 *
 * @module
 */

import { EFAULT, EINVAL, ENOMEM } from "../../../uapi/errno.ts";
import {
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  TASK_SIZE,
} from "../../../uapi/mman.ts";
import { AddressSpace, MAX_MAP_COUNT } from "./address_space.ts";
import type { Vma } from "./vma.ts";

/** What becomes of a part of a mapping. Addresses and lengths are multiples of a page. */
export interface Remap {
  /** Where it is. */
  readonly from: number;
  /** How long it is. */
  readonly oldLength: number;
  /** How long it shall be. */
  readonly length: number;
  /** Where it shall be, if that is said. */
  readonly to: number | undefined;
  /** The address that the call has for that, whether it says so or not. */
  readonly given: number;
}

/** An address space with mremap. */
export class MovableSpace extends AddressSpace {
  /**
   * Changes the length of a mapping, and its place if need be; returns the
   * place. What spans several mappings can only be cut off. Throws EINVAL,
   * EFAULT, ENOMEM. (Linux: do_mremap, of one mapping.)
   */
  remap(flags: number, wanted: Remap, mapsLow: boolean): number {
    checkParameters(flags, wanted);
    // It may be cut at both ends, and at one of those where it goes.
    if (this.vmas.count + 2 >= MAX_MAP_COUNT - 3) throw ENOMEM;
    const vma = this.vmas.lookup(wanted.from);
    if (vma === undefined) throw EFAULT.because("nothing is mapped there");
    const remap = vma.huge ? inHugePages(vma, wanted) : wanted;
    const { from, oldLength, length, to } = remap;
    if (to !== undefined || length > oldLength) checkNew(vma, remap);
    if (to !== undefined) this.unmap(to, to + length);
    if (length < oldLength) this.unmap(from + length, from + oldLength);
    if (to !== undefined) return this.#move(remap, to);
    if (length <= oldLength || this.#growInPlace(vma, remap)) return from;
    if ((flags & MREMAP_MAYMOVE) === 0) {
      throw ENOMEM.because("there is no room behind it");
    }
    const thpAligned = vma.object === null;
    const options = { granule: vma.granule, thpAligned, mapsLow };
    return this.#move(remap, this.place(0, length, 0, options));
  }

  /** Linux: expand_vma_in_place. */
  #growInPlace(vma: Vma, { from, oldLength, length }: Remap): boolean {
    const { end } = vma;
    if (end !== from + oldLength || from + length > TASK_SIZE) return false;
    if (this.vmas.intersects(end, from + length)) return false;
    this.#insertCopy(vma, end, end, from + length);
    return true;
  }

  /** Linux: move_vma. */
  #move({ from, oldLength, length }: Remap, to: number): number {
    const vma = this.vmas.lookup(from)!;
    const kept = Math.min(oldLength, length);
    this.#insertCopy(vma, from, to, to + length);
    if (!vma.shared) {
      const [first, end] = [from / PAGE_SIZE, (from + kept) / PAGE_SIZE];
      this.privatePages.table.move(first, end, to / PAGE_SIZE);
    }
    for (const old of this.vmas.remove(from, from + kept)) old.close();
    return to;
  }

  /** Maps what `vma` has from `address` on, or what would follow it, at [start, end) too. */
  #insertCopy(vma: Vma, address: number, start: number, end: number): void {
    const copy = vma.clone(this.privatePages);
    copy.pageOffset = vma.objectIndex(address / PAGE_SIZE);
    copy.start = start;
    copy.end = end;
    this.vmas.insert(copy);
  }
}

/** Linux: check_mremap_params. */
function checkParameters(
  flags: number,
  { from, oldLength, length, to }: Remap,
): void {
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) !== 0) throw EINVAL;
  if (from % PAGE_SIZE !== 0 || length === 0 || length > TASK_SIZE) {
    throw EINVAL;
  }
  if (to === undefined) return;
  if (to % PAGE_SIZE !== 0 || to > TASK_SIZE - length) throw EINVAL;
  if ((flags & MREMAP_MAYMOVE) === 0) throw EINVAL;
  if (from < to + length && to < from + oldLength) {
    throw EINVAL.because("the new place overlaps the old one");
  }
}

/** What is meant of a mapping of huge pages. Throws EINVAL. (Linux: align_hugetlb.) */
function inHugePages(
  { granule }: Vma,
  remap: Remap,
): Remap {
  const { from, oldLength, length, given } = remap;
  // Linux looks at it even where nothing is to go there.
  if (from % granule !== 0 || given % granule !== 0) {
    throw EINVAL.because("the place is within a huge page");
  }
  const aligned = {
    ...remap,
    oldLength: Math.ceil(oldLength / granule) * granule,
    length: Math.ceil(length / granule) * granule,
  };
  if (aligned.length > aligned.oldLength) {
    throw EINVAL.because("a mapping of huge pages cannot grow");
  }
  return aligned;
}

/** What is checked of a mapping that grows or moves. Throws EINVAL, EFAULT. (Linux: check_prep_vma.) */
function checkNew(vma: Vma, { from, oldLength, length }: Remap): void {
  if (oldLength === 0 && !vma.shared) {
    throw EINVAL.because("private memory cannot be there twice");
  }
  if (Math.min(oldLength, length) > vma.end - from) {
    throw EFAULT.because("it is longer than the mapping");
  }
  if (length > oldLength && vma.device !== undefined) {
    throw EFAULT.because("such a mapping cannot grow");
  }
}
