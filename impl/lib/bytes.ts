// SPDX-License-Identifier: GPL-2.0-only

/**
 * Parts of bytes.
 *
 * @module
 */

/**
 * The bytes from `start` up to `end` exclusive, in the same memory. All of
 * them are the array itself: a view is dear to make, the first one of a small
 * array most of all.
 */
export function partOf<B extends Uint8Array>(
  bytes: B,
  start: number,
  end: number,
): B {
  return start === 0 && end === bytes.length
    ? bytes
    : bytes.subarray(start, end) as B;
}
