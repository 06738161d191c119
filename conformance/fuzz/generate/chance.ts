// SPDX-License-Identifier: GPL-2.0-only

/**
 * Choices by chance, all of which one seed decides.
 *
 * @module
 */

import type { Random } from "../../../selftests/harness/random.ts";

/** Things with how often each is taken, in proportion to the others. */
export type Weights<T> = readonly (readonly [weight: number, T])[];

/** Weights that are drawn from often: what they are together is known. */
export class Wheel<T> {
  /** The items, each up to where its part ends. */
  readonly ends: Uint32Array;
  readonly items: readonly T[];
  readonly total: number;

  /** A wheel with parts in proportion to the weights. */
  constructor(weights: Weights<T>) {
    this.items = weights.map(([, item]) => item);
    let total = 0;
    this.ends = Uint32Array.from(weights, ([weight]) => total += weight);
    this.total = total;
  }
}

/** What is chosen by chance. */
export class Chance {
  readonly #random: Random;

  /** Chooses by a stream of random numbers. */
  constructor(random: Random) {
    this.#random = random;
  }

  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number {
    return this.#random.below(bound);
  }

  /** A whole number from `first` to `last`, both inclusive. */
  between(first: number, last: number): number {
    return first + this.#random.below(last - first + 1);
  }

  /** True in so many of a hundred cases. */
  percent(percent: number): boolean {
    return this.#random.below(100) < percent;
  }

  /** One of them; undefined of none. */
  maybe<T>(items: readonly T[]): T | undefined {
    return items[this.#random.below(items.length || 1)];
  }

  /** One of them, of which there is at least one. */
  one<T>(items: readonly [T, ...T[]] | readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }

  /** One of them by its weight. */
  weighted<T>(items: Weights<T>): T {
    let total = 0;
    for (const [weight] of items) total += weight;
    let left = this.#random.below(total);
    for (const [weight, item] of items) {
      if (left < weight) return item;
      left -= weight;
    }
    throw new RangeError("There is nothing to choose from");
  }

  /** Where a wheel stops. */
  spin<T>({ ends, items, total }: Wheel<T>): T {
    const at = this.#random.below(total);
    let low = 0;
    for (let high = ends.length - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (ends[middle]! > at) high = middle;
      else low = middle + 1;
    }
    return items[low]!;
  }

  /** A part of the bits of a mask. */
  bits(bits: readonly (number | bigint)[]): bigint {
    let chosen = 0n;
    for (const bit of bits) if (this.percent(40)) chosen |= BigInt(bit);
    return chosen;
  }

  /** Random bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    return this.#random.bytes(count);
  }
}
