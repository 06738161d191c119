// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_copy`: COPY of parts of areas and across areas, and all its
 * refusals.
 *
 * @module
 */

import {
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IommuIoasCopy,
} from "../../impl/uapi/iommufd.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import {
  assertBytes,
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import { Random } from "../harness/random.ts";

/** What the tests share. */
interface CopySelf {
  readonly io: Iommufd;
  /** An IOAS without domains. */
  readonly src: number;
  /** An IOAS with one. */
  readonly dst: number;
  /** The HWPT of `dst`. */
  readonly hwptId: number;
}

type CopyFixture = Fixture<undefined, CopySelf>;

/** Where the source is mapped. */
const SRC = 2n ** 30n;
/** Where the copy goes. */
const DST = BigInt(MOCK_APERTURE_START);
const READ = IOMMU_IOAS_MAP_READABLE;
const WRITE = IOMMU_IOAS_MAP_WRITEABLE;

/** Adds the fixture's tests to `registry`. */
export function registerKitCopy(registry: Test[]): void {
  const f: CopyFixture = fixture(registry, "kit_copy", {
    upstream: false,
    setup: setupCopy,
    teardown: ({ io }) => io.teardown(),
  });
  registerErrors(f);
  registerRanges(f);
}

async function setupCopy(context: Context): Promise<CopySelf> {
  const io = await Iommufd.open(context);
  const src = await io.ioasAlloc();
  const dst = await io.ioasAlloc();
  const { hwptId } = await io.mock.domain(dst);
  return { io, src, dst, hwptId };
}

/** Refused copies. */
function registerErrors(f: CopyFixture): void {
  f.table("copy_errno", {
    description: "COPY refuses bad arguments in the kernel's order",
    rules: ["B13", "S03", "P10.7"],
    prepare: mapFourPages,
    finish: (self) => copyWith(self, {}),
  }, (t, _variant, revision) => {
    for (const [what, errno, valuesOf] of badCopies(revision)) {
      t.case(what, (self) => copyWith(self, valuesOf(self.io.page), errno));
    }
  });

  f.table("copy_rights", {
    description:
      "Memory that was mapped for reading cannot be copied writeable",
    rules: ["P09.6"],
    async prepare(self) {
      const { io, src } = self;
      await io.mapFixed(src, io.buffer, io.page, SRC, undefined, READ);
      return self;
    },
  }, (t) => {
    const rows: [string, number, Errno?][] = [
      ["for writing", WRITE, EPERM],
      ["for both", READ | WRITE, EPERM],
      ["for reading", READ],
    ];
    for (const [what, rights, errno] of rows) {
      const flags = IOMMU_IOAS_MAP_FIXED_IOVA | rights;
      t.case(what, async (self) => {
        const { io, dst, hwptId } = self;
        await copyWith(self, { flags }, errno);
        if (errno) return;
        await io.mock.checkMap(hwptId, DST, io.page, io.buffer);
        await io.unmap(dst, DST, io.page);
      });
      // The copy is no better than its source.
      t.case(`${what} from a copy`, async (self) => {
        const { io, dst } = self;
        const dstIova = DST + io.page;
        const read = IOMMU_IOAS_MAP_FIXED_IOVA | READ;
        await copyWith(self, { flags: read, dstIova });
        const again = { srcIoasId: dst, srcIova: dstIova };
        await copyWith(self, { flags, ...again }, errno);
        await io.unmap(dst, 0n, U64_MAX);
      });
    }
  });

  f.table("copy_destination", {
    description: "A copy must fit its destination as a map must",
    rules: ["P09.8"],
    async prepare(self) {
      await mapFourPages(self);
      await copyWith(self, {});
      return self;
    },
  }, (t, _variant, { ioas }) => {
    type Values = (io: Iommufd) => Partial<IommuIoasCopy>;
    const rows: [string, Errno | undefined, Values][] = [
      ["a place that is taken", ioas.areaExistsErrno, () => ({})],
      ["a place that is reserved", ioas.reservedIovaErrno, ({ page }) => ({
        dstIova: DST - page,
      })],
      ["an IOVA off by one", EINVAL, ({ page }) => ({
        dstIova: DST + page + 1n,
      })],
      ["a part of an IO page", EINVAL, ({ page }) => ({
        dstIova: DST + page,
        length: 100n,
      })],
      ["a source off by one", EINVAL, ({ page }) => ({
        dstIova: DST + page,
        srcIova: SRC + 1n,
      })],
      ["a source half a page off", undefined, ({ page, mockPage }) => ({
        dstIova: DST + page,
        srcIova: SRC + mockPage,
      })],
    ];
    for (const [what, errno, valuesOf] of rows) {
      t.case(what, (self) => copyWith(self, valuesOf(self.io), errno));
    }
    t.case("anywhere without a domain", async (self) => {
      const dstIoasId = await self.io.ioasAlloc();
      await copyWith(self, { dstIoasId, srcIova: SRC + 1n, dstIova: 7n });
    });
  });

  f.test("copy_bad_memory", {
    description:
      "A copy that meets bad memory undoes what it had copied of the areas before",
    rules: ["P09.9", "B25"],
  }, checkBadMemory);
}

