// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_page_table`: the mock's page table since 6.19, which has entries
 * of every power of two. How large they are shows in what is dirty: one write
 * makes all of an entry so.
 *
 * @module
 */

import { EINVAL } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
  IOMMU_OPTION_HUGE_PAGES,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_APERTURE_LAST,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import { MAP_HUGETLB, MAP_POPULATE, MAP_SHARED } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  getDirtyBitmap,
  hwptAlloc,
  hwptData,
  markDirty,
  MOCK_IOMMUPT_HUGE,
  setDirtyTracking,
} from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";

/** What the tests share. */
interface TableSelf {
  readonly io: Iommufd;
  readonly ioasId: number;
  readonly idevId: number;
  /** A HWPT that tracks. */
  readonly hwptId: number;
  /** A huge page, so that its frames follow each other. */
  readonly memory: number;
  /** Room for a bitmap of what it maps to. */
  readonly bitmap: number;
}

type TableFixture = Fixture<undefined, TableSelf>;

/** Where a huge page would begin. */
const IOVA = BigInt(MOCK_APERTURE_START);
/** Bytes of an entry of one item. */
const GRANULE = 2048;
const NO_CLEAR = IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR;

/** Adds the fixture's tests to `registry`. */
export function registerKitPageTable(registry: Test[]): void {
  const f: TableFixture = fixture(registry, "kit_page_table", {
    since: "6.19",
    upstream: false,
    needs: () => ["hwpt", "dirty", "hugetlb"],
    setup,
    teardown: async ({ io, memory }) => {
      await io.munmap(memory, io.context.hugePageSize);
      await io.teardown();
    },
  });
  registerSizes(f);
  registerCuts(f);
  registerHuge(f);
}

async function setup(context: Context): Promise<TableSelf> {
  const io = await Iommufd.open(context);
  const { hugePageSize } = context;
  const flags = MAP_SHARED | MAP_HUGETLB | MAP_POPULATE;
  const memory = await io.mmap(hugePageSize, flags);
  const bitmap = await io.mmap(hugePageSize, MAP_SHARED);
  const ioasId = await io.ioasAlloc();
  const { idevId } = await io.mock.domain(ioasId);
  const hwptId = await hwptAlloc(io, {
    devId: idevId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  });
  await setDirtyTracking(io, hwptId, true);
  return { io, ioasId, idevId, hwptId, memory, bitmap };
}

/** Writes through the entry of a byte, counted from {@link IOVA} on. */
async function write(self: TableSelf, at: number): Promise<void> {
  const { io, hwptId } = self;
  await io.process.poke(io.scratch, Uint8Array.of(1));
  const iova = IOVA + BigInt(at);
  const start = iova - iova % BigInt(GRANULE);
  const pageSize = BigInt(GRANULE);
  await markDirty(io, {
    hwptId,
    iova: start,
    length: pageSize,
    pageSize,
    address: io.scratch,
  });
}

/** What is dirty from `from` up to `end`, counted from {@link IOVA} on: first byte and end of each piece. The bits behind stay 0. */
async function readDirty(
  self: TableSelf,
  from: number,
  end: number,
  flags = 0,
): Promise<string> {
  const { io, hwptId, bitmap } = self;
  const size = Math.ceil((end - from) / GRANULE / 8) + 64;
  await io.process.poke(bitmap, new Uint8Array(size));
  await getDirtyBitmap(io, {
    hwptId,
    iova: IOVA + BigInt(from),
    length: BigInt(end - from),
    pageSize: BigInt(GRANULE),
    address: bitmap,
  }, flags);
  const bytes = await io.process.peek(bitmap, size);
  const pieces: string[] = [];
  let start = -1;
  for (let bit = 0; bit < 8 * size; bit++) {
    const isSet = ((bytes[bit >> 3]! >> (bit & 7)) & 1) === 1;
    if (isSet && start < 0) start = bit;
    if (isSet || start < 0) continue;
    pieces.push(`${from + start * GRANULE}-${from + bit * GRANULE}`);
    start = -1;
  }
  return pieces.join(" ");
}

