// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sparse array of 32-bit values, made for runs of consecutive indexes.
 *
 * It stands where Linux uses an xarray of values: the pinned frames of
 * iopt_pages, the IOPTEs of the mock domain. Values live in leaves of 512, and
 * a leaf exists only while something in it is present.
 *
 * @module
 */

import { KernelBug } from "./kernel_bug.ts";

/** Entries of a leaf. */
export const LEAF_SIZE = 512;

/**
 * Empty leaves that an array keeps for its next use, because a typed array is
 * much dearer to make than to clear.
 */
const MAX_SPARE = 64;

/** 512 entries. */
interface Leaf {
  readonly values: Uint32Array;
  /** Entries that are present. */
  live: number;
}

/**
 * Non-zero 32-bit values by index, a whole number in [0, 2^53). Zero means
 * absent. A method on a run of n entries takes O(n) array accesses and one map
 * access per leaf.
 */
export class SparseUint32Array {
  #leaves: Map<number, Leaf> | undefined;
  #spare: Leaf[] | undefined;
  #count = 0;
  /** The number that was looked up last, and its leaf: undefined if it was dropped since. */
  #lastNumber = -1;
  #lastLeaf: Leaf | undefined;

  /** Entries that are present. */
  get count(): number {
    return this.#count;
  }

  /** Whether no entry is present (Linux: xa_empty). */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** The value at `index`, 0 if absent (Linux: xa_load). */
  get(index: number): number {
    const values = this.leaf(index);
    return values === undefined ? 0 : values[index % LEAF_SIZE]!;
  }

  /** Sets the value at `index`; 0 makes it absent (Linux: xa_store, xa_erase). */
  set(index: number, value: number): void {
    const number = Math.floor(index / LEAF_SIZE);
    const leaf = value === 0 ? this.#find(number) : this.#obtain(number);
    if (leaf === undefined) return;
    const at = index % LEAF_SIZE;
    const old = leaf.values[at]!;
    leaf.values[at] = value;
    this.#countIn(number, leaf, Number(value !== 0) - Number(old !== 0));
  }

  /**
   * The 512 values around `index`, that of `index` at `index % 512`; undefined
   * if all are absent. For loops of the caller's own: they may change values,
   * but not whether they are 0. It is good until the array changes.
   */
  leaf(index: number): Uint32Array | undefined {
    return this.#find(Math.floor(index / LEAF_SIZE))?.values;
  }

  /** The numbers of the blocks of `size` indexes, a divisor of 512, that have an entry present; in no order. */
  *presentBlocks(size: number): Generator<number, void, undefined> {
    for (const [number, { values }] of this.#leaves ?? []) {
      for (let at = 0; at < LEAF_SIZE; at += size) {
        if (values.subarray(at, at + size).some((value) => value !== 0)) {
          yield (number * LEAF_SIZE + at) / size;
        }
      }
    }
  }

