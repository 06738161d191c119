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
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IommuHwptSetDirtyTracking,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
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
import { BUFFER_PAGES, Iommufd } from "../ioctls/ioctls.ts";
import { registerDirtyBitmaps } from "./kit_dirty_bitmap.ts";
import { registerErrnos } from "./kit_dirty_errno.ts";

/** What the tests share. */
export interface DirtySelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS that has memory at {@link IOVA}, as much as the test buffer. */
  readonly ioasId: number;
  /** Its address, in the middle of a page: see {@link halfPages}. */
  readonly memory: number;
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

/** Where the memory is mapped. */
export const IOVA: bigint = BigInt(MOCK_APERTURE_START);
/** IO pages that are mapped there. */
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
  registerSwallowed(f);
  registerErrnos(f);
  registerDirtyBitmaps(f);
}

async function setup(context: Context): Promise<DirtySelf> {
  const io = await Iommufd.open(context);
  const { pageSize } = context;
  const ioasId = await io.ioasAlloc();
  const { idevId, hwptId: autoId } = await io.mock.domain(ioasId);
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_NEST_PARENT;
  const hwptId = await hwptAlloc(io, { devId: idevId, ptId: ioasId, flags });
  const memory = await halfPages(io);
  await io.mapFixed(ioasId, memory, io.bufferSize, IOVA);
  await setDirtyTracking(io, hwptId, true);
  const bitmapSize = 2 * pageSize;
  const bitmap = await io.mmap(bitmapSize + pageSize, MAP_PRIVATE);
  await io.munmap(bitmap + bitmapSize, pageSize);
  return { io, ioasId, idevId, autoId, hwptId, memory, bitmap, bitmapSize };
}

/**
 * As much memory as the test buffer that begins in the middle of a page: at an
 * IOVA where a page begins it takes entries of one IO page, so that each IO page
 * is dirty by itself whatever the page table can do.
 */
async function halfPages(io: Iommufd): Promise<number> {
  const size = Number(io.bufferSize) + io.context.pageSize;
  const memory = await io.mmap(size, MAP_SHARED);
  return memory + Number(io.mockPage);
}

/** The range of the memory with a bit for each IO page and the bitmap at its place, unless told otherwise. */
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

/** Marks IO pages dirty, counted from the start of the memory unless told otherwise. */
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
  f.table("set_errno", {
    description:
      "Only a HWPT of an IOAS that was allocated for it can track; flags come first",
    rules: ["C2.26"],
    async finish(self) {
      await dirty(self, [0]);
      await expectDirty(self, [0]);
    },
  }, (t) => {
    function refused(
      what: string,
      errno: Errno,
      values: (
        self: DirtySelf,
      ) =>
        | Partial<IommuHwptSetDirtyTracking>
        | Promise<Partial<IommuHwptSetDirtyTracking>>,
    ): void {
      t.case(what, async (self) => {
        const cmd = IOMMU_HWPT_SET_DIRTY_TRACKING;
        const sent = { flags: 1, ...await values(self) };
        await self.io.call(IommuHwptSetDirtyTracking, cmd, sent, errno);
      });
    }
    for (const flags of [2, 3, 0x80000000]) {
      const what = `flags 0x${flags.toString(16)} before the id`;
      refused(what, EOPNOTSUPP, () => ({ flags, hwptId: 999 }));
    }
    refused("an id of nothing", ENOENT, () => ({ hwptId: 999 }));
    refused("id 0", ENOENT, () => ({ hwptId: 0 }));
    refused("an IOAS", ENOENT, ({ ioasId }) => ({ hwptId: ioasId }));
    refused("a device", ENOENT, ({ idevId }) => ({ hwptId: idevId }));
    refused("a nested HWPT", ENOENT, async ({ io, idevId, hwptId }) => ({
      hwptId: await nestedAlloc(io, idevId, hwptId),
    }));
    for (const flags of [0, 1]) {
      const what = `one that cannot track, ${flags ? "on" : "off"}`;
      refused(what, EOPNOTSUPP, ({ autoId }) => ({ flags, hwptId: autoId }));
    }
  });

  f.table("on_off", {
    description:
      "Turning tracking on forgets what is dirty, also if it is on; turning it off does not",
    rules: ["C2.26"],
    async finish(self) {
      await dirty(self, [3]);
      await expectDirty(self, [3]);
    },
  }, (t) => {
    for (const times of [0, 1, 2]) {
      t.case(`on after ${times} times off`, async (self) => {
        const { io, hwptId } = self;
        await dirty(self, [1, 5]);
        for (let i = 0; i < times; i++) {
          await setDirtyTracking(io, hwptId, false);
        }
        await setDirtyTracking(io, hwptId, true);
        await expectDirty(self, []);
      });
    }
  });

  f.test("on_all_areas", {
    description: "Turning tracking on forgets what is dirty in every area",
    rules: ["C2.26"],
  }, async (self) => {
    const { io, ioasId, hwptId, memory } = self;
    const length = 2n * io.bufferSize;
    await io.mapFixed(ioasId, memory, io.bufferSize, IOVA + io.bufferSize);
    await dirty(self, [0, GRANULES, 2 * GRANULES - 1], { length });
    await setDirtyTracking(io, hwptId, true);
    await expectDirty(self, [], { length });
  });

  f.test("hwpts_apart", {
    description: "Each HWPT of an IOAS tracks for itself",
    rules: ["C2.33"],
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
    rules: ["C2.33"],
  }, async (self) => {
    const { io, ioasId, memory } = self;
    await dirty(self, [0, 7]);
    await io.unmap(ioasId, IOVA, io.bufferSize);
    await io.mapFixed(ioasId, memory, io.bufferSize, IOVA);
    await expectDirty(self, []);
  });
}

