// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is simpler than a value: nothing, what is usual in its role, what is
 * shorter, smaller or rounder.
 *
 * @module
 */

import type { Field, FieldType } from "../../../impl/uapi/layout/struct.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { TestCmd } from "../../../impl/uapi/selftest.ts";

/** How many bytes a field has. */
export const BYTES_OF: Readonly<Record<FieldType, 1 | 2 | 4 | 8>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
};

/** The values that are simpler than all others in a place, the simplest first. */
export type Usual = readonly bigint[];

const PAGE = BigInt(PAGE_SIZE);
/** Nothing in particular. */
const NUMBER: Usual = [0n, 1n];
/** Bytes, and addresses. */
const BYTES: Usual = [0n, PAGE];

/** What is usual for arguments, by verb and name or by the name alone; undefined for what must stay. */
const USUAL_ARGS: Readonly<Record<string, Usual | undefined>> = {
  "open FLAGS": [2n],
  "mmap PROT": [3n],
  // Where memory is must not become the kernel's choice: others have its address.
  "mmap FLAGS": undefined,
  "mremap FLAGS": undefined,
  "mmap FD": [-1n],
  LENGTH: BYTES,
  OLDLENGTH: BYTES,
  OFFSET: BYTES,
  ADDR: BYTES,
  NEWADDR: BYTES,
};

/** What is usual for an argument of a verb; undefined for one that must stay. */
export function usualOfArg(verb: string, name: string): Usual | undefined {
  const own = `${verb} ${name}`;
  return own in USUAL_ARGS ? USUAL_ARGS[own] : USUAL_ARGS[name] ?? NUMBER;
}

/** What is usual for a field; undefined for one that must stay, as it says what the call is. */
export function usualOf({ name, role, offset }: Field): Usual | undefined {
  switch (role.kind) {
    case "size":
      return undefined;
    case "length":
    case "alignment":
    case "iova":
    case "pointer":
      return BYTES;
    default: {
      const { op } = TestCmd.fields;
      return name === op.name && offset === op.offset ? undefined : NUMBER;
    }
  }
}

/** How simple a value is: a usual one, one of whole pages, or any other, and in the end the smaller one. */
function rankOf(value: bigint, usual: Usual): number {
  const place = usual.indexOf(value);
  if (place >= 0) return place;
  return usual.length + (value % PAGE === 0n ? 0 : 1);
}

function isSimpler(a: bigint, b: bigint, usual: Usual): boolean {
  const [first, second] = [rankOf(a, usual), rankOf(b, usual)];
  const size = (value: bigint) => value < 0n ? -value : value;
  return first < second || first === second && size(a) < size(b);
}

/** Simpler numbers: the usual ones, rounder ones, half as much, a bit less. */
export function simplerNumbers(value: bigint, usual: Usual): bigint[] {
  const bits = Array.from({ length: 64 }, (_, i) => 1n << BigInt(i))
    .filter((bit) => value > 0n && value & bit);
  const numbers = new Set([
    ...usual,
    0n,
    ...bits.slice(-1),
    value - value % PAGE,
    value / 2n - value / 2n % PAGE,
    value / 2n,
    ...bits.map((bit) => value - bit),
    value - 1n,
  ]);
  return [...numbers].filter((each) => isSimpler(each, value, usual));
}

/** Lengths that are less than one, the shortest first. */
export function lengthsBelow(length: number): number[] {
  const lengths = new Set([0, 1, 8, PAGE_SIZE, length >> 1, length - 1]);
  return [...lengths].filter((each) => each >= 0 && each < length)
    .sort((a, b) => a - b);
}

/** The file that is opened most. */
const USUAL_FILE = "/dev/iommu";

/** Simpler texts: what is usual for a verb, and shorter ones. */
export function simplerText(verb: string, text: string): string[] {
  if (text === USUAL_FILE) return [];
  const shorter = lengthsBelow(text.length)
    .map((length) => text.slice(0, length));
  return verb === "open" ? [USUAL_FILE, ...shorter] : shorter;
}

/** Shorter bytes, and such with more of them 0: all, a half, a quarter, an eighth of those that are not. */
export function fewerBytes(bytes: Uint8Array): Uint8Array[] {
  const shorter = lengthsBelow(bytes.length)
    .map((length) => bytes.slice(0, length));
  const set = [...bytes.keys()].filter((at) => bytes[at] !== 0);
  const cleared = [1, 2, 4, 8].filter((parts) => parts <= set.length)
    .flatMap((parts) => {
      const size = Math.ceil(set.length / parts);
      return Array.from(
        { length: parts },
        (_, i) => without(bytes, set.slice(size * i, size * (i + 1))),
      );
    });
  return [...shorter, ...cleared];
}

/** The bytes with 0 in some places. */
function without(bytes: Uint8Array, places: readonly number[]): Uint8Array {
  const now = bytes.slice();
  for (const place of places) now[place] = 0;
  return now;
}
