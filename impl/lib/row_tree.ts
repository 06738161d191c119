// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ranges of 64-bit addresses that never overlap, by address, in one typed array.
 *
 * There may be a million of them, and calls that go over all: what such a call
 * costs is how much memory it touches. So a range is no object but a row of 32
 * bytes, and what hangs from it is found by the number of the row, which stays
 * the same as long as the range is there.
 *
 * The tree is a treap: by address from left to right, by priority from top to
 * bottom. Priorities are as good as random, which keeps all paths logarithmic
 * without any balancing, and lets a stretch of any length be cut out along two
 * paths.
 *
 * @module
 */

import { KernelBug } from "./kernel_bug.ts";

// A row, in words of 32 bits. A start and a last are 64 bits, the low half first.
const ROW_WORDS = 8;
/** The row whose subtree has the ranges before this one. */
const LEFT = 0;
/** The row whose subtree has the ranges after this one. Of row 0: the root. */
const RIGHT = 1;
const PARENT = 2;
/** None below has a higher one. */
const PRIORITY = 3;
const START = 4;
const LAST = 6;
/** Where these are in 64-bit words. */
const ROW_WIDE_WORDS = ROW_WORDS / 2;
const WIDE_START = START / 2;
const WIDE_LAST = LAST / 2;

const HIGH = 1;
const TWO_32 = 2 ** 32;

/** Rows that there is room for at first. */
const FIRST_ROWS = 8;

/**
 * The tree. A row is a number, at least 1. Row 0 stands for none: it is above
 * the root, and below where nothing is; what is looked for is put there, too.
 */
export class RowTree {
  #words = new Uint32Array(FIRST_ROWS * ROW_WORDS);
  /** The same memory. */
  #wide = new BigUint64Array(this.#words.buffer);
  /** Rows from this one on were never used. */
  #end = 1;
  /** The first row that is free again; more follow by their left links. */
  #free = 0;
  #size = 0;

  /** Number of ranges in the tree. */
  get size(): number {
    return this.#size;
  }

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** All rows are below this one. */
  get rowsEnd(): number {
    return this.#end;
  }

  /** First address of a range. */
  startOf(row: number): bigint {
    return this.#wide[row * ROW_WIDE_WORDS + WIDE_START]!;
  }

  /** Last address of a range. */
  lastOf(row: number): bigint {
    return this.#wide[row * ROW_WIDE_WORDS + WIDE_LAST]!;
  }

  /** First address of a range as a number, which is exact if it is a multiple of 2 KiB. */
  startNumber(row: number): number {
    const at = row * ROW_WORDS + START;
    return this.#words[at + HIGH]! * TWO_32 + this.#words[at]!;
  }

  /** The address after the last one as a number, which is exact if it is a multiple of 2 KiB. */
  endNumber(row: number): number {
    const at = row * ROW_WORDS + LAST;
    return this.#words[at + HIGH]! * TWO_32 + (this.#words[at]! + 1);
  }

  /** The low 32 bits of the first address and of the one after the last, OR'ed: all that an alignment looks at. */
  alignmentBits(row: number): number {
    const at = row * ROW_WORDS;
    return this.#words[at + START]! | (this.#words[at + LAST]! + 1);
  }

  /** The row above all others. */
  protected get root(): number {
    return this.#words[RIGHT]!;
  }

  /** The row below a row with what is before it. */
  leftOf(row: number): number {
    return this.#words[row * ROW_WORDS + LEFT]!;
  }

  /** The row below a row with what is after it. */
  rightOf(row: number): number {
    return this.#words[row * ROW_WORDS + RIGHT]!;
  }

  /** The row above. */
  parentOf(row: number): number {
    return this.#words[row * ROW_WORDS + PARENT]!;
  }

  /** The next range; 0 behind the last one. */
  rowAfter(row: number): number {
    return this.#neighbour(row, RIGHT, LEFT);
  }

  /** The range before; 0 in front of the first one. */
  rowBefore(row: number): number {
    return this.#neighbour(row, LEFT, RIGHT);
  }

