// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import type { Pfn } from "../../lib/brands.ts";
import { errnoOf } from "../../iommu/testing/test_driver.ts";
import { KernelCore } from "../../kernel/core.ts";
import type { Mm } from "../../kernel/interfaces/mm.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { ENOMEM } from "../../uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../uapi/mman.ts";
import { IovaBitmap } from "./iova_bitmap.ts";

const GRANULE = 2048;
const RW = PROT_READ | PROT_WRITE;

/** What a bitmap stands for, in numbers; the default is a bit for 2 KiB. */
interface Range {
  readonly iova?: bigint;
  readonly length: bigint | number;
  readonly pageSize?: bigint | number;
  readonly data: bigint | number;
}

/** A process with room for bitmaps. */
class Bench {
  readonly kernel = new KernelCore({ memory: 2 ** 26 });
  readonly process: Process = this.kernel.spawn();

  /** Zeroed memory of that many pages. */
  memory(pages: number, flags: number = MAP_SHARED): number {
    const bytes = pages * PAGE_SIZE;
    return this.process.mmap(0, bytes, RW, flags | MAP_ANONYMOUS);
  }

  bitmap(range: Range, mm: Mm = this.process.mm): IovaBitmap {
    return new IovaBitmap(this.kernel, mm, {
      iova: range.iova ?? 0n,
      length: BigInt(range.length),
      pageSize: BigInt(range.pageSize ?? GRANULE),
      data: BigInt(range.data),
    });
  }

  /** The numbers of the bits that are set in `bytes` bytes of memory. */
  bits(address: number, bytes: number): number[] {
    const found: number[] = [];
    for (const [i, byte] of this.process.peek(address, bytes).entries()) {
      for (let bit = 0; bit < 8; bit++) {
        if ((byte >> bit) & 1) found.push(i * 8 + bit);
      }
    }
    return found;
  }

  get pinned(): number {
    let pinned = 0;
    for (let pfn = 0; pfn < this.kernel.frames.count; pfn++) {
      pinned += this.kernel.frames.pins(pfn as Pfn);
    }
    return pinned;
  }
}

describe("a bitmap for IOVA", () => {
  it("counts bits from the least significant one of the first byte", () => {
    const bench = new Bench();
    const data = bench.memory(1);
    using bitmap = bench.bitmap({ iova: 1n << 24n, length: 1 << 20, data });
    bitmap.record(2 ** 24, GRANULE);
    bitmap.record(2 ** 24 + 9 * GRANULE, GRANULE, 2);
    assertEquals(bench.bits(data, 64), [0, 9, 10]);
  });

  it("keeps the bits that are set already", () => {
    const bench = new Bench();
    const data = bench.memory(1);
    bench.process.poke(data, new Uint8Array([0x81, 0, 0x10]));
    using bitmap = bench.bitmap({ length: 24 * GRANULE, data });
    bitmap.record(2 * GRANULE, GRANULE, 7);
    assertEquals(bench.bits(data, 8), [0, 2, 3, 4, 5, 6, 7, 8, 20]);
  });

  it("starts at any byte, and goes on in the next page", () => {
    const bench = new Bench();
    const data = bench.memory(3) + 0xff1;
    using bitmap = bench.bitmap({ length: 40000 * GRANULE, data });
    bitmap.record(100 * GRANULE, GRANULE, 40);
    bitmap.record(32700 * GRANULE, GRANULE, 200);
    const expected = [
      ...Array.from({ length: 40 }, (_, i) => 100 + i),
      ...Array.from({ length: 200 }, (_, i) => 32700 + i),
    ];
    assertEquals(bench.bits(data, 5000), expected);
    assertEquals(bench.bits(data - 0xff1, 0xff1), []);
  });

  it("sets one bit for small pages and many for a large one", () => {
    const bench = new Bench();
    const data = bench.memory(1);
    using coarse = bench.bitmap({ length: 2 ** 24, pageSize: 8192, data });
    coarse.record(8192 + 2048, 2048);
    coarse.record(5 * 8192 - 2048, 2048, 2);
    assertEquals(bench.bits(data, 64), [1, 4, 5]);
    const other = bench.memory(1);
    using fine = bench.bitmap({ length: 2 ** 16, pageSize: 1, data: other });
    fine.record(2048, 2048);
    assertEquals(
      bench.bits(other, 4096),
      Array.from({ length: 2048 }, (_, i) => 2048 + i),
    );
  });

  it("takes the lowest bit of a page size that has several", () => {
    const bench = new Bench();
    const data = bench.memory(1);
    const pageSize = 4096 + 2048 + 65536;
    using bitmap = bench.bitmap({ length: 2 ** 20, pageSize, data });
    bitmap.record(3 * GRANULE, GRANULE);
    assertEquals(bench.bits(data, 64), [3]);
  });

  it("works where only 64 bits hold IOVA and page size", () => {
    const bench = new Bench();
    const data = bench.memory(1);
    const iova = 2n ** 64n - 2n ** 20n;
    // A window at the end of the IOVA space, with or without bits to spare.
    for (const spare of [0n, 3n * 2048n]) {
      const length = 2n ** 20n - spare;
      using bitmap = bench.bitmap({ iova: iova + spare, length, data });
      bitmap.record(Number(2n ** 64n - 2048n), GRANULE);
    }
    assertEquals(bench.bits(data, 128), [508, 511]);
    const other = bench.memory(1);
    using large = bench.bitmap({
      iova: 1n << 62n,
      length: 3n << 62n,
      pageSize: 1n << 62n,
      data: other,
    });
    large.record(2 ** 63, GRANULE, 2);
    large.record(2 ** 63 + 2 ** 62 - GRANULE, GRANULE, 2);
    assertEquals(bench.bits(other, 8), [1, 2]);
  });

  it("calculates addresses modulo 2^64", () => {
    const bench = new Bench();
    const data = bench.memory(1);
    // The bitmap begins 2^20 bytes before the memory, at an address that wraps.
    const before = BigInt.asUintN(64, BigInt(data) - 2n ** 50n);
    using bitmap = bench.bitmap({
      length: 2n ** 63n,
      pageSize: 512,
      data: before,
    });
    bitmap.record(2 ** 50 * 8 * 512 + 4096, 4096);
    bitmap.record(0, 4096);
    assertEquals(bench.bits(data, 16), [8, 9, 10, 11, 12, 13, 14, 15]);
  });

  it("breaks copy-on-write", () => {
    const bench = new Bench();
    const data = bench.memory(1, MAP_PRIVATE);
    bench.process.poke(data, new Uint8Array([1]));
    const child = bench.process.fork();
    using bitmap = bench.bitmap({ length: 2 ** 20, data });
    bitmap.record(GRANULE, GRANULE);
    assertEquals(bench.process.peek(data, 1), new Uint8Array([3]));
    assertEquals(child.peek(data, 1), new Uint8Array([1]));
  });
});

