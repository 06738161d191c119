// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_dirty`: what is refused, and in which order.
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
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IommuHwptGetDirtyBitmap,
} from "../../impl/uapi/iommufd.ts";
import { IOMMU_TEST_OP_DIRTY, TestDirty } from "../../impl/uapi/selftest.ts";
import { assertEq } from "../harness/harness.ts";
import { addSteps } from "../harness/table.ts";
import {
  type Bitmap,
  getDirtyBitmap,
  markDirty,
  nestedAlloc,
} from "../ioctls/hwpt_ioctls.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
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

/** Adds the tests to the fixture. */
export function registerErrnos(f: DirtyFixture): void {
  registerReads(f);
  registerMarking(f);
}

/** What GET_DIRTY_BITMAP refuses. */
function registerReads(f: DirtyFixture): void {
  f.table("get_order", {
    description: "GET_DIRTY_BITMAP checks its arguments in Linux's order",
    rules: ["C2.27"],
    async finish(self) {
      // Nothing was read by any of them.
      await dirty(self, [0]);
      await expectDirty(self, [0]);
    },
  }, (t) => {
    const wrong = { flags: 3, reserved: 1, hwptId: 999, iova: IOVA + 1n };
    addSteps<DirtySelf, Partial<IommuHwptGetDirtyBitmap>>(t, wrong, [
      ["an unknown flag", EOPNOTSUPP, () => ({ flags: 1 })],
      ["a reserved field", EOPNOTSUPP, () => ({ reserved: 0 })],
      ["an id of nothing", ENOENT, ({ ioasId }) => ({ hwptId: ioasId })],
      ["an IOAS", ENOENT, ({ autoId }) => ({ hwptId: autoId })],
      ["no length", EINVAL, () => ({ length: U64_MAX })],
      [
        "a range that wraps",
        EOVERFLOW,
        ({ io }) => ({ length: io.page - 1n }),
      ],
      ["a beginning in a page", EINVAL, () => ({ iova: IOVA })],
      ["an end in a page", EINVAL, ({ io }) => ({ length: io.page })],
      ["no page size", EINVAL, ({ io }) => ({ pageSize: 2n * io.page })],
      [
        "an end in a page of that size",
        EINVAL,
        ({ io }) => ({ iova: IOVA + io.page }),
      ],
      [
        "a beginning in one",
        EINVAL,
        ({ io }) => ({ iova: IOVA, pageSize: io.page }),
      ],
      ["one that cannot track", EOPNOTSUPP, ({ hwptId }) => ({ hwptId })],
    ], ({ io, bitmap }, values, errno) => {
      const cmd = IOMMU_HWPT_GET_DIRTY_BITMAP;
      const all = { data: BigInt(bitmap), ...values };
      return io.call(IommuHwptGetDirtyBitmap, cmd, all, errno);
    });
  });

  f.table("get_last", {
    description: "A range may end with the IOVA space",
    rules: ["C2.27"],
  }, (t) => {
    type Range = (page: bigint) => { iova: bigint; length: bigint };
    const rows: [string, Errno | undefined, Range][] = [
      ["the last page", undefined, (page) => ({
        iova: U64_MAX - page + 1n,
        length: page,
      })],
      ["a byte more", EOVERFLOW, (page) => ({
        iova: U64_MAX - page + 1n,
        length: page + 1n,
      })],
      ["a page more", EOVERFLOW, (page) => ({
        iova: U64_MAX - page + 1n,
        length: 2n * page,
      })],
      ["all but the last byte", EINVAL, () => ({
        iova: 0n,
        length: U64_MAX,
      })],
    ];
    for (const [what, errno, valuesOf] of rows) {
      t.case(what, (self) => {
        const range = rangeOf(self, valuesOf(self.io.page));
        return getDirtyBitmap(self.io, range, 0, errno);
      });
    }
  });
}

/** The test operation DIRTY. */
function mark(
  io: Iommufd,
  values: Partial<TestDirty>,
  errno?: Errno,
): Promise<TestDirty> {
  return io.mock.call("DIRTY", TestDirty, IOMMU_TEST_OP_DIRTY, values, errno);
}