  /**
   * Sets `count` consecutive entries, at least one, from `first` on to `value`,
   * `value + 1`, …, all within [1, 2^32), the first and the last of them with
   * the bits `edge` besides. Returns how many of them were present before.
   */
  fillRun(first: number, count: number, value: number, edge: number): number {
    checkValues(value, value + count - 1);
    const before = this.#count;
    let values: Uint32Array | undefined;
    for (let done = 0; done < count;) {
      const number = Math.floor((first + done) / LEAF_SIZE);
      const leaf = this.#obtain(number);
      const from = (first + done) % LEAF_SIZE;
      const end = Math.min(from + count - done, LEAF_SIZE);
      const added = fillLeaf(leaf, from, end, value + done);
      this.#countIn(number, leaf, added);
      if (values === undefined) leaf.values[from]! |= edge;
      values = leaf.values;
      done += end - from;
    }
    values![(first + count - 1) % LEAF_SIZE]! |= edge;
    return count - (this.#count - before);
  }

  /**
   * Makes `count` consecutive entries from `first` on present and returns
   * their leaf, where they start at `first % 512`. They must lie in one leaf,
   * and the caller must set each of them to something other than 0 at once.
   */
  claim(first: number, count: number): Uint32Array {
    const number = Math.floor(first / LEAF_SIZE);
    const leaf = this.#obtain(number);
    const from = first % LEAF_SIZE;
    const absent = countAbsent(leaf, from, from + count);
    this.#countIn(number, leaf, absent);
    return leaf.values;
  }

  /**
   * Sets `count` consecutive entries from `first` on to the values in `source`
   * from `at` on, each plus `delta`, all within [1, 2^32). Returns how many of
   * them were present before.
   */
  storeFrom(
    first: number,
    count: number,
    source: Int32Array,
    at: number,
    delta: number,
  ): number {
    const before = this.#count;
    for (let done = 0; done < count;) {
      const number = Math.floor((first + done) / LEAF_SIZE);
      const leaf = this.#obtain(number);
      const { values } = leaf;
      const from = (first + done) % LEAF_SIZE;
      const end = Math.min(from + count - done, LEAF_SIZE);
      let added = 0;
      for (let i = from, j = at + done; i < end; i++, j++) {
        const value = (source[j]! + delta) | 0;
        if (value < 1) throw new KernelBug(`Cannot store ${value}`);
        if (values[i] === 0) added++;
        values[i] = value;
      }
      this.#countIn(number, leaf, added);
      done += end - from;
    }
    return count - (this.#count - before);
  }

  /**
   * Copies `count` consecutive entries from `first` on, each plus `delta`, to
   * `out` from `at` on. An absent one becomes `delta`. Returns how many were
   * absent.
   */
  readInto(
    first: number,
    count: number,
    out: Int32Array,
    at: number,
    delta: number,
  ): number {
    let absent = 0;
    for (let done = 0; done < count;) {
      const from = (first + done) % LEAF_SIZE;
      const npart = Math.min(count - done, LEAF_SIZE - from);
      const values = this.leaf(first + done);
      if (values === undefined) {
        out.fill(delta, at + done, at + done + npart);
        absent += npart;
      } else {
        for (let i = from, j = at + done; i < from + npart; i++, j++) {
          const value = values[i]!;
          if (value === 0) absent++;
          out[j] = value + delta;
        }
      }
      done += npart;
    }
    return absent;
  }

  /** Makes the entries `first` to `last`, inclusive, absent. Returns how many were present. */
  clearRange(first: number, last: number): number {
    const before = this.#count;
    for (let index = first; index <= last && this.#count > 0;) {
      const number = Math.floor(index / LEAF_SIZE);
      const from = index % LEAF_SIZE;
      const end = Math.min(from + last - index + 1, LEAF_SIZE);
      const leaf = this.#find(number);
      if (leaf !== undefined) {
        this.#countIn(number, leaf, -clearLeaf(leaf, from, end));
      }
      index += end - from;
    }
    return before - this.#count;
  }

  #find(number: number): Leaf | undefined {
    if (number === this.#lastNumber) return this.#lastLeaf;
    const leaf = this.#leaves?.get(number);
    if (leaf !== undefined) {
      this.#lastNumber = number;
      this.#lastLeaf = leaf;
    }
    return leaf;
  }

  /** The leaf of that number. One that is new must get an entry at once. */
  #obtain(number: number): Leaf {
    let leaf = this.#find(number);
    if (leaf === undefined) {
      leaf = this.#spare?.pop() ??
        { values: new Uint32Array(LEAF_SIZE), live: 0 };
      this.#leaves ??= new Map();
      this.#leaves.set(number, leaf);
      this.#lastNumber = number;
      this.#lastLeaf = leaf;
    }
    return leaf;
  }

  /** Counts entries that appeared or, if negative, vanished; drops an empty leaf. */
  #countIn(number: number, leaf: Leaf, added: number): void {
    leaf.live += added;
    this.#count += added;
    if (leaf.live > 0) return;
    this.#leaves!.delete(number);
    this.#spare ??= [];
    if (this.#spare.length < MAX_SPARE) this.#spare.push(leaf);
    this.#lastLeaf = undefined;
  }
}

function checkValues(a: number, b: number): void {
  if (Math.min(a, b) < 1 || Math.max(a, b) >= 2 ** 32) {
    throw new KernelBug(`Cannot store ${a} to ${b} in 32 bits as non-zero`);
  }
}

/** Entries of part of a leaf that are absent. */
function countAbsent(leaf: Leaf, from: number, end: number): number {
  const { values, live } = leaf;
  let absent = end - from;
  if (live === 0) return absent;
  for (let i = from; i < end; i++) {
    if (values[i] !== 0) absent--;
  }
  return absent;
}

/** Fills part of a leaf with increasing values; returns how many entries were absent. */
function fillLeaf(
  leaf: Leaf,
  from: number,
  end: number,
  value: number,
): number {
  const absent = countAbsent(leaf, from, end);
  const { values } = leaf;
  // As signed numbers, which the leaf takes modulo 2^32: above 2^31 an engine
  // would go on with floating point.
  let next = value | 0;
  for (let i = from; i < end; i++) {
    values[i] = next;
    next = (next + 1) | 0;
  }
  return absent;
}

/** Clears part of a leaf; returns how many entries were present. */
function clearLeaf(leaf: Leaf, from: number, end: number): number {
  const { values, live } = leaf;
  let present = live;
  if (end - from < LEAF_SIZE) {
    present = 0;
    for (let i = from; i < end; i++) {
      if (values[i] !== 0) present++;
    }
  }
  values.fill(0, from, end);
  return present;
}