/** Test `copy_bad_memory`. */
async function checkBadMemory(self: CopySelf): Promise<void> {
  const { io, src, dst, hwptId } = self;
  const { page, buffer } = io;
  const nothing = 2n ** 31n;
  const length = 3n * page;
  await io.mapFixed(src, buffer, page, SRC);
  await io.mapFixed(src, buffer + Number(page), page, SRC + page);
  await io.mapFixed(src, nothing, page, SRC + 2n * page);
  const second = await io.mock.domain(dst);
  const copy = { src, dst, srcIova: SRC, dstIova: DST };
  await io.copy({ ...copy, length }, EFAULT);
  await io.mock.checkRefs(buffer, 2n * page, 0);
  // The place is free again, and so are the domains there.
  await io.copy({ ...copy, length: 2n * page });
  for (const id of [hwptId, second.hwptId]) {
    await io.mock.checkMap(id, DST, 2n * page, buffer);
  }
  await io.unmap(dst, DST + 2n * page, page, ENOENT);
}

/** Maps four pages of the buffer in the source. */
async function mapFourPages(self: CopySelf): Promise<CopySelf> {
  const { io, src } = self;
  await io.mapFixed(src, io.buffer, 4n * io.page, SRC);
  return self;
}

/** COPY of the source's first page for writing, unless told otherwise. */
async function copyWith(
  { io, src, dst }: CopySelf,
  values: Partial<IommuIoasCopy>,
  errno?: Errno,
): Promise<void> {
  const good = {
    flags: IOMMU_IOAS_MAP_FIXED_IOVA | WRITE,
    srcIoasId: src,
    dstIoasId: dst,
    srcIova: SRC,
    dstIova: DST,
    length: io.page,
  };
  await io.call(IommuIoasCopy, IOMMU_IOAS_COPY, { ...good, ...values }, errno);
}

/** A row of refused copies: what is wrong, the errno, and the values of the struct. */
type BadCopy = readonly [
  what: string,
  errno: Errno,
  values: (page: bigint) => Partial<IommuIoasCopy>,
];

