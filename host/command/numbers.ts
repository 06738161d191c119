// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers as people write them.
 *
 * @module
 */

/** What bytes are counted in. */
const UNITS: Readonly<Record<string, bigint>> = {
  "": 1n,
  K: 1n << 10n,
  M: 1n << 20n,
  G: 1n << 30n,
};

/** A number of bytes, as `4096`, `64K`, `8M` or `1G`; undefined for what is none. */
export function parseBytes(text: string): bigint | undefined {
  const [, digits, unit] = /^(\d{1,20})([KMG]?)$/.exec(text) ?? [];
  return digits === undefined ? undefined : BigInt(digits) * UNITS[unit!]!;
}
