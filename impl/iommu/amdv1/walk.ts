// SPDX-License-Identifier: GPL-2.0-only

/**
 * Looking at entries, wherever they are in the tree of tables.
 *
 * @module
 */

import {
  indexOf,
  isTable,
  itemSize,
  orderOf,
  sizeOf,
  TABLE_ITEMS,
  TABLE_ORDER,
} from "./entry.ts";
import { nextItem } from "./items.ts";
import type { Table } from "./table.ts";
import type { TableTree } from "./tree.ts";

/** Some items of one table. */
export interface TablePart {
  /** The table. */
  readonly table: Table;
  /** Its level, counted from 0. */
  readonly level: number;
  /** The granule of IOVA that its item 0 maps. */
  readonly start: number;
  /** The item behind the last. */
  readonly stop: number;
}

/** Who looks at entries. */
export interface Visitor {
  /** Looks at the entry that item `index` belongs to, and at as many of those behind it as it likes; returns the item behind them. */
  visit(part: TablePart, index: number): number;
}

/** Shows a visitor the entries that map some of the granules `first` up to `end` and have one of `bits` in the low word of an item. */
export function walk(
  tree: TableTree,
  first: number,
  end: number,
  bits: number,
  visitor: Visitor,
): void {
  walkBelow(tree, tree.top, tree.topLevel, first, end, bits, visitor);
}

function walkBelow(
  tree: TableTree,
  table: Table,
  level: number,
  first: number,
  end: number,
  bits: number,
  visitor: Visitor,
): void {
  if (table.live === 0) return;
  const size = itemSize(level);
  const start = first - first % (size * TABLE_ITEMS);
  // An entry that the range cuts is looked at as a whole.
  const head = indexOf(first, level);
  const tail = indexOf(end - 1, level);
  const items = entryItems(table, level, tail);
  const stop = tail - tail % items + items;
  const part = { table, level, start, stop };
  let index = head - head % entryItems(table, level, head);
  while ((index = nextItem(table, level, index, stop, bits)) < stop) {
    if (!isTable(table.low(index))) {
      index = visitor.visit(part, index);
      continue;
    }
    const at = start + index * size;
    const lower = tree.lower(table, index++);
    const low = Math.max(first, at);
    const high = Math.min(end, at + size);
    walkBelow(tree, lower, level - 1, low, high, bits, visitor);
  }
}

/** The items of the entry that an item belongs to; 1 for an item of no entry. */
export function entryItems(
  table: Table,
  level: number,
  index: number,
): number {
  const low = table.low(index);
  if (low === 0 || isTable(low)) return 1;
  const order = orderOf(low, table.high(index), level);
  return sizeOf(order - level * TABLE_ORDER);
}
