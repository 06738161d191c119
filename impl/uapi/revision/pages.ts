// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in how memory is pinned.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** User memory and its pins. */
export class PagesDifferences extends Differences {
  /** `user_va + length` that wraps is EOVERFLOW (S04; iopt_alloc_pages). */
  readonly checksUserVaOverflow: boolean = this.since("6.3");
  /** A length of 0 or above 2^64 - 4097 is refused before `user_va + length` that wraps (iopt_alloc_user_pages). */
  readonly checksLengthFirst: boolean = this.until("6.13");
  /** Pages of one's own whose end is 2^64 cannot be pinned for EOVERFLOW; else for EFAULT (gup.c gup_fast_fallback). */
  readonly pinChecksOverflow: boolean = this.since("6.5");
  /** Huge pages can be forked again, MADV_DOFORK (madvise.c madvise_vma_behavior). */
  readonly hugePagesDoFork: boolean = this.until("6.17");
  /** Memory pinned for reading is pinned as if written, to break copy-on-write (S12; pfn_reader_user_init). */
  readonly readPinsForceWrite: boolean = this.until("6.2");
}
