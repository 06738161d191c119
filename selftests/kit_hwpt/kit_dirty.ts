// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_dirty`: dirty tracking. Errnos in the kernel's order, and the
 * reads that succeed although something is wrong: the kernel drops how the walk
 * over the range ended. What is in the bitmap then, and what is still dirty, is
 * part of the interface.
 *
 * @module
 */

import {
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IommuHwptGetDirtyBitmap,
  IommuHwptSetDirtyTracking,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_OP_DIRTY,
  MOCK_APERTURE_START,
  TestDirty,
} from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE, PROT_READ, PROT_WRITE } from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  type Bitmap,
  getDirtyBitmap,
  hwptAlloc,
  markDirty,
  nestedAlloc,
  setDirtyTracking,
} from "../ioctls/hwpt_ioctls.ts";
import { BUFFER_PAGES, Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import { registerDirtyBitmaps } from "./kit_dirty_bitmap.ts";

/** What the tests share. */
export interface DirtySelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS that has the test buffer at {@link IOVA}. */
  readonly ioasId: number;
  /** A mock device, and the HWPT without tracking that it is attached to. */
  readonly idevId: number;
  /** See `idevId`. */
  readonly autoId: number;
  /** A HWPT that can track; tracking is on. */
  readonly hwptId: number;
  /** Two pages for bitmaps, and nothing behind them. */
  readonly bitmap: number;
  /** Bytes of the two pages. */
  readonly bitmapSize: number;
}

/** The fixture as the files of its tests see it. */
export type DirtyFixture = Fixture<undefined, DirtySelf>;

/** Where the test buffer is mapped. */
export const IOVA: bigint = BigInt(MOCK_APERTURE_START);
/** IO pages that are mapped there: the whole buffer. */
export const GRANULES: number = 2 * BUFFER_PAGES;

const READ_WRITE = PROT_READ | PROT_WRITE;

/** Adds the fixture's tests to `registry`. */
export function registerKitDirty(registry: Test[]): void {
  const f: DirtyFixture = fixture(registry, "kit_dirty", {
    since: "6.7",
    upstream: false,
    needs: () => ["hwpt", "dirty"],
    setup,
    teardown: ({ io }) => io.teardown(),
  });
  registerSwitch(f);
  registerErrnos(f);
  registerSwallowed(f);
  registerMarking(f);
  registerDirtyBitmaps(f);
}

async function setup(context: Context): Promise<DirtySelf> {
  const io = await Iommufd.open(context);
  const { pageSize } = context;
  const ioasId = await io.ioasAlloc();
  const { idevId, hwptId: autoId } = await io.mock.domain(ioasId);
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_NEST_PARENT;
  const hwptId = await hwptAlloc(io, { devId: idevId, ptId: ioasId, flags });
  await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
  await setDirtyTracking(io, hwptId, true);
  const bitmapSize = 2 * pageSize;
  const bitmap = await io.mmap(bitmapSize + pageSize, MAP_PRIVATE);
  await io.munmap(bitmap + bitmapSize, pageSize);
  return { io, ioasId, idevId, autoId, hwptId, bitmap, bitmapSize };
}

/** The range of the test buffer with a bit for each IO page and the bitmap at its place, unless told otherwise. */
export function rangeOf(
  { io, hwptId, bitmap }: DirtySelf,
  values: Partial<Bitmap> = {},
): Bitmap {
  return {
    hwptId,
    iova: IOVA,
    length: io.bufferSize,
    pageSize: io.mockPage,
    address: bitmap,
    ...values,
  };
}

/** A bitmap with these bits set. */
export function bitmapOf(
  bits: readonly number[],
  length: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (const bit of bits) bytes[bit >> 3]! |= 1 << (bit & 7);
  return bytes;
}

/** Marks IO pages dirty, counted from the start of the test buffer unless told otherwise. */
export async function dirty(
  self: DirtySelf,
  granules: readonly number[],
  values: Partial<Bitmap> = {},
): Promise<void> {
  const { io } = self;
  await io.process.poke(io.scratch, bitmapOf(granules, 64));
  const address = io.scratch;
  const marked = await markDirty(io, rangeOf(self, { address, ...values }));
  assertEq(marked, BigInt(granules.length), "IO pages marked");
}

