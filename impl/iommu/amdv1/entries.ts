// SPDX-License-Identifier: GPL-2.0-only

/**
 * The entries of a page table as a list.
 *
 * @module
 */

import { D, itemSize, PR } from "./entry.ts";
import { frameAt } from "./items.ts";
import type { TableTree } from "./tree.ts";
import { entryItems, walk } from "./walk.ts";

/** An entry, for those who look at a page table. */
export interface AmdV1Entry {
  /** First IOVA that it maps. */
  readonly iova: number;
  /** First address in memory. */
  readonly paddr: number;
  /** Bytes. */
  readonly size: number;
  /** A device wrote through it. */
  readonly isDirty: boolean;
  /** The level of its table, counted from 0. */
  readonly level: number;
  /** Its items, as the hardware has them. */
  readonly items: readonly bigint[];
}

/** All entries of a tree that maps `granules` of `granule` bytes, in the order of their IOVA. */
export function entriesOf(
  tree: TableTree,
  granules: number,
  granule: number,
): AmdV1Entry[] {
  const found: AmdV1Entry[] = [];
  walk(tree, 0, granules, PR, {
    visit({ table, level, start }, index) {
      const items = entryItems(table, level, index);
      const at = start + index * itemSize(level);
      const own = table.items(index, items);
      found.push({
        iova: at * granule,
        paddr: frameAt(table, level, at) * granule,
        size: items * itemSize(level) * granule,
        isDirty: own.some((item) => (item & BigInt(D)) !== 0n),
        level,
        items: own,
      });
      return index + items;
    },
  });
  return found;
}
