// SPDX-License-Identifier: GPL-2.0-only

/**
 * The expansion ROM: images of firmware that a device brings along.
 *
 * Linux: drivers/pci/rom.c.
 *
 * @module
 */

import { numberOf } from "./bytes.ts";

/** The fewest bytes of a ROM's place in memory. */
const LEAST = 2048;
/** What an image begins with. */
const IMAGE = 0xaa55;
/** What its description begins with: "PCIR". */
const DESCRIPTION = 0x52494350;
/** In an image: where its description is. */
const POINTER = 24;
/** In a description: the image's length in units of 512 bytes, and whether it is the last. */
const [LENGTH, INDICATOR] = [16, 21];
const UNIT = 512;
const IS_LAST = 0x80;

/** A ROM. */
export class Rom {
  /** Bytes of its place in memory, a power of two. */
  readonly size: number;
  /** Bytes of its images; 0 if it has none. */
  readonly length: number;
  readonly #bytes: Uint8Array;

  /** With these bytes. */
  constructor(bytes: Uint8Array) {
    this.size = Math.max(LEAST, 2 ** Math.ceil(Math.log2(bytes.length)));
    this.#bytes = new Uint8Array(this.size).fill(0xff);
    this.#bytes.set(bytes);
    this.length = lengthOfImages(this.#bytes);
  }

  /** Fills `to` from an offset on; ones behind the images. */
  read(offset: number, to: Uint8Array): void {
    const end = Math.min(offset + to.length, this.length);
    to.fill(0xff);
    if (offset < end) to.set(this.#bytes.subarray(offset, end));
  }
}

/** Linux: pci_get_rom_size. */
function lengthOfImages(bytes: Uint8Array): number {
  for (let at = 0;;) {
    const word = (offset: number, count: number) =>
      at + offset + count <= bytes.length
        ? numberOf(bytes, at + offset, count)
        : -1;
    if (word(0, 2) !== IMAGE) return at;
    const about = word(POINTER, 2);
    if (word(about, 4) !== DESCRIPTION) return at;
    const length = word(about + LENGTH, 2) * UNIT;
    const isLast = (word(about + INDICATOR, 1) & IS_LAST) !== 0;
    at += length;
    if (length === 0 || isLast || at >= bytes.length) {
      return Math.min(at, bytes.length);
    }
  }
}
