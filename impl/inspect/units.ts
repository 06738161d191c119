// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers as people write them.
 *
 * @module
 */

/** A number as C writes it in hexadecimal. */
export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** An IOVA or a user address with all 16 digits, so that columns of them line up. */
export function address(value: bigint): string {
  return `0x${value.toString(16).padStart(16, "0")}`;
}

/** A length in bytes with at most two decimals, `~` in front where they do not say all. */
export function bytes(length: bigint): string {
  let unit = 0;
  let scale = 1n;
  while (unit < UNITS.length - 1 && length >= scale * 1024n) {
    unit++;
    scale *= 1024n;
  }
  const hundredths = length * 100n / scale;
  const exact = hundredths * scale === length * 100n;
  return `${exact ? "" : "~"}${Number(hundredths) / 100} ${UNITS[unit]}`;
}

/** A count with its noun: `1 area`, `100,000 areas`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}

/** A number with commas between thousands. */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A range of indexes or numbers, both ends inclusive: `7` or `0-15`. */
export function range(first: number, last: number): string {
  return first === last ? String(first) : `${first}-${last}`;
}