/** How large entries are. */
function registerSizes(f: TableFixture): void {
  f.table("entry_sizes", {
    description:
      "One write makes all of its entry dirty, which is as large as addresses and length allow, and nothing beside it",
    rules: ["P15.18"],
  }, (t) => {
    for (let size = 2 * GRANULE; size <= 2 ** 20; size *= 2) {
      t.case(`${size / 1024} KiB`, async (self) => {
        const { io, ioasId, memory } = self;
        // Two entries: the first is not aligned to more, the second has no room for more.
        const iova = IOVA + BigInt(size);
        const room = Math.min(2 * size, io.context.hugePageSize - size);
        await io.mapFixed(ioasId, memory + size, room, iova);
        for (let at = size; at < size + room; at += size) {
          await write(self, at + size - 1);
          const piece = `${at}-${at + size}`;
          const all = [size, size + room] as const;
          assertEq(await readDirty(self, ...all, NO_CLEAR), piece, "dirty");
          assertEq(await readDirty(self, ...all), piece, "dirty");
          assertEq(await readDirty(self, ...all), "", "dirty");
        }
        await io.mock.checkMap(self.hwptId, iova, room, memory + size);
        await io.unmap(ioasId, iova, room);
      });
    }
    t.case("2 MiB", async (self) => {
      const { io, ioasId, memory } = self;
      const size = io.context.hugePageSize;
      await io.mapFixed(ioasId, memory, size, IOVA);
      await write(self, 700 * GRANULE);
      assertEq(await readDirty(self, 0, size), `0-${size}`, "dirty");
      await io.mock.checkMap(self.hwptId, IOVA, size, memory);
      await io.unmap(ioasId, IOVA, size);
    });
  });

  f.test("up_and_down", {
    description:
      "Entries grow to the largest that fits, and shrink to where the map ends",
    rules: ["P15.18"],
  }, async (self) => {
    const { io, ioasId, memory } = self;
    const { pageSize } = io.context;
    // Pages 1 to 12: 1, 2-3, 4-7, 8-11, 12.
    const [from, end] = [pageSize, 13 * pageSize];
    const iova = IOVA + BigInt(from);
    await io.mapFixed(ioasId, memory + from, end - from, iova);
    for (const [first, after] of [[1, 2], [2, 4], [4, 8], [8, 12], [12, 13]]) {
      await write(self, after! * pageSize - 1);
      const piece = `${first! * pageSize}-${after! * pageSize}`;
      assertEq(await readDirty(self, from, end), piece, "dirty");
    }
    await io.mock.checkMap(self.hwptId, iova, end - from, memory + from);
  });

  f.test("apart", {
    description:
      "Where IOVA and memory differ in a bit, no entry is larger than that",
    rules: ["P15.18"],
  }, async (self) => {
    const { io, ioasId, memory } = self;
    const { pageSize } = io.context;
    const size = 16 * pageSize;
    for (let apart = GRANULE; apart <= 8 * pageSize; apart *= 2) {
      await io.mapFixed(ioasId, memory + apart, size, IOVA);
      await write(self, 0);
      await write(self, size - 1);
      const expected = `0-${apart} ${size - apart}-${size}`;
      const seen = await readDirty(self, 0, size);
      const whole = 2 * apart === size ? `0-${size}` : expected;
      assertEq(seen, whole, `dirty, ${apart} apart`);
      await io.mock.checkMap(self.hwptId, IOVA, size, memory + apart);
      await io.unmap(ioasId, IOVA, size);
    }
  });

  f.test("small_pages", {
    description: "Without large IO pages each CPU page has an entry of its own",
    rules: ["P15.19"],
  }, async (self) => {
    const { io, memory } = self;
    const { pageSize } = io.context;
    const size = 16 * pageSize;
    const other = await io.ioasAlloc();
    await io.setOption(IOMMU_OPTION_HUGE_PAGES, other, 0n);
    const hwptId = await hwptAlloc(io, {
      devId: self.idevId,
      ptId: other,
      flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
    });
    await setDirtyTracking(io, hwptId, true);
    const small = { ...self, hwptId };
    await io.mapFixed(other, memory, size, IOVA);
    await write(small, 5 * pageSize);
    const page = `${5 * pageSize}-${6 * pageSize}`;
    assertEq(await readDirty(small, 0, size), page, "dirty");
    const half = memory + GRANULE;
    await io.mapFixed(other, half, size, IOVA + BigInt(size), EINVAL);
  });
}

