// SPDX-License-Identifier: GPL-2.0-only

/**
 * Loops over the items of one table, where time goes. In a table of the lowest
 * level a CPU page is one item or two.
 *
 * @module
 */

import { addRun, endOf, type FrameList } from "../../lib/frame_list.ts";
import {
  D,
  isTable,
  itemSize,
  leafHigh,
  leafLow,
  NEXT_LEVEL,
  NEXT_LEVEL_SIZED,
  orderOf,
  PR,
  sizeOf,
  TABLE_ITEMS,
} from "./entry.ts";
import type { Table } from "./table.ts";

/** Where the number of a page begins in the low word, by the items of a page. */
const PAGE_SHIFTS = [0, 12, 13];
const ADDRESS_SHIFT = 12;
const LOW_BITS = 20;
const ADDRESS_HIGH = 2 ** 20 - 1;

/** What marks the entry of a page whose items are `items`: all but address and D of its low word. */
function pageBits(items: number): number {
  return items === 1 ? PR : PR | NEXT_LEVEL_SIZED;
}

/** How many of the runs from number `run` on and below `to` have a single frame, before one that has more. */
export function countSingles(
  npfns: Int32Array,
  run: number,
  to: number,
): number {
  let next = run;
  while (next < to && npfns[next] === 1) next++;
  return next - run;
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
  const low = pageBits(items);
  const zero = table.compose(index, low, attributes);
  const next = low + (1 << PAGE_SHIFTS[items]!);
  const step = table.compose(index, next, attributes) - zero;
  const second = items - 1;
  let at = index;
  for (let run = from; run < to; run++) {
    const value = zero + pfns[run]! * step;
    values[at] = value;
    values[at + second] = value;
    at += items;
  }
  table.live += at - index;
}

/**
 * Adds to a list of `maxRuns` runs the frames of up to `npages` CPU pages, the
 * first of which begins with item `index`. Ends with the table, and before a
 * page that begins in a hole. Returns how many.
 */
export function readPages(
  { words }: Table,
  index: number,
  items: number,
  npages: number,
  list: FrameList,
  maxRuns: number,
): number {
  const { npfns } = list;
  const step = 2 * items;
  const end = 2 * Math.min(index + npages * items, TABLE_ITEMS);
  let at = 2 * index;
  while (at < end) {
    at = readSingles(words, at, end, items, list, maxRuns);
    if (at >= end) break;
    const low = words[at]!;
    if (low === 0) break;
    const high = words[at + 1]!;
    // No size of this level reaches the high word.
    const size = 1 << orderOf(low, 0, 0);
    const within = (at >> 1) & (size - 1);
    const address = (low >>> ADDRESS_SHIFT) - ((size - 1) >> 1) + within;
    const pfn = (address >>> (items - 1)) |
      ((high & ADDRESS_HIGH) << (LOW_BITS + 1 - items));
    const left = Math.ceil((end - at) / step);
    const count = Math.min(Math.ceil((size - within) / items), left);
    if (!addRun(list, maxRuns, pfn, count)) break;
    at += step * count;
    if (count * items === size) {
      const next = skipFollowing(words, at, end, size, low, high);
      npfns[list.end - 1]! += (next - at) / step;
      at = next;
    }
  }
  return (at - 2 * index) / step;
}

/**
 * The part of {@link readPages} that scattered memory is read by: entries of
 * one page, up to one whose frame goes on with the run before. Returns the
 * word behind them.
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
  let at = from;
  for (; at < end && run < maxRuns; at += 2 * items) {
    const low = words[at]!;
    if ((low & mask) !== bits) break;
    const pfn = (low >>> shift) |
      ((words[at + 1]! & ADDRESS_HIGH) << (32 - shift));
    if (pfn === next) break;
    pfns[run] = pfn;
    npfns[run++] = 1;
    next = (pfn + 1) | 0;
  }
  list.end = run;
  return at;
}

/**
 * The part of {@link readPages} that contiguous memory is read by: the word
 * behind the entries that go on with one of `size` items, which ends at `from`
 * and has the words `low` and `high`. They differ in the low word's address
 * alone, until it is used up.
 */
function skipFollowing(
  words: Int32Array,
  from: number,
  end: number,
  size: number,
  low: number,
  high: number,
): number {
  const more = size << ADDRESS_SHIFT;
  const fit = Math.floor((2 ** 32 - 1 - (low >>> 0)) / more);
  const stop = Math.min(end, from + 2 * size * fit) - 2 * size;
  let following = (low & ~D) + more | 0;
  let at = from;
  while (
    at <= stop && (words[at]! & ~D) === following && words[at + 1] === high
  ) {
    following = (following + more) | 0;
    at += 2 * size;
  }
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
  const end = index + count * items;
  const first = table.compose(
    index,
    leafLow(frame, order, level),
    leafHigh(frame, order, level, attributes),
  );
  const next = frame + sizeOf(order);
  const step = table.compose(
    index,
    leafLow(next, order, level),
    leafHigh(next, order, level, attributes),
  ) - first;
  if (items === 2) storePairs(values, index, end, first, step);
  else storeEach(values, index, end, items, first, step);
  table.live += count * items;
}

function storePairs(
  values: Float64Array,
  index: number,
  end: number,
  first: number,
  step: number,
): void {
  let value = first;
  for (let at = index; at < end; at += 2) {
    values[at] = value;
    values[at + 1] = value;
    value += step;
  }
}

function storeEach(
  values: Float64Array,
  index: number,
  end: number,
  items: number,
  first: number,
  step: number,
): void {
  let value = first;
  for (let at = index; at < end;) {
    for (const stop = at + items; at < stop; at++) values[at] = value;
    value += step;
  }
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
    at += sizeOf(orderOf(low, words[2 * at + 1]!, level)) / itemSize(level);
  }
  return at - index;
}

/** The first item from `index` on and below `end` that points to a table or has one of `bits` in its low word; `end` if there is none. */
export function nextItem(
  { words }: Table,
  index: number,
  end: number,
  bits: number,
): number {
  let at = index;
  for (; at < end; at++) {
    const low = words[2 * at]!;
    if ((low & bits) !== 0 || isTable(low)) break;
  }
  return at;
}
