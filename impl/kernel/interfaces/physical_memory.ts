// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine's memory as the rest of the kernel, iommufd and drivers see it.
 *
 * A frame is a dense small integer, its number. How its pins are counted and
 * where its bytes are is the implementation's own: they are copied in and out,
 * so that they may be anywhere, such as in another process.
 *
 * @module
 */

import type { Pfn } from "../../lib/brands.ts";

/** Runs of contiguous frames: `npfns[i]` of them from frame `pfns[i]` on. */
export interface FrameRuns {
  /** First frame of each run. */
  readonly pfns: Int32Array;
  /** Frames in each run. */
  readonly npfns: Int32Array;
}

/** All frames of one machine. `Mm.pinUserPages` pins them; here pins are given back. */
export interface PhysicalMemory {
  /** Frames that there can be: their numbers are below this. */
  readonly count: number;
  /** Frames in use. */
  readonly used: number;

  /** How often a frame is pinned. */
  pins(pfn: Pfn): number;
  /** Frames that are pinned. */
  countPinned(): number;
  /** Whether a frame is part of a huge page (Linux: PageCompound). */
  isCompound(pfn: Pfn): boolean;

  /** Unpins the frames `pfns[at]` and following, `npages` of them (Linux: unpin_user_pages). */
  unpin(pfns: Int32Array, at: number, npages: number): void;
  /** Unpins `npages` frames from `pfn` on (Linux: unpin_user_page_range_dirty_lock). */
  unpinRange(pfn: Pfn, npages: number): void;
  /** Unpins the runs `from` up to `to`, exclusive. */
  unpinRuns(runs: FrameRuns, from: number, to: number): void;

  /** Fills `to` from byte `offset` of a frame on. It may reach into the frames that follow by number. */
  read(pfn: Pfn, offset: number, to: Uint8Array): void;
  /** Writes `from` at byte `offset` of a frame. It may reach into the frames that follow by number. */
  write(pfn: Pfn, offset: number, from: Uint8Array): void;
  /**
   * Sets the bits `first` to `last`, inclusive, counted from the lowest bit of
   * a frame's first byte; the others stay as they are (Linux: bitmap_set).
   */
  setBits(pfn: Pfn, first: number, last: number): void;
}