/** Calls that cut an entry, or a table. */
function registerCuts(f: TableFixture): void {
  f.test("cut_entry", {
    description:
      "A read of a part of an entry sets the bits of that part, and the entry stays dirty for who asks for the rest",
    rules: ["P15.20"],
    knownBug: () => "loses_dirty_of_cut_entry",
  }, async (self) => {
    const { io, ioasId, memory } = self;
    const size = io.context.hugePageSize;
    await io.mapFixed(ioasId, memory, size, IOVA);
    const cuts = [[0, 2], [4, 9], [1000, 1024], [0, 1023], [1, 1024]];
    // In the one and in the other of its two items.
    for (const written of [100, 900]) {
      await write(self, written * GRANULE);
      for (const [from, end] of cuts) {
        const part = [from! * GRANULE, end! * GRANULE] as const;
        assertEq(await readDirty(self, ...part), part.join("-"), "dirty");
      }
      assertEq(await readDirty(self, 0, size), `0-${size}`, "dirty");
      assertEq(await readDirty(self, 0, size), "", "dirty");
    }
  });

  f.test("two_tables", {
    description:
      "An unmap of the end of one full table and the beginning of the next leaves the rest of both",
    rules: ["P15.22"],
  }, async (self) => {
    const { io, ioasId, hwptId, memory } = self;
    const half = 256 * GRANULE;
    const parts = [[0, 1], [1, 3], [3, 4]].map(([from, end]) =>
      [from! * half, (end! - from!) * half] as const
    );
    for (const [at, size] of parts) {
      await io.mapFixed(ioasId, memory + at, size, IOVA + BigInt(at));
    }
    const [first, middle, last] = parts;
    await io.unmap(ioasId, IOVA + BigInt(middle![0]), middle![1]);
    for (const [at, size] of [first!, last!]) {
      await io.mock.checkMap(hwptId, IOVA + BigInt(at), size, memory + at);
    }
  });
}

/** The other page table. */
function registerHuge(f: TableFixture): void {
  f.test("huge_table", {
    description:
      "MOCK_IOMMUPT_HUGE has pages of 4 KiB and 1 MiB, from IOVA 0 to 2^38-1",
    rules: ["P15.21"],
  }, async (self) => {
    const { io, memory } = self;
    const size = io.context.hugePageSize;
    const ptId = await io.ioasAlloc();
    const data = await hwptData(io, { pagetableType: MOCK_IOMMUPT_HUGE });
    const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    const hwptId = await hwptAlloc(io, {
      devId: self.idevId,
      ptId,
      flags,
      ...data,
    });
    await setDirtyTracking(io, hwptId, true);
    const huge = { ...self, hwptId };
    for (const iova of [0n, 2n ** 38n - BigInt(size)]) {
      await io.mapFixed(ptId, memory, size, iova);
      await io.mock.checkMap(hwptId, iova, size, memory);
      const bits = 2 * GRANULE;
      await io.mock.checkMap(hwptId, iova, bits / 2, memory, EINVAL);
      await io.mock.checkMap(hwptId, iova + 2048n, bits, memory, EINVAL);
    }
    await io.mapFixed(ptId, memory, size, 2n ** 38n, EINVAL);
    const half = memory + GRANULE;
    await io.mapFixed(ptId, half, 2 * GRANULE, IOVA + 2048n, EINVAL);
    await io.mapFixed(ptId, memory, size, IOVA);
    await write(huge, 2 ** 20 + 5);
    assertEq(await readDirty(huge, 0, size), `${2 ** 20}-${size}`, "dirty");
    await io.unmap(ptId, IOVA, size);
    await io.mapFixed(ptId, memory + 8192, 8192, IOVA);
    await write(huge, 0);
    assertEq(await readDirty(huge, 0, 8192), "0-4096", "dirty");
  });

  f.test("aperture", {
    description:
      "MOCK_IOMMUPT_DEFAULT maps from 16 MiB up to 2 GiB, in units of 2 KiB",
    rules: ["P15.21"],
  }, async ({ io, ioasId, hwptId, memory }) => {
    const last = BigInt(MOCK_APERTURE_LAST) + 1n - 2048n;
    await io.mapFixed(ioasId, memory, 2048, last);
    await io.mock.checkMap(hwptId, last, 2048, memory);
    await io.mapFixed(ioasId, memory, 2048, last + 2048n, EINVAL);
    await io.mapFixed(ioasId, memory, 2048, IOVA);
    await io.mapFixed(ioasId, memory, 2048, IOVA - 2048n, EINVAL);
    await io.mapFixed(ioasId, memory, 1024, IOVA + 4096n, EINVAL);
  });
}