/** Reads dirty bits into a bitmap of zeros; only these may be set then, in both pages of it. */
export async function expectDirty(
  self: DirtySelf,
  bits: readonly number[],
  values: Partial<Bitmap> = {},
  flags = 0,
): Promise<void> {
  const { io, bitmap, bitmapSize } = self;
  await io.process.poke(bitmap, new Uint8Array(bitmapSize));
  const range = rangeOf(self, values);
  await getDirtyBitmap(io, range, flags);
  const offset = 8 * Math.max(0, range.address - bitmap);
  const expected = bitmapOf(bits.map((bit) => offset + bit), bitmapSize);
  const seen = await io.process.peek(bitmap, bitmapSize);
  assertBytes(seen, expected, "dirty bitmap");
}

/** Turning tracking on and off. */
function registerSwitch(f: DirtyFixture): void {
  f.test("set_errno", {
    description:
      "Only a HWPT of an IOAS that was allocated for it can track; flags come first",
    reference: "hw_pagetable.c iommufd_hwpt_set_dirty_tracking; C2.26",
  }, async (self) => {
    const { io, ioasId, idevId, autoId, hwptId } = self;
    const nested = await nestedAlloc(io, idevId, hwptId);
    async function set(
      values: Partial<IommuHwptSetDirtyTracking>,
      errno: Errno,
    ): Promise<void> {
      const cmd = IOMMU_HWPT_SET_DIRTY_TRACKING;
      await io.call(IommuHwptSetDirtyTracking, cmd, values, errno);
    }
    for (const flags of [2, 3, 0x80000000]) {
      await set({ flags, hwptId: 999 }, EOPNOTSUPP);
    }
    for (const id of [999, 0, ioasId, idevId, nested]) {
      await set({ flags: 1, hwptId: id }, ENOENT);
    }
    for (const flags of [0, 1]) {
      await set({ flags, hwptId: autoId }, EOPNOTSUPP);
    }
    await dirty(self, [0]);
    await expectDirty(self, [0]);
  });

  f.test("on_off", {
    description:
      "Turning tracking on forgets what is dirty, also if it is on; turning it off does not",
    reference: "io_pagetable.c iopt_set_dirty_tracking; C2.26",
  }, async (self) => {
    const { io, hwptId } = self;
    for (const off of [false, true]) {
      await dirty(self, [1, 5]);
      if (off) {
        await setDirtyTracking(io, hwptId, false);
        await setDirtyTracking(io, hwptId, false);
      }
      await setDirtyTracking(io, hwptId, true);
      await expectDirty(self, []);
    }
    await dirty(self, [3]);
    await expectDirty(self, [3]);
  });

  f.test("on_all_areas", {
    description: "Turning tracking on forgets what is dirty in every area",
    reference: "io_pagetable.c iopt_clear_dirty_data; C2.26",
  }, async (self) => {
    const { io, ioasId, hwptId } = self;
    const length = 2n * io.bufferSize;
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA + io.bufferSize);
    await dirty(self, [0, GRANULES, 2 * GRANULES - 1], { length });
    await setDirtyTracking(io, hwptId, true);
    await expectDirty(self, [], { length });
  });

  f.test("hwpts_apart", {
    description: "Each HWPT of an IOAS tracks for itself",
    reference: "selftest.c mock_domain_set_dirty_tracking",
  }, async (self) => {
    const { io, ioasId, idevId } = self;
    const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    const values = { devId: idevId, ptId: ioasId, flags };
    const other = await hwptAlloc(io, values);
    const range = { hwptId: other };
    await markDirty(io, rangeOf(self, range), EINVAL);
    await setDirtyTracking(io, other, true);
    await dirty(self, [0, 1]);
    await dirty(self, [2], range);
    await expectDirty(self, [2], range);
    await setDirtyTracking(io, other, false);
    await expectDirty(self, [0, 1]);
  });

  f.test("unmapped", {
    description: "What is unmapped and mapped again is clean",
    reference: "selftest.c mock_domain_unmap_pages",
  }, async (self) => {
    const { io, ioasId } = self;
    await dirty(self, [0, 7]);
    await io.unmap(ioasId, IOVA, io.bufferSize);
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
    await expectDirty(self, []);
  });
}

