// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_dirty`: what a bitmap stands for, and where it may be.
 *
 * @module
 */

import { EINVAL } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_FLAGS_DEVICE_HUGE_IOVA } from "../../impl/uapi/selftest.ts";
import { MAP_HUGETLB, MAP_POPULATE, MAP_SHARED } from "../../impl/uapi/mman.ts";
import { assertBytes } from "../harness/harness.ts";
import {
  getDirtyBitmap,
  hwptAlloc,
  hwptData,
  MOCK_IOMMUPT_HUGE,
  setDirtyTracking,
} from "../ioctls/hwpt_ioctls.ts";
import {
  bitmapOf,
  dirty,
  type DirtyFixture,
  type DirtySelf,
  expectDirty,
  GRANULES,
  IOVA,
  rangeOf,
} from "./kit_dirty.ts";

const NO_CLEAR = IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;

/** Adds the tests to the fixture. */
export function registerDirtyBitmaps(f: DirtyFixture): void {
  f.test("no_clear", {
    description:
      "With NO_CLEAR a write is told again and again, without it once",
    rules: ["C2.29"],
  }, async (self) => {
    await dirty(self, [0, 2, GRANULES - 1]);
    for (const flags of [NO_CLEAR, NO_CLEAR, 0]) {
      await expectDirty(self, [0, 2, GRANULES - 1], {}, flags);
    }
    for (const flags of [NO_CLEAR, 0]) await expectDirty(self, [], {}, flags);
  });

  f.table("any_address", {
    description:
      "A bitmap may begin at any byte; bits are added to it, and nothing else is touched",
    rules: ["C2.28"],
    async prepare(self) {
      await dirty(self, BITS);
      return self;
    },
  }, (t) => {
    for (const offset of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 0xff1]) {
      t.case(`at byte ${offset}`, (self) => checkAdded(self, offset));
    }
    for (let before = 1; before <= 5; before++) {
      t.case(
        `${before} bytes before a page`,
        (self) => checkAdded(self, self.io.context.pageSize - before),
      );
      t.case(
        `${before + 3} bytes before the end`,
        (self) => checkAdded(self, self.bitmapSize - 3 - before),
      );
    }
  });

  f.test("part", {
    description:
      "A part of the range is read from bit 0 on; the rest stays dirty",
    rules: ["C2.28"],
  }, async (self) => {
    const { mockPage } = self.io;
    const bits = [...Array(GRANULES).keys()];
    await dirty(self, bits);
    const part = { iova: IOVA + 5n * mockPage, length: 9n * mockPage };
    await expectDirty(self, bits.slice(0, 9), part);
    await expectDirty(self, [], part);
    await expectDirty(self, bits.filter((bit) => bit < 5 || bit >= 14));
  });

  f.table("page_sizes", {
    description: "A bit may stand for any power of two of bytes",
    rules: ["C2.28"],
    async prepare(self) {
      await dirty(self, [3, 8, 9, 30]);
      return self;
    },
  }, (t) => {
    for (let pageSize = 512; pageSize <= 64 * 1024; pageSize *= 2) {
      t.case(`${pageSize} bytes`, async (self) => {
        const { length } = rangeOf(self);
        const bits = new Set<number>();
        for (let at = 0; at < length; at += Math.min(pageSize, 2048)) {
          const isMarked = [3, 8, 9, 30].includes(Math.floor(at / 2048));
          if (isMarked) bits.add(Math.floor(at / pageSize));
        }
        const range = { pageSize: BigInt(pageSize) };
        await expectDirty(self, [...bits], range, NO_CLEAR);
      });
    }
  });

  f.test("iova_alignment", {
    description:
      "A bit may stand for less than an IO page, but no range begins or ends in one",
    rules: ["C2.27"],
  }, async (self) => {
    const { io } = self;
    const pageSize = io.mockPage / 2n;
    const good = rangeOf(self, { pageSize });
    await getDirtyBitmap(io, { ...good, iova: IOVA + pageSize }, 0, EINVAL);
    const part = { ...good, length: good.length - pageSize };
    await getDirtyBitmap(io, part, 0, EINVAL);
    await getDirtyBitmap(io, { ...part, iova: IOVA + pageSize }, 0, EINVAL);
    await dirty(self, [1]);
    await expectDirty(self, [2, 3], { pageSize });
  });

  f.test("windows", {
    description:
      "A bitmap may be longer than what is pinned of it at a time; nothing of it stays pinned",
    rules: ["C2.31"],
  }, checkWindows);

  f.test("huge_pages", {
    description:
      "Memory that is aligned to a large IO page is tracked by that, other memory by small ones",
    rules: ["C2.34"],
    needs: () => ["hugetlb"],
  }, checkHugePages);

  f.test("odd_page_size", {
    description:
      "A page size with several bits counts as its lowest one; ends may not have the bits below its highest that it lacks",
    rules: ["C2.32"],
  }, async (self) => {
    const pageSize = 0x1800n;
    await dirty(self, [0, 3, 7, 8]);
    // Neither end is a multiple of it.
    const range = { pageSize, length: 0x4000n };
    await expectDirty(self, [0, 3, 7], range);
    await expectDirty(self, [8]);
    // Here both are.
    const iova = IOVA + 3n * pageSize - IOVA % pageSize;
    const multiple = rangeOf(self, { pageSize, iova, length: pageSize });
    await getDirtyBitmap(self.io, multiple, 0, EINVAL);
  });

  f.test("areas", {
    description:
      "A read goes through adjacent areas, wherever a bit's range begins and ends",
    rules: ["C2.30"],
  }, async (self) => {
    const { io, ioasId, memory } = self;
    const { page, mockPage } = io;
    const start = IOVA + io.bufferSize;
    for (
      const [offset, granules] of [[0n, 3n], [3n, 1n], [4n, 7n], [11n, 5n]]
    ) {
      const iova = start + offset! * mockPage;
      // Where a page of IOVA begins, memory begins in the middle of one.
      const address = offset! % 2n === 0n ? memory : io.buffer;
      await io.mapFixed(ioasId, address, granules! * mockPage, iova);
    }
    const all = { iova: start, length: 16n * mockPage };
    await dirty(self, [2, 3, 4, 11, 15], all);
    await expectDirty(self, [2, 3, 4, 11, 15], all, NO_CLEAR);
    const pages = { ...all, pageSize: page };
    await expectDirty(self, [1, 2, 5, 7], pages, NO_CLEAR);
    const across = { iova: IOVA, length: io.bufferSize + all.length };
    const bits = [2, 3, 4, 11, 15].map((bit) => GRANULES + bit);
    await expectDirty(self, bits, across);
    await expectDirty(self, [], across);
  });
}