/** Refused copies of the first of four pages, in the kernel's order of checks. */
function badCopies({ ioas }: Revision): readonly BadCopy[] {
  const nobody = { srcIoasId: 999, dstIoasId: 999 };
  const noRights = { flags: IOMMU_IOAS_MAP_FIXED_IOVA, ...nobody };
  const overflow = ioas.copyChecksIova ? EOVERFLOW : ENOENT;
  const rights = ioas.mapNeedsProt ? EINVAL : ENOENT;
  return [
    ["an unknown flag", EOPNOTSUPP, () => ({ flags: 8, length: U64_MAX })],
    ["length 2^64-1", EOVERFLOW, () => ({ length: U64_MAX, ...nobody })],
    ["source IOVA 2^64-1", overflow, () => ({ srcIova: U64_MAX, ...nobody })],
    [
      "destination IOVA 2^64-1",
      overflow,
      () => ({ dstIova: U64_MAX, ...nobody }),
    ],
    ["no rights", rights, () => noRights],
    ["an unknown source", ENOENT, () => nobody],
    ["length 0", EINVAL, () => ({ length: 0n, dstIoasId: 999 })],
    [
      "a source that wraps",
      EOVERFLOW,
      () => ({ srcIova: U64_MAX - 1n, dstIoasId: 999 }),
    ],
    [
      "a source that is not mapped",
      ENOENT,
      (page) => ({ srcIova: SRC + 4n * page }),
    ],
    ["a source that begins before", ENOENT, () => ({ srcIova: SRC - 1n })],
    [
      "a source that ends behind",
      ENOENT,
      (page) => ({ srcIova: SRC + 3n * page + 1n }),
    ],
    ["an unknown destination", ENOENT, () => ({ dstIoasId: 999 })],
    [
      "neither mapped nor known",
      ENOENT,
      () => ({ srcIova: 0n, dstIoasId: 999 }),
    ],
  ];
}

/** Ranges that can be copied. */
function registerRanges(f: CopyFixture): void {
  f.table("copy_part", {
    description: "Any aligned part of an area can be copied",
    rules: ["P10.7"],
    async prepare(self) {
      const { io, src } = self;
      await io.mapFixed(src, io.buffer, io.bufferSize, SRC);
      return self;
    },
  }, (t) => {
    for (const [first, count] of [[0n, 1n], [1n, 1n], [1n, 2n], [3n, 9n]]) {
      const what = `${count} half pages from the ${first}th on`;
      t.case(what, async ({ io, src, dst, hwptId }) => {
        const length = count! * io.mockPage;
        const offset = first! * io.mockPage;
        const part = { srcIova: SRC + offset, dstIova: DST, length };
        await io.copy({ src, dst, ...part });
        const uptr = BigInt(io.buffer) + offset;
        await io.mock.checkMap(hwptId, DST, length, uptr);
        await io.unmap(dst, DST, length);
      });
    }
  });

  f.test("copy_contiguous", {
    description:
      "Areas that touch can be copied together and become areas again; a gap cannot",
    rules: ["P09.7", "P09.10"],
  }, checkContiguous);

  f.test("copy_gathers", {
    description: "Memory that areas of a domain have in pieces is taken there",
    rules: ["P07.6"],
  }, checkGathers);

  f.test("copy_chosen_iova", {
    description: "The kernel can choose where a copy goes",
    rules: ["P09.8"],
  }, async ({ io, src, dst, hwptId }) => {
    const { page, buffer } = io;
    await io.mapFixed(src, buffer, 8n * page, SRC);
    const srcIova = SRC + 2n * page;
    const iova = await io.copy({ src, dst, srcIova, length: 2n * page });
    assertEq(iova, DST, "IOVA of the copy");
    await io.mock.checkMap(hwptId, iova, 2n * page, BigInt(buffer) + 2n * page);
  });

  f.test("copy_shares_pins", {
    description:
      "However often memory is copied it is pinned once, until the last copy goes",
    rules: ["P00.1", "P08.1"],
  }, async ({ io, src, dst }) => {
    const { buffer, bufferSize: length } = io;
    await io.mapFixed(src, buffer, length, SRC);
    await io.mock.checkRefs(buffer, length, 0);
    const copy = { src, dst, srcIova: SRC, length };
    await io.copy({ ...copy, dstIova: DST });
    await io.mock.checkRefs(buffer, length, 1);
    await io.copy({ ...copy, dstIova: DST + length });
    await io.mock.checkRefs(buffer, length, 1);
    await io.destroy(src);
    await io.unmap(dst, DST, length);
    await io.mock.checkRefs(buffer, length, 1);
    await io.unmap(dst, DST + length, length);
    await io.mock.checkRefs(buffer, length, 0);
  });

  f.test("map_again_pins_again", {
    description: "Memory that is mapped twice is pinned twice",
    rules: ["P08.16"],
  }, async ({ io, dst }) => {
    const { buffer, bufferSize } = io;
    await io.mapFixed(dst, buffer, bufferSize, DST);
    await io.mapFixed(dst, buffer, io.page, DST + bufferSize);
    await io.mock.checkRefs(buffer, io.page, 2);
    const rest = bufferSize - io.page;
    await io.mock.checkRefs(BigInt(buffer) + io.page, rest, 1);
  });
}

