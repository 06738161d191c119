// SPDX-License-Identifier: GPL-2.0-only

/**
 * Exact arithmetic on 64-bit unsigned values: IOVAs, user addresses, lengths.
 *
 * Every argument and result is a bigint in [0, 2^64), unless a function says
 * otherwise. Ranges are inclusive at both ends, because the range that ends
 * the address space has no exclusive end.
 *
 * @module
 */

import { KernelBug } from "./kernel_bug.ts";

/** The largest 64-bit value (Linux: ULONG_MAX, U64_MAX). */
export const U64_MAX: bigint = 2n ** 64n - 1n;

/**
 * The lowest multiple of `alignment`, a power of two, that is not below
 * `value` (Linux: ALIGN). It is 2^64 when no 64-bit value is; the caller
 * decides what that means.
 */
export function alignUp(value: bigint, alignment: bigint): bigint {
  return (value + alignment - 1n) & -alignment;
}

/** The highest multiple of `alignment`, a power of two, that is not above `value` (Linux: ALIGN_DOWN). */
export function alignDown(value: bigint, alignment: bigint): bigint {
  return value & -alignment;
}

/** The lowest bit that is set in `value`, which is not 0 (Linux: 1UL << __ffs64(value)). */
export function lowestBit(value: bigint): bigint {
  if (value === 0n) throw new KernelBug("Cannot find a bit that is set in 0");
  return value & -value;
}

/**
 * The lowest power of two that is not below `value`, which is not 0 (Linux:
 * roundup_pow_of_two). It is 2^64 when no 64-bit power of two is.
 */
export function roundUpPowerOfTwo(value: bigint): bigint {
  if (value === 0n) throw new KernelBug("Cannot round 0 to a power of two");
  return 1n << BigInt(bitLength(value - 1n));
}

/** Bits in `value` without leading zeros (Linux: fls64). */
function bitLength(value: bigint): number {
  const high = Number(value >> 32n);
  return high === 0 ? 32 - Math.clz32(Number(value)) : 64 - Math.clz32(high);
}
