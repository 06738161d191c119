// SPDX-License-Identifier: GPL-2.0-only

/**
 * The numbers of frames, handed out 512 at a time.
 *
 * A block of numbers is for pages that follow each other, so that pages which
 * are contiguous somewhere are contiguous frames, aligned as they are there.
 *
 * @module
 */

import { ENOMEM } from "../../../impl/uapi/errno.ts";
import { grown } from "./grown.ts";

const USED_UP = ENOMEM.because("there is no number left for a page");

/** Blocks by number, from 1 on: frame 0 is none. */
export class Blocks {
  readonly #max: number;
  /** Frames and leaves that use each block; 0 means free. */
  #uses = new Int32Array(64);
  #next = 1;
  /** No block below this one is free. */
  #lowest = 1;

  /** Numbers below `max`. */
  constructor(max: number) {
    this.#max = max;
  }

  /** A block with one use: `wish` if it is free, which is best where the block before it is used by what comes before. Throws ENOMEM. */
  take(wish: number): number {
    const block = this.#isFree(wish) ? wish : this.#any();
    this.#uses[block] = 1;
    return block;
  }

  /** One more use. */
  get(block: number): void {
    this.#uses[block]!++;
  }

  /** One use less; the last one frees it. */
  put(block: number): void {
    if (--this.#uses[block]! === 0) {
      this.#lowest = Math.min(this.#lowest, block);
    }
  }

  #isFree(block: number): boolean {
    return block > 0 && block < this.#next && this.#uses[block] === 0;
  }

  /** The lowest free one: what follows each other when it is freed does so again. */
  #any(): number {
    let block = this.#lowest;
    while (block < this.#next && this.#uses[block] !== 0) block++;
    if (block === this.#max) throw USED_UP;
    this.#uses = grown(this.#uses, block);
    this.#next = Math.max(this.#next, block + 1);
    this.#lowest = block + 1;
    return block;
  }
}
