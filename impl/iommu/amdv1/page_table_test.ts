// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOMMU_DIRTY_NO_CLEAR } from "../dirty.ts";
import { makeFrameList } from "../../lib/frame_list.ts";
import { errnoOf } from "../testing/test_driver.ts";
import type { AmdV1Format } from "./format.ts";
import { AmdV1PageTable } from "./page_table.ts";
import { TableMemory } from "./table.ts";
import { HARDWARE, powers, SMALL } from "./testing/formats.ts";

const RW = 3;
const MIB = 2 ** 20;

/** The first item of an entry as the specification has it, and the level of its table. */
function itemOf(
  { granule, attributes }: AmdV1Format,
  paddr: number,
  size: number,
): [item: bigint, level: number] {
  const order = Math.log2(size / granule);
  const level = Math.floor(order / 9);
  const isSingle = order === 9 * level;
  const ones = isSingle ? 0n : 2n ** BigInt(order - 1) - 1n;
  const nextLevel = isSingle ? 0n : 7n;
  const address = BigInt(paddr) / BigInt(granule) + ones;
  const rights = 3n << 61n | BigInt(attributes >>> 0) << 32n;
  return [1n | nextLevel << 9n | address << 12n | rights, level];
}

describe("an entry", () => {
  for (
    const [name, format, last] of [
      ["2 KiB", SMALL, 36],
      ["4 KiB", HARDWARE, 51],
    ] as const
  ) {
    it(`has its size in its address: granule of ${name}`, () => {
      for (const size of powers(Math.log2(format.granule), last)) {
        if (!format.pageSizes.includes(size)) continue;
        const table = new AmdV1PageTable(format);
        const paddr = Math.max(size, format.addressSize / 2);
        table.map(size, paddr, size, RW);
        const [entry, ...others] = table.entries();
        assertEquals(others, []);
        const [item, level] = itemOf(format, paddr, size);
        assertEquals([entry!.iova, entry!.paddr, entry!.size], [
          size,
          paddr,
          size,
        ]);
        assertEquals([new Set(entry!.items), entry!.level], [
          new Set([item]),
          level,
        ]);
        assertEquals(
          table.lookup(2 * size - format.granule),
          paddr + size - format.granule,
        );
        assertEquals(table.unmap(size, 1), size);
        assertEquals(table.entries(), []);
      }
    });
  }

  it("is never of 512 GiB in the hardware", () => {
    const table = new AmdV1PageTable(HARDWARE);
    table.map(0, 0, 2 ** 39, RW);
    assertEquals(table.entries().map(({ size }) => size), [2 ** 38, 2 ** 38]);
  });

  it("says who may use it", () => {
    const table = new AmdV1PageTable(SMALL);
    for (const prot of [1, 2, 3]) table.map(prot * MIB, 0, 2048, prot);
    const rights = table.entries().map(({ items }) => items[0]! >> 61n);
    assertEquals(rights, [1n, 2n, 3n]);
  });
});

