// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NvmeMemory } from "./storage.ts";

const SIZE = 2 ** 22;
const CHUNK = 2 ** 20;

/** Bytes that are unlike others. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 1 + (i * 31 + (i >> 8)) % 255);
}

describe("memory behind a drive", () => {
  it("is zero, and keeps what is written across chunks", () => {
    const memory = new NvmeMemory(SIZE);
    const bytes = pattern(CHUNK + 4096);
    assertEquals(memory.read(CHUNK - 512, 1024), new Uint8Array(1024));
    memory.write(CHUNK - 1024, bytes.length, (to) => to.set(bytes));
    assertEquals(memory.read(CHUNK - 1024, bytes.length), bytes);
    assertEquals(memory.read(CHUNK, 512), bytes.subarray(1024, 1536));
    memory.zero(CHUNK - 512, CHUNK + 512);
    assertEquals(memory.read(CHUNK - 1024, 512), bytes.subarray(0, 512));
    assertEquals(memory.read(CHUNK - 512, 1024), new Uint8Array(1024));
    assertEquals(
      memory.read(2 * CHUNK, 512),
      bytes.subarray(1024 + CHUNK, 1536 + CHUNK),
    );
    memory.flush();
  });

  it("moves what lies in one chunk without a copy", () => {
    const memory = new NvmeMemory(SIZE);
    memory.write(CHUNK + 512, 512, (to) => to.fill(7));
    const read = memory.read(CHUNK, 1024);
    memory.write(CHUNK, 512, (to) => to.fill(8));
    assertEquals([read[0], read[512]], [8, 7]);
  });

  it("has whole blocks", () => {
    for (const size of [0, 100, NaN]) {
      assertThrows(() => new NvmeMemory(size), RangeError);
    }
  });
});
