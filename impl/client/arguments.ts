// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of what people pass to the typed client. A struct would silently keep
 * the low bits of a wrong value; here it is a sentence that names the argument.
 *
 * @module
 */

import { U64_MAX } from "../lib/u64.ts";
import {
  type Field,
  fieldsOf,
  type Struct,
  type U64,
  type Values,
} from "../uapi/layout/struct.ts";

/** The largest value of a u32 field. */
const U32_MAX = 0xffff_ffff;

/** What the fields of a struct are called where they are passed, if not as in C. */
export type Names<T> = { readonly [Name in keyof T]?: string };

/** What is passed in the fields of a struct. */
export interface Passed<T> {
  /** The values by field. */
  readonly values: Values<T>;
  /** The values under the names that the caller knows. */
  readonly args: Record<string, number | bigint>;
  /** The fields under these names. */
  readonly fields: Record<string, Field>;
}

/**
 * Takes the fields of a struct out of the options of a call. What has no
 * default must be there. Throws TypeError or RangeError, in which `prefix`
 * stands before a name.
 */
export function pass<T extends object>(
  layout: Struct<T>,
  options: object,
  names: Names<T> = {},
  prefix = "",
): Passed<T> {
  const given = options as Record<string, number | bigint | undefined>;
  const values: Record<string, number | bigint> = {};
  const args: Record<string, number | bigint> = {};
  const fields: Record<string, Field> = {};
  for (const field of fieldsOf(layout)) {
    const name = names[field.name as keyof T] ?? field.name;
    if (given[name] === undefined && hasDefault(field)) continue;
    const title = prefix + name;
    const check = CHECKS.get(field.type) ?? toU32;
    const value = check(title, given[name] as number);
    args[name] = values[field.name] = value;
    fields[name] = field;
  }
  return { values: values as Values<T>, args, fields };
}

/** The bytes of an array of structs, called `name`. Throws TypeError or RangeError. */
export function encodeArray<T extends object>(
  layout: Struct<T>,
  name: string,
  elements: readonly Values<T>[],
): Uint8Array {
  const bytes = new Uint8Array(elements.length * layout.size);
  elements.forEach((element, i) => {
    const { values } = pass(layout, element, {}, `${name}[${i}].`);
    bytes.set(layout.encode(values), i * layout.size);
  });
  return bytes;
}

/** The first `count` structs of an array. */
export function decodeArray<T>(
  layout: Struct<T>,
  bytes: Uint8Array,
  count: number,
): T[] {
  return Array.from(
    { length: count },
    (_, i) => layout.decode(bytes.subarray(i * layout.size)),
  );
}

/** Whether a field may be left out: it is the kernel's to fill in, or 0 means something. */
function hasDefault({ role, direction }: Field): boolean {
  if (direction === "out") return true;
  switch (role.kind) {
    case "id":
      return role.optional;
    case "iova":
      return direction === "inout";
    case "choice":
      return "NONE" in role.values;
    case "fd":
    case "pointer":
    case "length":
    case "alignment":
    case "count":
      return false;
    default:
      return true;
  }
}

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

/** A descriptor that may be none. Throws TypeError or RangeError. */
function toS32(name: string, value: number): number {
  if (value === -1) return value;
  return toU32(name, value);
}

/** How values are checked, where they are no u32. */
const CHECKS: ReadonlyMap<
  Field["type"],
  (name: string, value: number) => number | bigint
> = new Map<Field["type"], (name: string, value: number) => number | bigint>([
  ["u64", toU64],
  ["s32", toS32],
]);

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