describe("a page table", () => {
  it("refuses what it cannot hold", () => {
    const table = new AmdV1PageTable(SMALL);
    const map = (iova: number, paddr: number, size: number, prot = RW) =>
      errnoOf(() => table.map(iova, paddr, size, prot))?.name;
    assertEquals(map(0, 0, 2048, 4), "EINVAL");
    assertEquals(map(0, 2 ** 51, 2048), "ERANGE");
    assertEquals(map(0, 2 ** 51 - 2048, 2048), undefined);
    assertEquals(map(2048, 1024, 2048), "ENXIO");
    assertEquals(map(1024, 2048, 2048), "ENXIO");
    assertEquals(map(2048, 2048, 1024), "ENXIO");
    assertEquals(map(2 ** 38 - 2048, 0, 4096), "ERANGE");
    assertEquals(map(2 ** 38 - 2048, 0, 2048), undefined);
    assertEquals(map(0, 0, 2 ** 20), "EADDRINUSE");
    const runs = { pfns: Int32Array.of(1, 5), npfns: Int32Array.of(1, 1) };
    const mapRuns = (iova: number, prot = RW) =>
      errnoOf(() => table.mapRuns(iova, runs, 0, 2, prot))?.name;
    assertEquals(mapRuns(4096, 0), "EINVAL");
    assertEquals(mapRuns(4096 + 512), "ENXIO");
    assertEquals(mapRuns(2 ** 38), "ERANGE");
    assertEquals(mapRuns(0), "EADDRINUSE");
    assertEquals(table.entries().length, 2);
  });

  it("has no more tables than the entries need, once their ranges are unmapped", () => {
    const table = new AmdV1PageTable(SMALL);
    assertEquals(table.tables, 1);
    table.map(0, 0, 64 * MIB, RW);
    assertEquals(table.tables, 2);
    table.unmap(0, 64 * MIB);
    // The range does not cover the table of 512 MiB.
    assertEquals(table.tables, 2);
    table.map(4096, 0, 4096, RW);
    assertEquals(table.tables, 3);
    table.unmap(4096, 4096);
    assertEquals(table.tables, 3);
    // An entry takes the place of a table that maps nothing.
    table.map(0, 0, MIB, RW);
    assertEquals(table.tables, 2);
    table.unmap(0, 512 * MIB);
    assertEquals(table.tables, 2);
    table.map(2 ** 29, 2048, 2 ** 29, RW);
    assertEquals(table.tables, 2 + 1 + 512);
    assertEquals(table.unmap(2 ** 29, 2 ** 29), 2 ** 29);
    assertEquals(table.tables, 2);
  });

  it("has no larger entries than a map allows", () => {
    const table = new AmdV1PageTable(SMALL);
    table.map(0, 0, MIB, RW, 4096);
    table.map(MIB + 2048, 2048, 6144, RW, 4096);
    const sizes = table.entries().map(({ size }) => size);
    assertEquals(sizes.slice(256), [2048, 4096]);
    assertEquals(new Set(sizes.slice(0, 256)), new Set([4096]));
    assertEquals(table.unmap(4096, 1), 4096);
    const map = () => table.map(0, MIB, MIB, RW, 4096);
    assertEquals(errnoOf(map)?.name, "EADDRINUSE");
    assertEquals(table.entries().length, 257);
  });

  it("shares the memory for tables with others, and leaves it when it goes", () => {
    const memory = new TableMemory();
    const table = new AmdV1PageTable(SMALL, memory);
    const other = new AmdV1PageTable(SMALL, memory);
    table.map(4096, 0x100000, 2 * MIB, RW);
    other.map(64 * MIB, 2048, 4096, RW);
    assertEquals([table.tables, other.tables], [2 + 3, 3]);
    assertEquals(memory.used, 5 + 3);
    assertEquals(table.lookup(64 * MIB), undefined);
    assertEquals(other.lookup(4096), undefined);
    table.free();
    assertEquals(memory.used, 3);
    // What these tables mapped is gone, whether all items are stored again or not.
    for (const size of [6144, 6 * MIB]) {
      const next = new AmdV1PageTable(SMALL, memory);
      assertEquals(next.entries(), []);
      next.map(2 * MIB, 2048, size, RW);
      const total = next.entries().reduce((sum, { size }) => sum + size, 0);
      assertEquals(total, size);
      assertEquals(next.unmap(2 * MIB, size), size);
      next.free();
      assertEquals(memory.used, 3);
    }
    assertEquals(other.lookup(64 * MIB + 2048), 4096);
  });

  it("tells which entries are dirty, in rows of one size, and makes them clean", () => {
    const table = new AmdV1PageTable(SMALL);
    // Entries of 4 KiB, of 2 KiB, of 8 KiB and of 2 MiB.
    table.map(4096, 8192, 10 * 4096, RW, 4096);
    table.map(11 * 4096, 0, 2048, RW);
    table.map(12 * 4096 + 8192, 8192, 3 * 8192, RW, 8192);
    table.map(4 * MIB, 0, 4 * MIB, RW, 2 * MIB);
    const read = (iova: number, size: number, flags = 0) => {
      const found: string[] = [];
      table.readDirty(iova, size, flags, {
        isRecording: true,
        record: (at, pgsize, count = 1) => {
          found.push(`${at / 2048} ${pgsize / 2048}x${count}`);
        },
      });
      return found;
    };
    const all = () => read(0, 16 * MIB);
    assertEquals(all(), []);
    // The first or the second item of an entry, it does not matter.
    for (const page of [3, 4.5, 5, 7, 11, 12 + 2, 12 + 5.5, 12 + 6]) {
      table.setDirty(page * 4096);
    }
    table.setDirty(4 * MIB + 5000);
    table.setDirty(8 * MIB - 1);
    const dirty = [
      "6 2x3",
      "14 2x1",
      "22 1x1",
      "28 4x3",
      "2048 1024x2",
    ];
    assertEquals(read(0, 16 * MIB, IOMMU_DIRTY_NO_CLEAR), dirty);
    // A part is told as far as it was asked for, and stays dirty.
    assertEquals(read(4 * 4096 + 2048, 4096), ["9 1x2"]);
    assertEquals(read(7 * MIB, MIB), ["3584 512x1"]);
    assertEquals(all(), dirty);
    assertEquals(all(), []);
  });

  it("reads frames from large entries, small ones and holes", () => {
    const table = new AmdV1PageTable(SMALL);
    table.map(0, 0x7000_0000, 2 * MIB, RW);
    table.map(2 * MIB + 4096, 0x5000, 3 * 4096, RW);
    const out = new Int32Array(517);
    table.readPfns(0, 517, out, 0);
    const expected = Array.from({ length: 512 }, (_, i) => 0x70000 + i);
    assertEquals([...out], [...expected, 0, 5, 6, 7, 0]);
    const list = makeFrameList(2);
    assertEquals(table.readRuns(2 * MIB - 4096, 9, list, 2), 2);
    assertEquals([...list.pfns, ...list.npfns], [0x701ff, 0, 1, 1]);
  });

  it("tells frames apart whose addresses no longer fit into the low word", () => {
    const frames = 2 ** 19;
    for (const third of [frames, 0]) {
      const table = new AmdV1PageTable(SMALL);
      table.map(4096, (frames - 2) * 4096, 2 * 4096, RW);
      table.map(3 * 4096, third * 4096, 4096, RW);
      const out = new Int32Array(3);
      table.readPfns(4096, 3, out, 0);
      assertEquals([...out], [frames - 2, frames - 1, third]);
    }
  });
});
