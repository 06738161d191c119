// SPDX-License-Identifier: GPL-2.0-only

/**
 * Loops over the items of one table of the lowest level, for the memory that
 * programs have: many single pages. A CPU page is one item or two.
 *
 * @module
 */

import type { FrameRuns } from "../../kernel/interfaces/physical_memory.ts";
import {
  frameOf,
  NEXT_LEVEL,
  NEXT_LEVEL_SIZED,
  orderOf,
  PR,
  TABLE_ITEMS,
} from "./entry.ts";
import type { Table } from "./table.ts";

/** Where the number of a page begins in the low word, by the items of a page. */
const PAGE_SHIFTS = [0, 12, 13];
const ADDRESS_HIGH = 2 ** 20 - 1;

/** What marks the entry of a page whose items are `items`: all but address and D of its low word. */
function pageBits(items: number): number {
  return items === 1 ? PR : PR | NEXT_LEVEL_SIZED;
}

/**
 * Maps runs of a single frame, from number `run` on and below `to`, one CPU
 * page each, from item `index` on. Ends with the table, at a run of more
 * frames, and at something that is mapped. Returns how many.
 */
export function mapPages(
  { words }: Table,
  index: number,
  items: number,
  { pfns, npfns }: FrameRuns,
  run: number,
  to: number,
  attributes: number,
): number {
  const shift = PAGE_SHIFTS[items]!;
  const bits = pageBits(items);
  const second = 2 * (items - 1);
  let next = run;
  for (let at = 2 * index; at < 2 * TABLE_ITEMS && next < to; next++) {
    if (npfns[next] !== 1 || (words[at]! | words[at + second]!) !== 0) break;
    const pfn = pfns[next]!;
    const low = bits | (pfn << shift);
    const high = attributes | (pfn >>> (32 - shift));
    words[at] = low;
    words[at + 1] = high;
    words[at + second] = low;
    words[at + second + 1] = high;
    at += 2 + second;
  }
  return next - run;
}

/**
 * Stores in `out`, from `to` on, the frames of up to `npages` CPU pages whose
 * first item is `index`. Ends with the table. Returns how many. A hole has
 * frame 0.
 */
export function readPages(
  { words }: Table,
  index: number,
  items: number,
  npages: number,
  out: Int32Array,
  to: number,
): number {
  const shift = PAGE_SHIFTS[items]!;
  const bits = pageBits(items);
  const mask = PR | NEXT_LEVEL | ((items - 1) << 12);
  let done = 0;
  for (let at = index; at < TABLE_ITEMS && done < npages;) {
    const low = words[2 * at]!;
    const high = words[2 * at + 1]!;
    if ((low & mask) === bits) {
      out[to + done++] = (low >>> shift) |
        ((high & ADDRESS_HIGH) << (32 - shift));
      at += items;
      continue;
    }
    if (low === 0) {
      out[to + done++] = 0;
      at += items;
      continue;
    }
    const order = orderOf(low, high, 0);
    const end = (at | (2 ** order - 1)) + 1;
    const frame = frameOf(low, high, order) + at % 2 ** order;
    let pfn = Math.floor(frame / items);
    for (; at < end && done < npages; at += items) out[to + done++] = pfn++;
  }
  return done;
}
