// SPDX-License-Identifier: GPL-2.0-only

/**
 * Values of fields in words.
 *
 * @module
 */

import type { FieldSpec } from "./struct.ts";

/** Numbers from here on read best in hexadecimal. */
const FIRST_HEX = 4096;

/**
 * The value of a field for a person: flags and choices by name as well;
 * addresses, lengths, flags and big numbers in hexadecimal, ids in decimal.
 */
export function formatValue(
  { role, type }: Pick<FieldSpec, "role" | "type">,
  value: number | bigint,
): string {
  switch (role.kind) {
    case "flags":
      return withNames(hex(value), flagNames(role.bits, value));
    case "choice":
      return withNames(formatNumber(value), choiceNames(role.values, value));
    case "id":
    case "fd":
      return String(value);
    default:
      return type === "u64" ? hex(value) : String(value);
  }
}

/** A number of which nothing is known: small ones in decimal, addresses and lengths in hexadecimal. */
export function formatNumber(value: number | bigint): string {
  return value >= FIRST_HEX ? hex(value) : String(value);
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

function withNames(value: string, names: readonly string[]): string {
  return names.length > 0 ? `${value} (${names.join(" | ")})` : value;
}

/** The bits that are set, and what is left as a number if any of them has a name. */
function flagNames(
  bits: Readonly<Record<string, number | bigint>>,
  value: number | bigint,
): string[] {
  let rest = BigInt(value);
  const names = Object.keys(bits).filter((name) => {
    const bit = BigInt(bits[name]!);
    const isSet = (rest & bit) !== 0n;
    rest &= ~bit;
    return isSet;
  });
  return names.length > 0 && rest !== 0n ? [...names, hex(rest)] : names;
}

function choiceNames(
  values: Readonly<Record<string, number>>,
  value: number | bigint,
): string[] {
  return Object.keys(values).filter((name) => values[name] === Number(value));
}
