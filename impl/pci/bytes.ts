// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers in bytes, little-endian, of 1 to 8 bytes. One of 8 bytes is exact up
 * to 2^53: no address that an IOMMU here translates is longer.
 *
 * @module
 */

/** The number of `count` bytes at `at`. */
export function numberOf(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let i = count - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
  return value;
}

/** Stores a number in `count` bytes at `at`. */
export function store(
  bytes: Uint8Array,
  at: number,
  count: number,
  value: number,
): void {
  for (let i = 0; i < count; i++) {
    bytes[at + i] = i < 4 ? value >>> 8 * i : value / 2 ** (8 * i);
  }
}
