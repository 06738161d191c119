// SPDX-License-Identifier: GPL-2.0-only

/**
 * The variants of the format: how fine it is, how far it reaches, and which
 * sizes entries may have.
 *
 * Inside, IOVA and memory are counted in granules, and the size of an entry is
 * its order: log2 of its granules.
 *
 * @module
 */

import { TABLE_ORDER } from "./entry.ts";

/** What a variant is made of. */
export interface AmdV1Options {
  /** Bytes of the smallest entry that an item can be: 2 KiB or 4 KiB. */
  readonly granule: number;
  /** Levels of tables. */
  readonly levels: number;
  /** Bytes of the IOVA space. */
  readonly iovaSize: number;
  /** Bytes of memory that entries can point into. */
  readonly addressSize: number;
  /** The sizes that entries may have, in bytes, smallest first. */
  readonly pageSizes: readonly number[];
  /** What is set in the high word of each entry, beside the rights: `FC` or 0. */
  readonly attributes: number;
}

/** One more than the order of what is aligned to everything. */
const ORDERS = 65;

/** A variant. */
export class AmdV1Format implements AmdV1Options {
  /** Bytes of the smallest entry that an item can be. */
  readonly granule: number;
  /** Levels of tables. */
  readonly levels: number;
  /** Bytes of the IOVA space. */
  readonly iovaSize: number;
  /** Bytes of memory that entries can point into. */
  readonly addressSize: number;
  /** The sizes that entries may have. */
  readonly pageSizes: readonly number[];
  /** What is set in the high word of each entry. */
  readonly attributes: number;
  /** The sizes that entries may have, one bit each. */
  readonly pgsizeBitmap: bigint;
  /** The largest order of an entry that is not above an order. */
  readonly #best: Uint8Array = new Uint8Array(ORDERS);

  /** The variant that is made of `options`. */
  constructor(options: AmdV1Options) {
    this.granule = options.granule;
    this.levels = options.levels;
    this.iovaSize = options.iovaSize;
    this.addressSize = options.addressSize;
    this.pageSizes = options.pageSizes;
    this.attributes = options.attributes;
    this.pgsizeBitmap = options.pageSizes.reduce(
      (bits, size) => bits | BigInt(size),
      0n,
    );
    for (const size of options.pageSizes) {
      const order = Math.log2(size / options.granule);
      this.#best.fill(order, order);
    }
  }

  /** The largest order of an entry that is not above `order`, at least that of the smallest page. */
  orderAtMost(order: number): number {
    return this.#best[order]!;
  }
}

/** The level, counted from 0, of the table that an entry of an order lies in. */
export function levelOf(order: number): number {
  return Math.floor(order / TABLE_ORDER);
}

/** The order of the largest aligned block that begins with a granule; 64 for granule 0. */
export function alignmentOf(granule: number): number {
  const low = granule | 0;
  if (low !== 0) return trailingZeros(low);
  const high = Math.floor(granule / 2 ** 32) | 0;
  return high === 0 ? ORDERS - 1 : 32 + trailingZeros(high);
}

/** The order of the largest block that has no more than `count` granules, which is not 0. */
export function lengthOrder(count: number): number {
  return count < 2 ** 32
    ? 31 - Math.clz32(count)
    : 63 - Math.clz32(Math.floor(count / 2 ** 32));
}

function trailingZeros(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
