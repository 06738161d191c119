// SPDX-License-Identifier: GPL-2.0-only

/**
 * How long a struct may be said to be: all lengths at which the kernel's answer
 * may change, in turn.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import type { Field } from "../../../../impl/uapi/layout/struct.ts";
import type { Shape } from "../known/shapes.ts";
import type { Filling } from "./filling.ts";

/** A length of a struct, and the last byte of what the kernel does not know. */
export interface Size {
  readonly bytes: number;
  readonly tail: 0 | 1;
}

/** The field that says how long the struct is. */
function sizeField({ fields }: Shape): Field | undefined {
  return fields.find(({ role }) => role.kind === "size");
}

/** Whether a caller says how long the struct is. */
export function hasSize(shape: Shape): boolean {
  return sizeField(shape) !== undefined;
}

/** The lengths to try of a struct: about what must be there, what is known, a page. */
export function sizesOf({ minSize, size }: Shape): Size[] {
  const plain = [
    minSize - 8,
    minSize - 1,
    minSize,
    minSize + 8,
    size - 1,
    size,
    size + 8,
    PAGE_SIZE,
    PAGE_SIZE + 8,
  ];
  const lengths = [...new Set(plain)].sort((a, b) => a - b);
  return [
    ...lengths.map((bytes) => ({ bytes, tail: 0 as const })),
    ...[size + 8, PAGE_SIZE, PAGE_SIZE + 8]
      .map((bytes) => ({ bytes, tail: 1 as const })),
  ];
}

/** The struct with such a length; all that the kernel knows is there in any case. */
export function withSize(
  { shape, into }: Filling,
  { bytes, tail }: Size,
): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(Math.max(bytes, shape.size));
  all.set(into.bytes);
  if (tail > 0) all[all.length - 1] = tail;
  const { offset } = sizeField(shape)!;
  new DataView(all.buffer).setUint32(offset, bytes, true);
  return all;
}
