// SPDX-License-Identifier: GPL-2.0-only

/**
 * The tokens of a device with virtual functions: few, so that they meet again.
 *
 * @module
 */

import type { Maker } from "../maker.ts";

/** Bytes of a token. */
const SIZE = 16;

/** One of a few. */
export function someToken({ chance }: Maker): Uint8Array<ArrayBuffer> {
  return new Uint8Array(SIZE).fill(chance.weighted([[70, 0x11], [30, 0x22]]));
}

/** How it is written behind the name of a device. */
export function textOf(token: Uint8Array): string {
  return token.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