  #neighbour(row: number, side: number, other: number): number {
    const words = this.#words;
    let cur = words[row * ROW_WORDS + side]!;
    if (cur !== 0) {
      for (let below = cur; below !== 0;) {
        cur = below;
        below = words[cur * ROW_WORDS + other]!;
      }
      return cur;
    }
    let child = row;
    cur = words[row * ROW_WORDS + PARENT]!;
    while (cur !== 0 && words[cur * ROW_WORDS + side] === child) {
      child = cur;
      cur = words[cur * ROW_WORDS + PARENT]!;
    }
    return cur;
  }

  /** The first range that ends at or after an address; 0 if there is none. */
  protected firstRow(address: bigint): number {
    this.#wide[WIDE_LAST] = address;
    const words = this.#words;
    let found = 0;
    for (let cur = words[RIGHT]!; cur !== 0;) {
      if (this.#isBefore(cur, 0, LAST)) {
        cur = words[cur * ROW_WORDS + RIGHT]!;
      } else {
        found = cur;
        cur = words[cur * ROW_WORDS + LEFT]!;
      }
    }
    return found;
  }

  /** The last range that starts at or before an address; 0 if there is none. */
  protected lastRow(address: bigint): number {
    this.#wide[WIDE_START] = address;
    const words = this.#words;
    let found = 0;
    for (let cur = words[RIGHT]!; cur !== 0;) {
      if (this.#isBefore(0, cur, START)) {
        cur = words[cur * ROW_WORDS + LEFT]!;
      } else {
        found = cur;
        cur = words[cur * ROW_WORDS + RIGHT]!;
      }
    }
    return found;
  }

  /** Adds a range; returns its row. One that overlaps another is a bug. */
  protected insertRow(start: bigint, last: bigint): number {
    const prior = this.lastRow(last);
    if (prior !== 0 && this.lastOf(prior) >= start) {
      throw new KernelBug("Cannot insert an area over another");
    }
    const row = this.#takeRow();
    this.#wide[row * ROW_WIDE_WORDS + WIDE_START] = start;
    this.#wide[row * ROW_WIDE_WORDS + WIDE_LAST] = last;
    const words = this.#words;
    const priority = words[row * ROW_WORDS + PRIORITY]!;
    let above = 0;
    let side = RIGHT;
    let cur = words[RIGHT]!;
    while (cur !== 0 && words[cur * ROW_WORDS + PRIORITY]! >= priority) {
      above = cur;
      side = this.#isBefore(row, cur, START) ? LEFT : RIGHT;
      cur = words[cur * ROW_WORDS + side]!;
    }
    this.#link(above, side, row);
    this.#split(cur, row, row);
    this.#size++;
    return row;
  }

  /** Takes out the ranges from row `first` to row `last`; returns how many addresses they have. */
  protected cutRows(first: number, last: number): bigint {
    if (first === last) return this.#removeRow(first);
    const behind = this.rowAfter(last);
    this.#split(this.root, first, 0);
    const before = this.leftOf(0);
    let from = this.root;
    let after = 0;
    if (behind !== 0) {
      this.#split(from, behind, 0);
      from = this.leftOf(0);
      after = this.root;
    }
    this.#merge(before, after, 0, RIGHT);
    this.#link(0, LEFT, from);
    const addresses = this.#freeRows(first);
    this.#words[LEFT] = 0;
    return addresses;
  }

  /** Called where the subtrees of `row` and of what is above it, up to `through` at least, have changed. */
  protected changed(_row: number, _through: number): void {}

  #removeRow(row: number): bigint {
    const above = this.parentOf(row);
    const side = this.leftOf(above) === row ? LEFT : RIGHT;
    this.#merge(this.leftOf(row), this.rightOf(row), above, side);
    const addresses = this.lastOf(row) - this.startOf(row) + 1n;
    this.#freeRow(row);
    return addresses;
  }

  /** Called for each row that is free again. */
  protected freed(_row: number): void {}

  /** Frees the rows from one on that hang on the left of row 0. */
  #freeRows(first: number): bigint {
    const words = this.#words;
    let high = 0;
    let low = 0;
    for (let row = first; row !== 0;) {
      const at = row * ROW_WORDS;
      high += words[at + LAST + HIGH]! - words[at + START + HIGH]!;
      low += words[at + LAST]! - words[at + START]! + 1;
      const next = this.rowAfter(row);
      // What rowAfter() reads of rows that are free is not their left link.
      this.#freeRow(row);
      row = next;
    }
    return (BigInt(high) << 32n) + BigInt(low);
  }

  /** Whether one row's start, or last, is lower than the other's. */
  #isBefore(row: number, other: number, what: number): boolean {
    const words = this.#words;
    const at = row * ROW_WORDS + what;
    const otherAt = other * ROW_WORDS + what;
    const high = words[at + HIGH]!;
    const otherHigh = words[otherAt + HIGH]!;
    return high < otherHigh ||
      (high === otherHigh && words[at]! < words[otherAt]!);
  }

  #link(above: number, side: number, row: number): void {
    this.#words[above * ROW_WORDS + side] = row;
    this.#words[row * ROW_WORDS + PARENT] = above;
  }

  /** Hangs what of a subtree is before row `key` on the left of row `above`, the rest on its right. */
  #split(root: number, key: number, above: number): void {
    const words = this.#words;
    let low = above;
    let lowSide = LEFT;
    let high = above;
    let highSide = RIGHT;
    for (let cur = root; cur !== 0;) {
      if (this.#isBefore(cur, key, START)) {
        this.#link(low, lowSide, cur);
        low = cur;
        lowSide = RIGHT;
        cur = words[cur * ROW_WORDS + RIGHT]!;
      } else {
        this.#link(high, highSide, cur);
        high = cur;
        highSide = LEFT;
        cur = words[cur * ROW_WORDS + LEFT]!;
      }
    }
    this.#link(low, lowSide, 0);
    this.#link(high, highSide, 0);
    this.changed(low, above);
    this.changed(high, above);
  }

  /** Hangs two subtrees, one before the other, on a side of row `above` as one. */
  #merge(before: number, after: number, above: number, side: number): void {
    const words = this.#words;
    let at = above;
    let atSide = side;
    while (before !== 0 && after !== 0) {
      if (
        words[before * ROW_WORDS + PRIORITY]! >=
          words[after * ROW_WORDS + PRIORITY]!
      ) {
        this.#link(at, atSide, before);
        at = before;
        atSide = RIGHT;
        before = words[at * ROW_WORDS + RIGHT]!;
      } else {
        this.#link(at, atSide, after);
        at = after;
        atSide = LEFT;
        after = words[at * ROW_WORDS + LEFT]!;
      }
    }
    this.#link(at, atSide, before + after);
    this.changed(at, above);
  }

  #takeRow(): number {
    let row = this.#free;
    if (row !== 0) {
      this.#free = this.leftOf(row);
      return row;
    }
    row = this.#end++;
    if (row * ROW_WORDS === this.#words.length) this.#grow();
    this.#words[row * ROW_WORDS + PRIORITY] = scramble(row);
    return row;
  }

  #grow(): void {
    const words = new Uint32Array(this.#words.length * 2);
    words.set(this.#words);
    this.#words = words;
    this.#wide = new BigUint64Array(words.buffer);
  }

  #freeRow(row: number): void {
    this.#words[row * ROW_WORDS + LEFT] = this.#free;
    this.#free = row;
    this.freed(row);
    this.#size--;
    if (this.#size > 0) return;
    this.#words = new Uint32Array(FIRST_ROWS * ROW_WORDS);
    this.#wide = new BigUint64Array(this.#words.buffer);
    this.#end = 1;
    this.#free = 0;
  }
}

/** A number of 32 bits that looks random, another one for each argument (the end of MurmurHash3). */
function scramble(n: number): number {
  let x = n;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
