// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Rom } from "./rom.ts";

/** Bytes with images, each by its length in units of 512 bytes and whether it is the last. */
function bytesOf(size: number, images: [units: number, last: boolean][]) {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const [units, last] of images) {
    bytes.set([0x55, 0xaa], at);
    bytes[at + 24] = 0x1c;
    bytes.set(new TextEncoder().encode("PCIR"), at + 0x1c);
    bytes[at + 0x1c + 16] = units;
    bytes[at + 0x1c + 21] = last ? 0x80 : 0;
    at += units * 512;
  }
  return bytes;
}

describe("a ROM", () => {
  it("has a power of two of bytes, 2 KiB at least", () => {
    const sizes = [0, 1, 2048, 2049, 65536]
      .map((length) => new Rom(new Uint8Array(length)).size);
    assertEquals(sizes, [2048, 2048, 2048, 4096, 65536]);
  });

  it("is as long as its images, up to the last, or to one that is none", () => {
    const lengths = [
      bytesOf(4096, []),
      bytesOf(4096, [[2, true]]),
      bytesOf(4096, [[2, false], [3, true], [1, true]]),
      bytesOf(4096, [[2, false]]),
      bytesOf(4096, [[0, false]]),
      bytesOf(4096, [[9, true]]),
    ].map((bytes) => new Rom(bytes).length);
    assertEquals(lengths, [0, 1024, 2560, 1024, 0, 4096]);
    const noDescription = bytesOf(2048, [[1, true]]);
    noDescription[24] = 0xff;
    noDescription[25] = 0xff;
    assertEquals(new Rom(noDescription).length, 0);
  });
});