describe("the window over a bitmap", () => {
  it("is pinned when the first bit is set, and unpinned in the end", () => {
    const bench = new Bench();
    const data = bench.memory(3);
    using bitmap = bench.bitmap({ length: 3 * 32768 * GRANULE, data });
    assertEquals(bench.pinned, 0);
    bitmap.record(0, GRANULE);
    assertEquals(bench.pinned, 3);
    bitmap[Symbol.dispose]();
    assertEquals(bench.pinned, 0);
  });

  it("has one page more than it needs unless the bitmap begins with a page", () => {
    for (const [offset, pages] of [[0, 1], [8, 2], [4095, 2]] as const) {
      const bench = new Bench();
      const data = bench.memory(3) + offset;
      using bitmap = bench.bitmap({ length: 8 * GRANULE, data });
      bitmap.record(0, GRANULE);
      assertEquals(bench.pinned, pages);
      assertEquals(bench.bits(data, 1), [0]);
    }
  });

  it("holds 512 pages and moves on, also within a page of IOVA, and back", () => {
    const bench = new Bench();
    const bits = 32768;
    const data = bench.memory(1030);
    const length = 1030 * bits * GRANULE;
    using bitmap = bench.bitmap({ length, data: data + 5 });
    bitmap.record(0, GRANULE);
    assertEquals(bench.pinned, 512);
    bitmap.record(500 * bits * GRANULE, 1000 * GRANULE, 600);
    assertEquals(bench.pinned, 512);
    // One large page over the end of the window that begins here.
    bitmap.record(10 * GRANULE, 512 * bits * GRANULE);
    bitmap.record(bits * GRANULE, GRANULE);
    assertEquals(bench.pinned, 512);
    const size = 1030 * PAGE_SIZE;
    const seen = bench.process.peek(data, size);
    const expected = new Uint8Array(size);
    const set = (bit: number) => expected[5 + (bit >> 3)]! |= 1 << (bit & 7);
    set(0);
    for (let i = 10; i < 10 + 512 * bits; i++) set(i);
    for (let i = 0; i < 600_000; i++) set(500 * bits + i);
    assertEquals(textOf(seen), textOf(expected));
  });

  it("pins what it can get; what lies behind is lost, and what comes later is tried again", () => {
    const bench = new Bench();
    const bits = 32768;
    const data = bench.memory(4);
    bench.process.munmap(data + PAGE_SIZE, PAGE_SIZE);
    using bitmap = bench.bitmap({ length: 4 * bits * GRANULE, data });
    bitmap.record((bits - 2) * GRANULE, GRANULE, 4);
    assertEquals(bench.bits(data, PAGE_SIZE), [bits - 2, bits - 1]);
    assertEquals(bench.pinned, 0);
    bitmap.record((2 * bits - 2) * GRANULE, GRANULE, 4);
    assertEquals(bench.bits(data + 2 * PAGE_SIZE, 2 * PAGE_SIZE), [0, 1]);
    // All bits of one page of IOVA: nothing behind the hole is reached.
    bitmap.record((bits - 4) * GRANULE, 2 * bits * GRANULE);
    assertEquals(bench.bits(data, PAGE_SIZE).length, 4);
    assertEquals(bench.bits(data + 2 * PAGE_SIZE, 2 * PAGE_SIZE), [0, 1]);
  });

  it("sets nothing in memory that is not there, read-only or no user's", () => {
    const bench = new Bench();
    const readOnly = bench.memory(1);
    bench.process.mprotect(readOnly, PAGE_SIZE, PROT_READ);
    const addresses = [0, 4096, readOnly, TASK_SIZE, 2n ** 63n, 2n ** 64n - 8n];
    for (const data of addresses) {
      using bitmap = bench.bitmap({ length: 2 ** 20, data });
      bitmap.record(0, GRANULE, 3);
      assertEquals(bench.pinned, 0);
    }
    assertEquals(bench.bits(readOnly, PAGE_SIZE), []);
  });

  it("must lie in user space with the page that it does not need", () => {
    const bench = new Bench();
    const top = TASK_SIZE - PAGE_SIZE;
    const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
    assertEquals(bench.process.mmap(top, PAGE_SIZE, RW, flags), top);
    using odd = bench.bitmap({ length: 8 * GRANULE, data: top + 8 });
    odd.record(0, GRANULE);
    assertEquals(bench.bits(top, PAGE_SIZE), []);
    using even = bench.bitmap({ length: 8 * GRANULE, data: top });
    even.record(0, GRANULE);
    assertEquals(bench.bits(top, PAGE_SIZE), [0]);
  });

  it("lets a page of IOVA that begins in the range set bits behind the bitmap", () => {
    const bench = new Bench();
    const data = bench.memory(2);
    using bitmap = bench.bitmap({ length: 16 * GRANULE, data });
    bitmap.record(12 * GRANULE, 2 ** 20);
    // From byte 1 on, which is no beginning of a page, two pages are pinned.
    assertEquals(
      bench.bits(data, 2 * PAGE_SIZE),
      Array.from({ length: 512 }, (_, i) => 12 + i),
    );
    bitmap.record(12 * GRANULE, 2 ** 30);
    const all = bench.bits(data, 2 * PAGE_SIZE);
    assertEquals(all.length, 2 * 32768 - 12);
    bench.process.exit();
  });

  it("stops at the pages that are pinned when bits go behind the bitmap", () => {
    const bench = new Bench();
    const data = bench.memory(2);
    using bitmap = bench.bitmap({ length: 16 * GRANULE, data });
    bitmap.record(3 * GRANULE, 2 ** 30);
    assertEquals(bench.bits(data, 2 * PAGE_SIZE).length, 32768 - 3);
    bitmap.record(16 * GRANULE, GRANULE);
    assertEquals(bench.bits(data, 2 * PAGE_SIZE).length, 32768 - 3);
  });

  it("ignores what lies outside of the range", () => {
    const bench = new Bench();
    const memory = bench.memory(1);
    const data = memory + 64;
    const iova = 1n << 24n;
    using bitmap = bench.bitmap({ iova, length: 16 * GRANULE, data });
    bitmap.record(2 ** 24 - GRANULE, GRANULE);
    bitmap.record(2 ** 24 + 16 * GRANULE, GRANULE);
    assertEquals(bench.bits(memory, PAGE_SIZE), []);
    bitmap.record(2 ** 24 + 15 * GRANULE, GRANULE);
    assertEquals(bench.bits(memory, PAGE_SIZE), [64 * 8 + 15]);
  });

  it("ends with the range, not with the last byte's bits", () => {
    const bench = new Bench();
    const data = bench.memory(2);
    using bitmap = bench.bitmap({ length: 12 * GRANULE, data });
    bitmap.record(0, GRANULE);
    bitmap.record(9 * GRANULE, 2 * GRANULE);
    assertEquals(bench.pinned, 1);
    // Another window, which begins with the second byte and so has two pages.
    bitmap.record(11 * GRANULE, 2 * GRANULE);
    assertEquals(bench.pinned, 2);
    assertEquals(bench.bits(data, 2), [0, 9, 10, 11, 12]);
  });

  it("is moved for each page where the last byte's bits pass 2^64", () => {
    for (const [bits, pinned] of [[16, 1], [12, 2]] as const) {
      const bench = new Bench();
      const data = bench.memory(2);
      const length = bits * GRANULE;
      const iova = 2n ** 64n - BigInt(length);
      using bitmap = bench.bitmap({ iova, length, data });
      bitmap.record(Number(iova), GRANULE);
      bitmap.record(Number(iova) + 9 * GRANULE, GRANULE);
      assertEquals(bench.pinned, pinned);
      assertEquals(bench.bits(data, 2), [0, 9]);
    }
  });

  it("throws what is no errno, and ENOMEM when it is made", () => {
    const bench = new Bench();
    const broken: Mm = Object.assign(Object.create(bench.process.mm), {
      pinUserPages() {
        throw new KernelBug("broken");
      },
    });
    using bitmap = bench.bitmap({ length: 2 ** 20, data: 4096 }, broken);
    assertThrows(() => bitmap.record(0, GRANULE), KernelBug, "broken");
    bench.kernel.step = () => {
      throw ENOMEM;
    };
    const range = { length: 2048, data: 4096 };
    assertStrictEquals(errnoOf(() => bench.bitmap(range)), ENOMEM);
  });
});

