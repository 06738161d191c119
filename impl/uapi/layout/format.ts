// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fields in words: what they mean, and their values.
 *
 * @module
 */

import type { Extent, Role } from "./roles.ts";
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
  const names = Object.keys(bits).filter((name) =>
    (BigInt(value) & BigInt(bits[name]!)) !== 0n
  );
  const rest = unknownBits(bits, value);
  return names.length > 0 && rest !== 0n ? [...names, hex(rest)] : names;
}

/** The bits that are set and have no name. */
export function unknownBits(
  bits: Readonly<Record<string, number | bigint>>,
  value: number | bigint,
): bigint {
  return Object.values(bits).reduce<bigint>(
    (rest, bit) => rest & ~BigInt(bit),
    BigInt(value),
  );
}

function choiceNames(
  values: Readonly<Record<string, number>>,
  value: number | bigint,
): string[] {
  return Object.keys(values).filter((name) => values[name] === Number(value));
}

/** A field's name in C: `ioasId` is `ioas_id`, `reserved` is `__reserved`. */
export function cName(field: string): string {
  if (field.startsWith("reserved")) return `__${field}`;
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What a field means: which way it goes, its role, and what that says. */
export function formatRole({ role, direction }: FieldSpec): string {
  const kind = direction === "in" ? role.kind : `${direction} ${role.kind}`;
  const details = roleDetails(role);
  return details ? `${kind}: ${details}` : kind;
}

function roleDetails(role: Role): string {
  switch (role.kind) {
    case "id":
      return (role.of.length > 0 ? role.of.join(" or ") : "any object") +
        (role.optional ? ", or 0" : "");
    case "fd":
      return role.of;
    case "pointer":
      return `the kernel ${role.use} ${extentText(role.count, role.extent)}`;
    case "count":
      return role.follow?.name ?? "";
    case "flags":
      return namedValues(role.bits, hex);
    case "choice":
      return namedValues(role.values, formatNumber);
    default:
      return "";
  }
}

function extentText(count: string, { unit, formats }: Extent): string {
  const format = formats ? ` in the format of ${cName(formats.field)}` : "";
  const much = cName(count);
  if (unit === undefined) return `${much} bytes${format}`;
  if ("fields" in unit) return `${much} × ${unit.name}`;
  return "bytesIn" in unit
    ? `${much} × ${cName(unit.bytesIn)} bytes${format}`
    : `a bitmap, a bit for each ${cName(unit.bitPer)} of ${much}`;
}

function namedValues<Value>(
  values: Readonly<Record<string, Value>>,
  format: (value: Value) => string,
): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${format(value)}`).join(", ");
}
