// SPDX-License-Identifier: GPL-2.0-only

/**
 * How many nodes Linux's xarray has for given entries. Nothing here is stored
 * in nodes of that shape; but each of them is an allocation there, at which
 * fault injection can strike.
 *
 * @module
 */

import type { SparseUint32Array } from "./sparse_array.ts";

/** Entries of a node (Linux: XA_CHUNK_SIZE). */
const NODE_SIZE = 64;

/** The nodes of one xarray: they change as entries are added. */
export class XarrayNodes {
  /** Numbers of the lowest nodes: node n has the indexes from 64 n on. */
  readonly #leaves = new Set<number>();
  readonly #rootHoldsEntry: boolean;
  #hasZero = false;

  /**
   * An xarray without entries. An entry at index 0 alone needs no node, unless
   * it is only reserved at first: then `rootHoldsEntry` is false.
   */
  constructor(options: { readonly rootHoldsEntry: boolean }) {
    this.#rootHoldsEntry = options.rootHoldsEntry;
  }

  /** The nodes of an xarray that has entries at `indexes`, each of which was reserved first if not `rootHoldsEntry`. */
  static of(
    indexes: Iterable<number>,
    options = { rootHoldsEntry: true },
  ): XarrayNodes {
    const nodes = new XarrayNodes(options);
    for (const index of indexes) nodes.add(index, index);
    return nodes;
  }

  /** The nodes of an xarray with the entries of a sparse array. */
  static ofArray(array: SparseUint32Array): XarrayNodes {
    const nodes = new XarrayNodes({ rootHoldsEntry: true });
    const onlyZero = array.count === 1 && array.get(0) !== 0;
    if (onlyZero) {
      nodes.add(0, 0);
    } else {
      for (const leaf of array.presentBlocks(NODE_SIZE)) {
        nodes.#leaves.add(leaf);
      }
    }
    return nodes;
  }

  /** Adds entries at the indexes `first` to `last`, inclusive; returns how many nodes that takes. */
  add(first: number, last: number): number {
    const before = this.#count();
    if (first === 0) this.#hasZero = true;
    if (last > 0 || !this.#rootHoldsEntry) {
      const leaf = Math.floor(first / NODE_SIZE);
      // Counted from 0: beyond 2^53 there is no next number.
      const more = Math.floor(last / NODE_SIZE) - leaf;
      for (let i = 0; i <= more; i++) this.#leaves.add(leaf + i);
    }
    return this.#count() - before;
  }

  /** All nodes: the leaves, their parents, and so on up to a single one, which has index 0. */
  #count(): number {
    if (this.#leaves.size === 0) return 0;
    let level = new Set(this.#leaves);
    if (this.#hasZero) level.add(0);
    let count = level.size;
    while (level.size > 1 || !level.has(0)) {
      level = new Set(
        [...level].map((number) => Math.floor(number / NODE_SIZE)),
      );
      count += level.size;
    }
    return count;
  }
}
