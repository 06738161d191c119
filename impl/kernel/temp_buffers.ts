// SPDX-License-Identifier: GPL-2.0-only

/**
 * Buffers that live no longer than a call, kept for the next one. Making a
 * typed array costs more than all the rest of mapping one page.
 *
 * @module
 */

import type { FrameList } from "../lib/frame_list.ts";

/** Entries of a buffer that is kept: what Linux's largest default buffer holds. */
const KEPT_ENTRIES = 8192;

/** Lists of frame numbers for temporary use. */
export class TempBuffers {
  readonly #idle: Int32Array[] = [];

  /** A buffer of at least `entries` entries with anything in it. */
  take(entries: number): Int32Array {
    if (entries > KEPT_ENTRIES) return new Int32Array(entries);
    return this.#idle.pop() ?? new Int32Array(KEPT_ENTRIES);
  }

  /** An empty list with room for `runs` runs. */
  takeList(runs: number): FrameList {
    return { pfns: this.take(runs), npfns: this.take(runs), end: 0 };
  }

  /** Gives the buffers of a list back. */
  giveList({ pfns, npfns }: FrameList): void {
    this.give(pfns);
    this.give(npfns);
  }

  /** Gives a buffer back; nobody uses it any more. */
  give(buffer: Int32Array): void {
    if (buffer.length === KEPT_ENTRIES) this.#idle.push(buffer);
  }
}