/** What GET_DIRTY_BITMAP refuses. */
function registerErrnos(f: DirtyFixture): void {
  f.test("get_order", {
    description: "GET_DIRTY_BITMAP checks its arguments in Linux's order",
    reference:
      "hw_pagetable.c iommufd_hwpt_get_dirty_bitmap, io_pagetable.c iommufd_check_iova_range; C2.27",
  }, async (self) => {
    const { io, autoId, hwptId, ioasId } = self;
    const { page } = io;
    let values: Partial<IommuHwptGetDirtyBitmap> = {
      flags: 3,
      reserved: 1,
      hwptId: 999,
      iova: IOVA + 1n,
      data: BigInt(self.bitmap),
    };
    const steps: [Errno, Partial<IommuHwptGetDirtyBitmap>][] = [
      [EOPNOTSUPP, { flags: 1 }],
      [EOPNOTSUPP, { reserved: 0 }],
      [ENOENT, { hwptId: ioasId }],
      [ENOENT, { hwptId: autoId }],
      // Length 0, a range that wraps, an end and the other that do not fit.
      [EINVAL, { length: U64_MAX }],
      [EOVERFLOW, { length: page - 1n }],
      [EINVAL, { iova: IOVA }],
      [EINVAL, { length: page }],
      // No page size, ends that do not fit it.
      [EINVAL, { pageSize: 2n * page }],
      [EINVAL, { iova: IOVA + page, pageSize: 2n * page }],
      [EINVAL, { iova: IOVA, pageSize: page }],
      // It cannot track.
      [EOPNOTSUPP, { hwptId }],
    ];
    const cmd = IOMMU_HWPT_GET_DIRTY_BITMAP;
    for (const [errno, better] of steps) {
      await io.call(IommuHwptGetDirtyBitmap, cmd, values, errno);
      values = { ...values, ...better };
    }
    await io.call(IommuHwptGetDirtyBitmap, cmd, values);
    // Nothing was read by any of them.
    await dirty(self, [0]);
    await expectDirty(self, [0]);
  });

  f.test("get_last", {
    description: "A range may end with the IOVA space",
    reference: "io_pagetable.c iommufd_check_iova_range",
  }, async (self) => {
    const { io } = self;
    const { page } = io;
    const range = rangeOf(self, { iova: U64_MAX - page + 1n, length: page });
    await getDirtyBitmap(io, range);
    await getDirtyBitmap(io, { ...range, length: page + 1n }, 0, EOVERFLOW);
    await getDirtyBitmap(io, { ...range, length: 2n * page }, 0, EOVERFLOW);
    const whole = rangeOf(self, { iova: 0n, length: U64_MAX });
    await getDirtyBitmap(io, whole, 0, EINVAL);
  });
}

/** Reads that end early and succeed. */
function registerSwallowed(f: DirtyFixture): void {
  f.test("off", {
    description: "While tracking is off a read succeeds and gives nothing",
    reference: "io_pagetable.c iommu_read_and_clear_dirty; C2.27",
  }, async (self) => {
    const { io, hwptId } = self;
    await dirty(self, [4]);
    await setDirtyTracking(io, hwptId, false);
    await expectDirty(self, []);
  });

  f.test("hole", {
    description:
      "A range with a hole is read up to the hole; what is behind it stays dirty",
    reference: "io_pagetable.c __iommu_read_and_clear_dirty; C2.27",
  }, async (self) => {
    const { io, ioasId } = self;
    const { page } = io;
    const above = IOVA + io.bufferSize + page;
    await io.mapFixed(ioasId, io.buffer, page, above);
    const length = io.bufferSize + 2n * page;
    const behind = GRANULES + 2;
    await dirty(self, [0, 6, behind, behind + 1], { length });
    await expectDirty(self, [0, 6], { length });
    await expectDirty(self, [], { length });
    const only = { iova: above, length: page };
    await expectDirty(self, [0, 1], only);
    await expectDirty(self, [], only);

    await dirty(self, [behind], { length });
    const fromHole = { iova: above - page, length: 2n * page };
    await expectDirty(self, [], fromHole);
    await expectDirty(self, [], { iova: 0n, length: IOVA + page });
    await expectDirty(self, [0], only);
  });

  f.test("bad_bitmap", {
    description:
      "A bit whose place in memory cannot be written is lost: the read succeeds and the page is clean",
    reference: "iova_bitmap.c iova_bitmap_set; C2.27",
  }, async (self) => {
    const { io, bitmap, bitmapSize } = self;
    const { pageSize } = io.context;
    const nowhere = bitmap + bitmapSize;
    for (const address of [0, nowhere, 2 ** 63]) {
      await dirty(self, [0, 9]);
      await expectDirty(self, [], { address });
      await expectDirty(self, []);
    }
    // With NO_CLEAR nothing is lost.
    await dirty(self, [0, 9]);
    await expectDirty(self, [], { address: nowhere }, 1);
    await expectDirty(self, [0, 9]);

    // The first two bytes are in memory.
    await dirty(self, [0, 15, 16, 31]);
    await expectDirty(self, [0, 15], { address: nowhere - 2 });
    await expectDirty(self, []);
    await dirty(self, [0, 15, 16, 31]);
    await expectDirty(self, [0, 15, 16, 31], { address: nowhere - 4 });

    // A page that may only be read.
    await io.process.mprotect(bitmap + pageSize, pageSize, PROT_READ);
    await dirty(self, [0, 15, 16, 31]);
    const address = bitmap + pageSize - 3;
    await getDirtyBitmap(io, rangeOf(self, { address }));
    await io.process.mprotect(bitmap + pageSize, pageSize, READ_WRITE);
    const seen = await io.process.peek(address, 4);
    assertBytes(seen, bitmapOf([0, 15, 16], 4), "bitmap, half of it read-only");
    await expectDirty(self, []);
  });
}

