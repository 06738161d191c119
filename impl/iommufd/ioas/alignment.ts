// SPDX-License-Identifier: GPL-2.0-only

/**
 * The alignment that an IO page table demands: the largest of what its
 * domains, its accesses and the large-pages option need. Linux:
 * io_pagetable.c, iopt_calculate_iova_alignment.
 *
 * Linux asks all of them again after each change; here it is counted who needs
 * what.
 *
 * @module
 */

import { lowestBit } from "../../lib/u64.ts";
import { EADDRINUSE } from "../../uapi/errno.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/** What the users of an IO page table need IOVA to be a multiple of. */
export class AlignmentNeeds {
  /** The largest that somebody needs, bytes. */
  largest = 1;
  /** How many need which. */
  readonly #users: Map<number, number> = new Map();

  /** One more user needs an alignment. */
  add(alignment: number): void {
    this.#users.set(alignment, (this.#users.get(alignment) ?? 0) + 1);
    this.largest = Math.max(this.largest, alignment);
  }

  /** A user that needed it is gone. */
  remove(alignment: number): void {
    const users = this.#users.get(alignment)! - 1;
    if (users > 0) this.#users.set(alignment, users);
    else this.#users.delete(alignment);
    this.largest = Math.max(1, ...this.#users.keys());
  }
}

/** The smallest page size in a page size bitmap, bytes. */
export function smallestPageSize(pgsizeBitmap: bigint): number {
  return Number(lowestBit(pgsizeBitmap));
}

/** Throws EADDRINUSE unless all areas conform to an alignment that may be needed (Linux: iopt_check_iova_alignment). */
export function checkIovaAlignment(iopt: IoPagetable, alignment: number): void {
  if (alignment <= iopt.iovaAlignment) return;
  const mask = alignment - 1;
  if ((iopt.areaBits & mask) === 0) return;
  // It may be one that is gone.
  iopt.areaBits = 0;
  for (const { alignmentBits } of iopt.areas) iopt.areaBits |= alignmentBits;
  if ((iopt.areaBits & mask) !== 0) {
    throw EADDRINUSE.because("an area is not as aligned as is needed then");
  }
}