/** IO pages that are dirty, as bits. */
const BITS = [0, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 31];

/** Reads {@link BITS} into a bitmap with other bits, from a byte of its memory on. */
async function checkAdded(self: DirtySelf, offset: number): Promise<void> {
  const { io, bitmap, bitmapSize } = self;
  const bytes = new Uint8Array(bitmapSize).fill(0x24);
  await io.process.poke(bitmap, bytes);
  const address = bitmap + offset;
  await getDirtyBitmap(io, rangeOf(self, { address }), NO_CLEAR);
  const added = bitmapOf(BITS.map((bit) => 8 * offset + bit), bitmapSize);
  added.forEach((byte, i) => bytes[i]! |= byte);
  const seen = await io.process.peek(bitmap, bitmapSize);
  assertBytes(seen, bytes, `bitmap at offset ${offset}`);
}

/** Test `windows`. */
async function checkWindows(self: DirtySelf): Promise<void> {
  const { io, ioasId } = self;
  const { hugePageSize: piece, pageSize: cpuPage } = io.context;
  const ioPage = cpuPage / 2;
  const start = 2n * IOVA;
  const length = 9 * piece;
  const memory = await io.mmap(piece + cpuPage, MAP_SHARED);
  for (let at = 0; at < length; at += piece) {
    await io.mapFixed(ioasId, memory + ioPage, piece, start + BigInt(at));
  }
  // 512 pages of bitmap with a bit for each byte: a window ends after 16 MiB.
  const window = 512 * cpuPage * 8;
  const size = length / 8;
  const address = await io.mmap(size, MAP_SHARED);
  const range = { iova: start, length: BigInt(length), pageSize: 1n, address };
  for (
    const marked of [
      [0, window - ioPage, window, length - ioPage],
      // In the same page of two windows.
      [5 * 8 * cpuPage, window + 5 * 8 * cpuPage + ioPage],
    ]
  ) {
    for (const at of marked) {
      const iova = start + BigInt(at);
      await dirty(self, [0], { iova, length: io.mockPage });
    }
    await getDirtyBitmap(io, rangeOf(self, range));
    await io.mock.checkRefs(address, size, 0);
    for (const at of marked) {
      const first = Math.floor(at / 8 / cpuPage) * cpuPage;
      const expected = new Uint8Array(cpuPage);
      expected.fill(0xff, at / 8 - first, (at + ioPage) / 8 - first);
      const seen = await io.process.peek(address + first, cpuPage);
      assertBytes(seen, expected, `page of the bitmap for offset ${at}`);
      await io.process.poke(address + first, new Uint8Array(cpuPage));
    }
  }
  await io.munmap(address, size);
}

/** Test `huge_pages`. */
async function checkHugePages(self: DirtySelf): Promise<void> {
  const { io } = self;
  const { hugePageSize } = io.context;
  const flags = MAP_SHARED | MAP_HUGETLB | MAP_POPULATE;
  const memory = await io.mmap(hugePageSize, flags);
  const ptId = await io.ioasAlloc();
  const hwptId = await hwptWithHugePages(self, ptId);
  await setDirtyTracking(io, hwptId, true);
  const size = hugePageSize / 2;
  const length = BigInt(size);
  await io.mapFixed(ptId, memory, length, IOVA);
  await io.mapFixed(ptId, memory + size / 2, length, IOVA + 2n * length);

  const aligned = { hwptId, iova: IOVA };
  await dirty(self, [5], aligned);
  const all = [...Array(Number(length / io.mockPage)).keys()];
  await expectDirty(self, all, { ...aligned, length });
  const askew = { hwptId, iova: IOVA + 2n * length };
  await dirty(self, [5], askew);
  const smallest = io.revision.mock.pageTable === "flat" ? [5] : [4, 5];
  await expectDirty(self, smallest, { ...askew, length });
  await io.munmap(memory, hugePageSize);
}

/** A HWPT with IO pages of 1 MiB beside smaller ones: once the device had them, now the page table has. */
async function hwptWithHugePages(
  { io, idevId }: DirtySelf,
  ptId: number,
): Promise<number> {
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
  if (io.revision.mock.pagingTakesData) {
    const data = await hwptData(io, { pagetableType: MOCK_IOMMUPT_HUGE });
    return await hwptAlloc(io, { devId: idevId, ptId, flags, ...data });
  }
  const device = await io.mock.domainFlags(ptId, MOCK_FLAGS_DEVICE_HUGE_IOVA);
  return await hwptAlloc(io, { devId: device.idevId, ptId, flags });
}
