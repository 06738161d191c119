// SPDX-License-Identifier: GPL-2.0-only

/**
 * The entries of AMD's page table for IO, version 1: "I/O Page Tables for Host
 * Translations" of the specification of AMD's IOMMU.
 *
 * An item of a table has 64 bits, kept as two words of 32, the low one first,
 * as they lie in the memory of the hardware:
 *
 * | bits  | word, bits  | name       | meaning                                      |
 * | ----- | ----------- | ---------- | -------------------------------------------- |
 * | 0     | low, 0      | PR         | present; an item without it is 0             |
 * | 6     | low, 6      | D          | a device wrote through this item             |
 * | 9-11  | low, 9-11   | Next Level | 0 or 7: maps memory; else the level of a table, counted from 1 |
 * | 12-31 | low, 12-31  | address    | the low bits of address / granule            |
 * | 32-51 | high, 0-19  | address    | the high bits                                |
 * | 60    | high, 28    | FC         | forced to be coherent                        |
 * | 61    | high, 29    | IR         | a device may read                            |
 * | 62    | high, 30    | IW         | a device may write                           |
 *
 * Next Level 7 makes a number of consecutive items one entry, all with the same
 * bits. Its size is in the address, whose low bits would be 0: an entry of
 * 2^n granules has n-1 ones and a zero there, so two granules have a zero, four
 * have 01, eight 011.
 *
 * The granule has 4 KiB in the hardware, and 2 KiB in the selftest's mock, so
 * that its address is wider by the bit that it is finer. Linux: fmt/amdv1.h.
 *
 * @module
 */

/** Low word: present. */
export const PR = 1 << 0;
/** Low word: written by a device. */
export const D = 1 << 6;
/** Low word: what the item is. */
export const NEXT_LEVEL: number = 7 << 9;
/** Next Level of an entry that has its size in the address. */
export const NEXT_LEVEL_SIZED: number = 7 << 9;
/** High word: forced to be coherent. */
export const FC: number = 1 << 28;
/** High word: a device may read. */
export const IR: number = 1 << 29;
/** High word: a device may write. */
export const IW: number = 1 << 30;

const NEXT_LEVEL_SHIFT = 9;
/** Where the address begins in the low word, and how many bits it has there. */
const ADDRESS_SHIFT = 12;
const LOW_BITS = 20;
const LOW_SIZE = 2 ** LOW_BITS;
const HIGH_MASK = LOW_SIZE - 1;

/** log2 of the items of a table. */
export const TABLE_ORDER = 9;
/** Items of a table. */
export const TABLE_ITEMS: number = 2 ** TABLE_ORDER;
/** Powers of two by their logarithm: to look one up takes less time than to raise it. */
const POWERS = Float64Array.from({ length: 65 }, (_, order) => 2 ** order);

/** Granules of a block of an order. */
export function sizeOf(order: number): number {
  return POWERS[order]!;
}

/** Granules of an item of a table of `level`, counted from 0. */
export function itemSize(level: number): number {
  return POWERS[level * TABLE_ORDER]!;
}

/** The item of its table of `level` that a granule of IOVA belongs to. */
export function indexOf(granule: number, level: number): number {
  return level === 0
    ? granule & (TABLE_ITEMS - 1)
    : Math.floor(granule / itemSize(level)) & (TABLE_ITEMS - 1);
}

/**
 * The low word of an entry that maps 2^`order` granules from granule `frame`
 * of memory on, in a table of `level`, counted from 0.
 */
export function leafLow(frame: number, order: number, level: number): number {
  return order === level * TABLE_ORDER
    ? PR | (frame << ADDRESS_SHIFT)
    : PR | NEXT_LEVEL_SIZED | (sized(frame, order) << ADDRESS_SHIFT);
}

/** The high word of the same, with `FC`, `IR` and `IW` as in `attributes`. */
export function leafHigh(
  frame: number,
  order: number,
  level: number,
  attributes: number,
): number {
  const address = order === level * TABLE_ORDER ? frame : sized(frame, order);
  return Math.floor(address / LOW_SIZE) | attributes;
}

/** An address with the size in its low bits. */
function sized(frame: number, order: number): number {
  return frame + sizeOf(order - 1) - 1;
}

/** The low word of an item of a table of `level`, counted from 0, that points to the table in granule `frame`. */
export function tableLow(frame: number, level: number): number {
  return PR | (level << NEXT_LEVEL_SHIFT) | (frame << ADDRESS_SHIFT);
}

/** The high word of the same. Rights are those of the entry: tables give them all. */
export function tableHigh(frame: number): number {
  return Math.floor(frame / LOW_SIZE) | IR | IW;
}

/** Whether an item that is present, with this low word, points to a table. */
export function isTable(low: number): boolean {
  const nextLevel = low & NEXT_LEVEL;
  return nextLevel !== 0 && nextLevel !== NEXT_LEVEL_SIZED;
}

/** The granule that an item's address names, which is that of a table, or of an entry of one item. */
export function addressOf(low: number, high: number): number {
  return (high & HIGH_MASK) * LOW_SIZE + (low >>> ADDRESS_SHIFT);
}

/** log2 of the granules that an entry in a table of `level` maps. */
export function orderOf(low: number, high: number, level: number): number {
  if ((low & NEXT_LEVEL) === 0) return level * TABLE_ORDER;
  const ones = trailingOnes(low >>> ADDRESS_SHIFT);
  return ones < LOW_BITS
    ? ones + 1
    : LOW_BITS + trailingOnes(high & HIGH_MASK) + 1;
}

/** The first granule of memory that an entry of 2^`order` granules maps. */
export function frameOf(low: number, high: number, order: number): number {
  const address = addressOf(low, high);
  return (low & NEXT_LEVEL) === 0 ? address : address - (sizeOf(order - 1) - 1);
}

/** How many ones a number ends with that has at most 20 bits. */
function trailingOnes(bits: number): number {
  return 31 - Math.clz32(~bits & (bits + 1));
}