describe("recording at random", () => {
  it("sets the bits that a naive bitmap has, up to the first bad page of each record", () => {
    const pages = 8;
    const record = fc.tuple(
      fc.nat({ max: 4000 }),
      fc.constantFrom(1, 1, 2, 16, 512),
      fc.integer({ min: 1, max: 300 }),
    );
    const shape = fc.record({
      shift: fc.integer({ min: 2, max: 20 }),
      offset: fc.oneof(fc.constant(0), fc.nat({ max: 2 * PAGE_SIZE })),
      mapped: fc.array(fc.boolean(), { minLength: pages, maxLength: pages }),
      records: fc.array(record, { minLength: 1, maxLength: 12 }),
    });
    fc.assert(
      fc.property(shape, ({ shift, offset, mapped, records }) => {
        const bench = new Bench();
        const data = bench.memory(pages);
        for (const [i, kept] of mapped.entries()) {
          if (!kept) bench.process.munmap(data + i * PAGE_SIZE, PAGE_SIZE);
        }
        const bitSize = 2 ** shift;
        const bytes = pages * PAGE_SIZE - offset;
        const granules = Math.min(5000 * 512, bytes * 8 * bitSize / GRANULE);
        const length = Math.floor(granules) * GRANULE;
        const naive = new Uint8Array(pages * PAGE_SIZE);
        using bitmap = bench.bitmap({
          length,
          pageSize: bitSize,
          data: data + offset,
        });
        for (const [at, size, count] of records) {
          const pgsize = size * GRANULE;
          const first = Math.min(at * pgsize, length - pgsize);
          const fitting = Math.floor((length - first) / pgsize);
          const pgcount = Math.min(count, fitting);
          if (first < 0 || pgcount < 1) continue;
          bitmap.record(first, pgsize, pgcount);
          for (let i = 0; i < pgcount; i++) {
            const from = first + i * pgsize;
            naiveRecord(naive, mapped, offset, bitSize, from, from + pgsize);
          }
        }
        for (const [i, kept] of mapped.entries()) {
          if (!kept) continue;
          const from = i * PAGE_SIZE;
          const seen = bench.process.peek(data + from, PAGE_SIZE);
          const expected = naive.subarray(from, from + PAGE_SIZE);
          assertEquals(textOf(seen), textOf(expected));
        }
        bitmap[Symbol.dispose]();
        assertEquals(bench.pinned, 0);
      }),
      { seed: 1, numRuns: 150 },
    );
  });
});

function naiveRecord(
  memory: Uint8Array,
  mapped: readonly boolean[],
  offset: number,
  bitSize: number,
  from: number,
  end: number,
): void {
  for (let bit = Math.floor(from / bitSize); bit * bitSize < end; bit++) {
    const byte = offset + (bit >> 3);
    if (!mapped[Math.floor(byte / PAGE_SIZE)]) return;
    memory[byte]! |= 1 << (bit & 7);
  }
}

/** Text that is quick to compare: assertEquals() looks at each element of an array. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