/** Reads that end early and succeed. */
function registerSwallowed(f: DirtyFixture): void {
  f.test("off", {
    description:
      "While tracking is off a read succeeds; the mock's newer page table tells what was dirty before",
    rules: ["C2.29"],
  }, async (self) => {
    const { io, hwptId } = self;
    await dirty(self, [4]);
    await setDirtyTracking(io, hwptId, false);
    await expectDirty(self, io.revision.mock.pageTable === "flat" ? [] : [4]);
    await expectDirty(self, []);
  });

  f.test("hole", {
    description:
      "A range with a hole is read up to the hole; what is behind it stays dirty",
    rules: ["C2.30"],
  }, async (self) => {
    const { io, ioasId, memory } = self;
    const { page } = io;
    const above = IOVA + io.bufferSize + page;
    await io.mapFixed(ioasId, memory, page, above);
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

  f.table("bad_bitmap", {
    description:
      "A bit whose place in memory cannot be written is lost: the read succeeds and the page is clean",
    rules: ["C2.30"],
    finish: (self) => expectDirty(self, []),
  }, (t) => {
    type Place = (self: DirtySelf) => number;
    function row(
      what: string,
      address: Place,
      marked: readonly number[],
      seen: readonly number[],
    ): void {
      t.case(what, async (self) => {
        await dirty(self, marked);
        await expectDirty(self, seen, { address: address(self) });
        await expectDirty(self, []);
      });
    }
    const nowhere: Place = ({ bitmap, bitmapSize }) => bitmap + bitmapSize;
    row("at 0", () => 0, [0, 9], []);
    row("not there", nowhere, [0, 9], []);
    row("in the kernel", () => 2 ** 63, [0, 9], []);
    const four = [0, 15, 16, 31];
    row("the first half there", (self) => nowhere(self) - 2, four, [0, 15]);
    row("all there", (self) => nowhere(self) - 4, four, four);

    t.case("not there, with NO_CLEAR", async (self) => {
      await dirty(self, [0, 9]);
      await expectDirty(self, [], { address: nowhere(self) }, 1);
      await expectDirty(self, [0, 9]);
    });
    t.case("a page that may only be read", async (self) => {
      const { io, bitmap } = self;
      const { pageSize } = io.context;
      await io.process.mprotect(bitmap + pageSize, pageSize, PROT_READ);
      await dirty(self, [0, 15, 16, 31]);
      const address = bitmap + pageSize - 3;
      await getDirtyBitmap(io, rangeOf(self, { address }));
      await io.process.mprotect(bitmap + pageSize, pageSize, READ_WRITE);
      const seen = await io.process.peek(address, 4);
      const expected = bitmapOf([0, 15, 16], 4);
      assertBytes(seen, expected, "bitmap, half of it read-only");
      await expectDirty(self, []);
    });
  });
}
