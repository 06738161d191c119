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
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IommuIoasCopy,
} from "../../impl/uapi/iommufd.ts";
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
  f.test("copy_errno", {
    description: "COPY refuses bad arguments in the kernel's order",
    reference: "ioas.c iommufd_ioas_copy; B13, S03, P10.7",
  }, checkCopyErrors);

  f.test("copy_rights", {
    description:
      "Memory that was mapped for reading cannot be copied writeable",
    reference: "io_pagetable.c iopt_insert_area; P09.6",
  }, async ({ io, src, dst, hwptId }) => {
    const { page, buffer } = io;
    const read = IOMMU_IOAS_MAP_READABLE;
    const write = IOMMU_IOAS_MAP_WRITEABLE;
    const copy = { src, dst, srcIova: SRC, dstIova: DST, length: page };
    await io.mapFixed(src, buffer, page, SRC, undefined, read);
    await io.copy({ ...copy, prot: write }, EPERM);
    await io.copy({ ...copy, prot: read | write }, EPERM);
    await io.copy({ ...copy, prot: read });
    await io.mock.checkMap(hwptId, DST, page, buffer);
    // The copy is no better than its source.
    const again = { ...copy, src: dst, srcIova: DST, dstIova: DST + page };
    await io.copy({ ...again, prot: write }, EPERM);
    await io.copy({ ...again, prot: read });
  });

  f.test("copy_destination", {
    description: "A copy must fit its destination as a map must",
    reference: "io_pagetable.c iopt_map_pages",
  }, async ({ io, src, dst }) => {
    const { page, mockPage, buffer } = io;
    await io.mapFixed(src, buffer, 4n * page, SRC);
    const copy = { src, dst, srcIova: SRC, dstIova: DST, length: page };
    await io.copy(copy);
    await io.copy(copy, io.revision.ioas.areaExistsErrno);
    const reserved = io.revision.ioas.reservedIovaErrno;
    await io.copy({ ...copy, dstIova: DST - page }, reserved);
    await io.copy({ ...copy, dstIova: DST + page + 1n }, EINVAL);
    await io.copy({ ...copy, dstIova: DST + page, length: 100n }, EINVAL);
    const askew = { ...copy, srcIova: SRC + 1n, dstIova: DST + page };
    await io.copy(askew, EINVAL);
    await io.copy({ ...askew, srcIova: SRC + mockPage });
    // Without a domain in the destination nothing need be aligned.
    const other = await io.ioasAlloc();
    await io.copy({ ...askew, dst: other, dstIova: 7n });
  });

  f.test("copy_bad_memory", {
    description:
      "A copy that meets bad memory undoes what it had copied of the areas before",
    reference: "io_pagetable.c iopt_fill_domains_pages; P09.9, B25",
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

/** Test `copy_errno`. */
async function checkCopyErrors({ io, src, dst }: CopySelf): Promise<void> {
  const { page, buffer, revision } = io;
  await io.mapFixed(src, buffer, 4n * page, SRC);
  const good = {
    flags: IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE,
    srcIoasId: src,
    dstIoasId: dst,
    srcIova: SRC,
    dstIova: DST,
    length: page,
  };
  const nobody = { srcIoasId: 999, dstIoasId: 999 };
  const noRights = { flags: IOMMU_IOAS_MAP_FIXED_IOVA, ...nobody };
  const overflow = revision.ioas.copyChecksIova ? EOVERFLOW : ENOENT;
  const rights = revision.ioas.mapNeedsProt ? EINVAL : ENOENT;
  const cases = [
    ["unknown flag", { flags: 8, length: U64_MAX }, EOPNOTSUPP],
    ["length 2^64-1", { length: U64_MAX, ...nobody }, EOVERFLOW],
    ["source IOVA 2^64-1", { srcIova: U64_MAX, ...nobody }, overflow],
    ["destination IOVA 2^64-1", { dstIova: U64_MAX, ...nobody }, overflow],
    ["no rights", noRights, rights],
    ["unknown source", nobody, ENOENT],
    ["length 0", { length: 0n, dstIoasId: 999 }, EINVAL],
    [
      "source that wraps",
      { srcIova: U64_MAX - 1n, dstIoasId: 999 },
      EOVERFLOW,
    ],
    ["source that is not mapped", { srcIova: SRC + 4n * page }, ENOENT],
    ["source that starts before", { srcIova: SRC - 1n }, ENOENT],
    ["source that ends behind", { srcIova: SRC + 3n * page + 1n }, ENOENT],
    ["unknown destination", { dstIoasId: 999 }, ENOENT],
    ["neither mapped nor known", { srcIova: 0n, dstIoasId: 999 }, ENOENT],
  ] as const;
  for (const [what, values, errno] of cases) {
    const bad = { ...good, ...values };
    await io.call(IommuIoasCopy, IOMMU_IOAS_COPY, bad, errno, what);
  }
  await io.call(IommuIoasCopy, IOMMU_IOAS_COPY, good);
}

/** Ranges that can be copied. */
function registerRanges(f: CopyFixture): void {
  f.test("copy_part", {
    description: "Any aligned part of an area can be copied",
    reference: "io_pagetable.c iopt_get_pages; P10.7",
  }, async ({ io, src, dst, hwptId }) => {
    const { mockPage, buffer } = io;
    await io.mapFixed(src, buffer, io.bufferSize, SRC);
    for (const [first, count] of [[0n, 1n], [1n, 1n], [1n, 2n], [3n, 9n]]) {
      const length = count! * mockPage;
      const offset = first! * mockPage;
      await io.copy({ src, dst, srcIova: SRC + offset, dstIova: DST, length });
      await io.mock.checkMap(hwptId, DST, length, BigInt(buffer) + offset);
      await io.unmap(dst, DST, length);
    }
  });

  f.test("copy_contiguous", {
    description:
      "Areas that touch can be copied together and become areas again; a gap cannot",
    reference: "io_pagetable.c iopt_get_pages; P09.7, P09.10",
  }, checkContiguous);

  f.test("copy_gathers", {
    description: "Memory that areas of a domain have in pieces is taken there",
    reference: "pages.c pfn_reader_fill_span, iopt_pages_rw_slow; P07.6",
  }, checkGathers);

  f.test("copy_chosen_iova", {
    description: "The kernel can choose where a copy goes",
    reference: "io_pagetable.c iopt_alloc_area_pages",
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
    reference: "pages.c; P00.1, P08.1",
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
    reference: "io_pagetable.c iopt_map_user_pages",
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