/** The operation that marks. */
function registerMarking(f: DirtyFixture): void {
  f.test("mark_order", {
    description: "The test operation DIRTY checks its arguments in order",
    reference: "selftest.c iommufd_test_dirty",
  }, async (self) => {
    const { io, idevId, autoId, hwptId, ioasId } = self;
    const { mockPage } = io;
    const nested = await nestedAlloc(io, idevId, hwptId);
    let values: Partial<TestDirty> = { id: 999, iova: IOVA + 1n };
    const steps: [Errno, Partial<TestDirty>][] = [
      [EINVAL, { pageSize: mockPage }],
      [EINVAL, { length: mockPage + 1n }],
      [EINVAL, { iova: IOVA }],
      [EINVAL, { length: (2n ** 27n + 1n) * mockPage }],
      [EINVAL, { uptr: 1n }],
      [EOVERFLOW, { length: io.bufferSize }],
      [ENOENT, { id: ioasId }],
      [ENOENT, { id: nested }],
      [ENOENT, { id: autoId }],
      [EINVAL, { id: hwptId }],
      [EFAULT, { uptr: BigInt(io.scratch) }],
    ];
    for (const [errno, better] of steps) {
      await io.mock.call(
        "DIRTY",
        TestDirty,
        IOMMU_TEST_OP_DIRTY,
        values,
        errno,
      );
      values = { ...values, ...better };
    }
    const wrongAlone: Partial<TestDirty>[] = [
      { pageSize: 0n },
      { length: 0n },
      { length: mockPage + 1n },
      { iova: IOVA + mockPage / 2n },
      { uptr: 0n },
    ];
    for (const wrong of wrongAlone) {
      const bad = { ...values, ...wrong };
      await io.mock.call("DIRTY", TestDirty, IOMMU_TEST_OP_DIRTY, bad, EINVAL);
    }
    await io.process.poke(io.scratch, bitmapOf([1, GRANULES], 8));
    const { outNrDirty } = await io.mock.call(
      "DIRTY",
      TestDirty,
      IOMMU_TEST_OP_DIRTY,
      values,
    );
    assertEq(outNrDirty, 1n, "IO pages marked, without those behind the range");
    await expectDirty(self, [1]);
  });

  f.test("mark_page_size", {
    description:
      "DIRTY takes IOVA divided by its page size as the number of an IO page, whatever size that has",
    reference: "selftest.c iommufd_test_dirty",
  }, async (self) => {
    const { page } = self.io;
    const twice = { iova: 2n * IOVA, length: 32n * page, pageSize: page };
    await dirty(self, [0, 5, 31], twice);
    await expectDirty(self, [0, 5, 31]);
    // What is not mapped is not marked, and not counted.
    const { io } = self;
    await io.process.poke(io.scratch, bitmapOf([30, 31, 32, 33], 64));
    const address = io.scratch;
    const length = 34n * page;
    const more = rangeOf(self, { ...twice, length, address });
    assertEq(await markDirty(io, more), 2n, "IO pages marked");
    await expectDirty(self, [30, 31]);
  });
}