/** The operation that marks. */
function registerMarking(f: DirtyFixture): void {
  f.table("mark_order", {
    description: "The test operation DIRTY checks its arguments in order",
    rules: ["P15.17"],
    async prepare(self) {
      const { io, idevId, hwptId } = self;
      const nested = await nestedAlloc(io, idevId, hwptId);
      await io.process.poke(io.scratch, bitmapOf([1, GRANULES], 8));
      const right: Partial<TestDirty> = {
        id: hwptId,
        iova: IOVA,
        pageSize: io.mockPage,
        length: io.bufferSize,
        uptr: BigInt(io.scratch),
      };
      return { ...self, nested, right };
    },
    async finish(state) {
      const { outNrDirty } = await mark(state.io, state.right);
      const what = "IO pages marked, without those behind the range";
      assertEq(outNrDirty, 1n, what);
      await expectDirty(state, [1]);
    },
  }, (t) => {
    type State = DirtySelf & { nested: number; right: Partial<TestDirty> };
    const wrong = { id: 999, iova: IOVA + 1n };
    addSteps<State, Partial<TestDirty>>(t, wrong, [
      ["no page size", EINVAL, ({ io }) => ({ pageSize: io.mockPage })],
      ["no length", EINVAL, ({ io }) => ({ length: io.mockPage + 1n })],
      ["an IOVA off by one", EINVAL, () => ({ iova: IOVA })],
      [
        "a length off by one",
        EINVAL,
        ({ io }) => ({ length: (2n ** 27n + 1n) * io.mockPage }),
      ],
      ["no bitmap", EINVAL, () => ({ uptr: 1n })],
      [
        "a bitmap that is too long",
        EOVERFLOW,
        ({ io }) => ({ length: io.bufferSize }),
      ],
      ["an id of nothing", ENOENT, ({ ioasId }) => ({ id: ioasId })],
      ["an IOAS", ENOENT, ({ nested }) => ({ id: nested })],
      ["a nested HWPT", ENOENT, ({ autoId }) => ({ id: autoId })],
      ["one that does not track", EINVAL, ({ hwptId }) => ({ id: hwptId })],
      [
        "a bitmap that is not there",
        EFAULT,
        ({ io }) => ({ uptr: BigInt(io.scratch) }),
      ],
    ], ({ io }, values, errno) => mark(io, values, errno));
    const alone: [string, (io: Iommufd) => Partial<TestDirty>][] = [
      ["page size", () => ({ pageSize: 0n })],
      ["length", () => ({ length: 0n })],
      ["end", ({ mockPage }) => ({ length: mockPage + 1n })],
      ["beginning", ({ mockPage }) => ({ iova: IOVA + mockPage / 2n })],
      ["address", () => ({ uptr: 0n })],
    ];
    for (const [what, valuesOf] of alone) {
      t.case(
        `nothing but the ${what}`,
        ({ io, right }) => mark(io, { ...right, ...valuesOf(io) }, EINVAL),
      );
    }
  });

  f.test("mark_page_size", {
    description:
      "DIRTY takes IOVA divided by its page size as the number of an IO page, whatever size that has",
    rules: ["P15.17"],
    until: "6.19",
  }, async (self) => {
    const { page } = self.io;
    const twice = { iova: 2n * IOVA, length: 32n * page, pageSize: page };
    await dirty(self, [0, 5, 31], twice);
    await expectDirty(self, [0, 5, 31]);
    // What is not mapped is not marked, and not counted.
    const more = { ...twice, length: 34n * page };
    assertEq(
      await markBits(self, [30, 31, 32, 33], more),
      2n,
      "IO pages marked",
    );
    await expectDirty(self, [30, 31]);
  });

  f.test("mark_iova", {
    description:
      "DIRTY marks the IO page at each IOVA whose bit is set, and counts the bits, mapped or not",
    rules: ["P15.17"],
    since: "6.19",
  }, async (self) => {
    const { io } = self;
    const pages = { pageSize: io.page };
    await dirty(self, [0, 5, 15], pages);
    await expectDirty(self, [0, 10, 30]);
    const behind = { ...pages, length: io.bufferSize + 2n * io.page };
    assertEq(await markBits(self, [15, 16, 17], behind), 3n, "bits counted");
    await expectDirty(self, [30]);
    // As far behind the last IOVA as the page is behind the first.
    const beyond = { iova: IOVA + 2n ** 38n };
    assertEq(await markBits(self, [0], beyond), 1n, "bits counted");
    await expectDirty(self, []);
    // Within an IO page, and with a size that is no power of two.
    const odd = {
      pageSize: 3n,
      iova: IOVA - IOVA % 3n + 3n,
      length: 1200n * 3n,
    };
    assertEq(await markBits(self, [0, 1], odd), 2n, "bits counted");
    await expectDirty(self, [0]);
    // The range goes on behind the end of the IOVA space.
    const wrapped = {
      iova: 0n - io.page & U64_MAX,
      length: IOVA + 2n * io.page,
    };
    const bit = Number((IOVA + io.page) / io.mockPage);
    const size = Math.ceil((bit + 5) / 8);
    assertEq(await markBits(self, [0, bit], wrapped, size), 2n, "bits counted");
    await expectDirty(self, [0]);
  });
}

/** Marks IO pages; what DIRTY returns. */
async function markBits(
  self: DirtySelf,
  bits: readonly number[],
  values: Partial<Bitmap>,
  size = 64,
): Promise<bigint> {
  const { io } = self;
  await io.process.poke(io.scratch, bitmapOf(bits, size));
  return await markDirty(io, rangeOf(self, { address: io.scratch, ...values }));
}
