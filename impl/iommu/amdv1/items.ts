// SPDX-License-Identifier: GPL-2.0-only

/**
 * Loops over the items of one table, where time goes. In a table of the lowest
 * level a CPU page is one item or two.
 *
 * Some numbers are made integers of 32 bits by `| 0`. They are that anyway, but
 * V8 does not see it when it compiles a loop in the middle of its caller, and
 * counts in floating point, which takes up to twice as long. No function that
 * is little more than a loop is as short as 100 bytes of its code: V8 would
 * compile the loop in a caller, and for long in no better way than there.
 *
 * @module
 */

import { addRun, endOf, type FrameList } from "../../lib/frame_list.ts";
import {
  D,
  frameOf,
  indexOf,
  isTable,
  leafHigh,
  leafLow,
  NEXT_LEVEL,
  NEXT_LEVEL_SIZED,
  orderOf,
  PR,
  sizeOf,
  TABLE_ITEMS,
  TABLE_ORDER,
} from "./entry.ts";
import { stepOf, type Table } from "./table.ts";

/** Where the number of a page begins in the low word, by the items of a page. */
const PAGE_SHIFTS = [0, 12, 13];
const ADDRESS_SHIFT = 12;
const LOW_BITS = 20;
const ADDRESS_HIGH = 2 ** 20 - 1;

/** What marks the entry of a page whose items are `items`: all but address and D of its low word. */
function pageBits(items: number): number {
  return items === 1 ? PR : PR | NEXT_LEVEL_SIZED;
}

/**
 * Stores entries of one CPU page, `items` items each, from item `index` on, for
 * the frames `pfns[from]` up to `pfns[to - 1]`. All items are 0 so far.
 */
export function storePages(
  table: Table,
  index: number,
  items: number,
  pfns: Int32Array,
  from: number,
  to: number,
  attributes: number,
): void {
  const { values } = table;
  const zero = table.put(index, pageBits(items), attributes);
  const step = items * stepOf(attributes);
  const end = to | 0;
  let at = index | 0;
  if (items === 2) {
    for (let run = from | 0; run < end; run++, at = (at + 2) | 0) {
      const value = zero + pfns[run]! * step;
      values[at] = value;
      values[at + 1] = value;
    }
  } else {
    for (let run = from | 0; run < end; run++, at = (at + 1) | 0) {
      values[at] = zero + pfns[run]! * step;
    }
  }
  table.live += at - index;
}

/**
 * Adds to a list of `maxRuns` runs the frames of up to `npages` CPU pages, the
 * first of which begins with item `index`. Ends with the table, and before a
 * page that begins in a hole. Returns how many.
 */
export function readPages(
  table: Table,
  index: number,
  items: number,
  npages: number,
  list: FrameList,
  maxRuns: number,
): number {
  const { words } = table;
  const end = Math.min(index + npages * items, TABLE_ITEMS);
  let at = index;
  while (at < end) {
    at = readSingles(words, at, end, items, list, maxRuns);
    if (at >= end) break;
    const low = words[2 * at]!;
    if (low === 0) break;
    const high = words[2 * at + 1]!;
    // No size of this level reaches the high word.
    const size = 1 << orderOf(low, 0, 0);
    const within = at & (size - 1);
    const address = (low >>> ADDRESS_SHIFT) - ((size - 1) >> 1) + within;
    const pfn = (address >>> (items - 1)) |
      ((high & ADDRESS_HIGH) << (LOW_BITS + 1 - items));
    const left = Math.ceil((end - at) / items);
    const count = Math.min(Math.ceil((size - within) / items), left);
    if (!addRun(list, maxRuns, pfn, count)) break;
    at += items * count;
    if (count * items === size) {
      at = readFollowing(table, at, end, size, items, list);
    }
  }
  return (at - index) / items;
}

/**
 * The part of {@link readPages} that scattered memory is read by: entries of
 * one page, up to one whose frame goes on with the run before. Returns the
 * item behind them.
 */
function readSingles(
  words: Int32Array,
  from: number,
  end: number,
  items: number,
  list: FrameList,
  maxRuns: number,
): number {
  const shift = PAGE_SHIFTS[items]!;
  const bits = pageBits(items);
  const mask = PR | NEXT_LEVEL | ((items - 1) << ADDRESS_SHIFT);
  const { pfns, npfns } = list;
  let run = list.end;
  let next = endOf(list);
  const stop = Math.min(end, from + items * (maxRuns - run)) | 0;
  const stride = items | 0;
  let at = from | 0;
  for (; at < stop; at += stride) {
    const low = words[2 * at]!;
    if ((low & mask) !== bits) break;
    const pfn = (low >>> shift) |
      ((words[2 * at + 1]! & ADDRESS_HIGH) << (32 - shift));
    if (pfn === next) break;
    pfns[run] = pfn;
    npfns[run++] = 1;
    next = (pfn + 1) | 0;
  }
  list.end = run;
  return at;
}