/** Test `copy_contiguous`. */
async function checkContiguous(self: CopySelf): Promise<void> {
  const { io, src, dst, hwptId } = self;
  const { page, mockPage } = io;
  const buffer = BigInt(io.buffer);
  // Three areas in a row from memory in another order, then a gap.
  await io.mapFixed(src, buffer + 8n * page, 2n * page, SRC);
  await io.mapFixed(src, buffer, 3n * page, SRC + 2n * page);
  await io.mapFixed(src, buffer + 4n * page, page, SRC + 5n * page);
  await io.mapFixed(src, buffer, page, SRC + 7n * page);

  const whole = { src, dst, srcIova: SRC, dstIova: DST, length: 6n * page };
  await io.copy({ ...whole, length: 6n * page + 1n }, ENOENT);
  await io.copy({ ...whole, length: 8n * page }, ENOENT);
  await io.copy(whole);
  await io.mock.checkMap(hwptId, DST, 2n * page, buffer + 8n * page);
  await io.mock.checkMap(hwptId, DST + 2n * page, 3n * page, buffer);
  const third = buffer + 4n * page;
  await io.mock.checkMap(hwptId, DST + 5n * page, page, third);
  await io.unmap(dst, DST, 3n * page, ENOENT);
  await io.unmap(dst, DST + 2n * page, 3n * page);
  await io.unmap(dst, DST + 5n * page, page);

  // From the middle of one to the middle of another, at half a page.
  const srcIova = SRC + page + mockPage;
  await io.copy({ ...whole, srcIova, length: 2n * page });
  const first = buffer + 9n * page + mockPage;
  await io.mock.checkMap(hwptId, DST, mockPage, first);
  await io.mock.checkMap(hwptId, DST + mockPage, page + mockPage, buffer);
  assertEq(await io.unmap(dst, 0n, U64_MAX), 2n * page, "bytes of the copy");
}

/** Test `copy_gathers`. */
async function checkGathers(self: CopySelf): Promise<void> {
  const { io, src, dst, hwptId } = self;
  const { bufferSize, buffer, page } = io;
  const { pageSize } = io.context;
  await io.mapFixed(src, buffer, bufferSize, SRC);
  // The domain has the memory in pieces, the last one first, with gaps.
  const piece = 4n * page;
  const count = bufferSize / piece;
  for (let i = 0n; i < count; i++) {
    const dstIova = DST + 2n * (count - 1n - i) * piece;
    const srcIova = SRC + i * piece;
    await io.copy({ src, dst, srcIova, dstIova, length: piece });
  }
  const dstIova = DST + 2n * bufferSize;
  await io.copy({ src, dst, srcIova: SRC, dstIova, length: bufferSize });
  await io.mock.checkMap(hwptId, dstIova, bufferSize, buffer);
  await io.mock.checkRefs(buffer, bufferSize, 1);
  await io.unmap(dst, dstIova, bufferSize);

  const contents = new Random(17).bytes(io.memory.bufferSize);
  await io.process.poke(buffer, contents);
  const access = await io.mock.createAccess(src, false);
  const length = io.memory.bufferSize - pageSize;
  await io.mock.accessRw(access, {
    iova: SRC + io.mockPage,
    length,
    uptr: io.scratch,
    flags: MOCK_ACCESS_RW_SLOW_PATH,
  });
  const read = await io.process.peek(io.scratch, length);
  const from = pageSize / 2;
  assertBytes(read, contents.subarray(from, from + length), "bytes read");
  await io.mock.destroyAccess(access);
}
