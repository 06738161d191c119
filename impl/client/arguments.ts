// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of what people pass to the typed client. A struct would silently keep
 * the low bits of a wrong value; here it is a sentence that names the argument.
 *
 * @module
 */

import { U64_MAX } from "../lib/u64.ts";

/** An address or a length in bytes: a bigint, or a number up to 2^53-1. */
export type U64 = number | bigint;

/** The largest value of a u32 field. */
const U32_MAX = 0xffff_ffff;

/** An address or a length as a bigint. Throws TypeError or RangeError. */
export function toU64(name: string, value: U64): bigint {
  const allowed = `${name} must be an integer from 0 to 2^64-1`;
  if (typeof value === "bigint") {
    if (value < 0n || value > U64_MAX) {
      throw new RangeError(`${allowed}, not ${value}`);
    }
    return value;
  }
  if (typeof value !== "number") {
    throw new TypeError(`${allowed}, not ${describe(value)}`);
  }
  if (value > Number.MAX_SAFE_INTEGER) {
    throw new RangeError(
      `${name} must be a bigint above 2^53-1, where a number is not exact`,
    );
  }
  if (!Number.isInteger(value) || value < 0) {
    throw new RangeError(`${allowed}, not ${value}`);
  }
  return BigInt(value);
}

/** An id, a descriptor, a count or flags. Throws TypeError or RangeError. */
export function toU32(name: string, value: number): number {
  const allowed = `${name} must be an integer from 0 to 2^32-1`;
  if (typeof value !== "number") {
    throw new TypeError(`${allowed}, not ${describe(value)}`);
  }
  if (!Number.isInteger(value) || value < 0 || value > U32_MAX) {
    throw new RangeError(`${allowed}, not ${value}`);
  }
  return value;
}

/** A yes or no. Throws TypeError. */
export function toBoolean(name: string, value: boolean): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(
      `${name} must be true or false, not ${describe(value)}`,
    );
  }
  return value;
}

/** Bytes. Throws TypeError. */
export function toBytes(name: string, value: Uint8Array): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new TypeError(`${name} must be a Uint8Array, not ${describe(value)}`);
  }
  return value;
}

/** A value that is of a wrong type, for a sentence. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "undefined";
    case "string":
      return `the string "${value}"`;
    case "bigint":
      return `the bigint ${value}n`;
    case "object":
      return value === null ? "null" : "an object";
    default:
      return `a ${typeof value}`;
  }
}