/**
 * The part of {@link readPages} that contiguous memory is read by: adds to the
 * last run the entries that go on with the one of `size` items that ends at
 * `from`; returns the item behind them. They differ in the address alone, so
 * that their numbers are all as far apart. A dirty one is left to the caller.
 */
function readFollowing(
  { words, values }: Table,
  from: number,
  end: number,
  size: number,
  items: number,
  list: FrameList,
): number {
  const apart = size * stepOf(words[2 * from - 1]!);
  const last = (end - size) | 0;
  let before = values[from - size]!;
  let at = from | 0;
  for (; at <= last; at += size) {
    const value = values[at]!;
    if (value - before !== apart) break;
    before = value;
  }
  list.npfns[list.end - 1]! += (at - from) / items;
  return at;
}

/**
 * Stores `count` entries of 2^`order` granules, `items` items each, from item
 * `index` on, for memory from granule `frame` on. All items are 0 so far.
 */
export function storeEntries(
  table: Table,
  index: number,
  items: number,
  count: number,
  frame: number,
  order: number,
  level: number,
  attributes: number,
): void {
  const { values } = table;
  const end = (index + count * items) | 0;
  let at = index | 0;
  let value = table.put(
    at,
    leafLow(frame, order, level),
    leafHigh(frame, order, level, attributes),
  );
  const step = stepOf(attributes) * sizeOf(order);
  if (items === 2) {
    for (; at < end; at += 2, value += step) {
      values[at] = value;
      values[at + 1] = value;
    }
  } else {
    for (; at < end; value += step) {
      for (const stop = at + items; at < stop; at++) values[at] = value;
    }
  }
  table.live += count * items;
}

/** How many items the entries have that follow each other from `index` on, where one begins, up to item `end` or beyond. */
export function countItems(
  table: Table,
  level: number,
  index: number,
  end: number,
): number {
  // Nothing is missing in a full table of the lowest level.
  if (level === 0 && table.live === TABLE_ITEMS && end === TABLE_ITEMS) {
    return end - index;
  }
  const { words } = table;
  let at = index;
  while (at < end) {
    const low = words[2 * at]!;
    if (low === 0 || isTable(low)) break;
    const order = orderOf(low, words[2 * at + 1]!, level);
    at += sizeOf(order - level * TABLE_ORDER);
  }
  return at - index;
}

/** The first item from `index` on and below `end` that points to a table or has one of `bits` in its low word; `end` if there is none. */
export function nextItem(
  { words }: Table,
  level: number,
  index: number,
  end: number,
  bits: number,
): number {
  let at = index;
  if (level === 0) {
    while (at < end && (words[2 * at]! & bits) === 0) at++;
    return at;
  }
  for (; at < end; at++) {
    const low = words[2 * at]!;
    if ((low & bits) !== 0 || isTable(low)) break;
  }
  return at;
}

/**
 * How many entries of two items follow each other that are dirty, from item
 * `index` on and below `end`; makes them clean if `clears`. In a table of the
 * lowest level.
 */
export function takeDirtyPairs(
  { words }: Table,
  index: number,
  end: number,
  clears: boolean,
): number {
  const mask = PR | NEXT_LEVEL | (1 << ADDRESS_SHIFT);
  const bits = pageBits(2);
  let at = index;
  for (; at + 2 <= end; at += 2) {
    const first = words[2 * at]!;
    const second = words[2 * at + 2]!;
    if ((first & mask) !== bits || ((first | second) & D) === 0) break;
    if (!clears) continue;
    words[2 * at] = first & ~D;
    words[2 * at + 2] = second & ~D;
  }
  return (at - index) / 2;
}

/** Makes `items` items from `index` on clean. */
export function makeClean(
  { words }: Table,
  index: number,
  items: number,
): void {
  const end = 2 * (index + items);
  for (let at = 2 * index; at < end; at += 2) words[at]! &= ~D;
}

/** The granule of memory behind granule `at` of IOVA, which an entry of a table of `level` maps. */
export function frameAt(table: Table, level: number, at: number): number {
  const index = indexOf(at, level);
  const low = table.low(index);
  const high = table.high(index);
  const order = orderOf(low, high, level);
  return frameOf(low, high, order) + at % sizeOf(order);
}
