// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_vfio_compat`: UNMAP_DMA, which splits areas as type1 and does
 * not as type1v2.
 *
 * @module
 */

import {
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  EOVERFLOW,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_SET,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import {
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_TYPE1_IOMMU,
  type VfioIommuType1DmaUnmap,
} from "../../impl/uapi/vfio.ts";
import { assertEq } from "../harness/harness.ts";
import { U64_MAX } from "../ioctls/ioctls.ts";
import type { KitCompatFixture } from "./kit_vfio_compat.ts";
import type {
  CompatSelf,
  CompatVariant,
} from "../iommufd/vfio_compat_mock_domain.ts";
import { mapDma, unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";

const IOVA = BigInt(MOCK_APERTURE_START);
const ALL = VFIO_DMA_UNMAP_FLAG_ALL;

/** Adds the tests to the fixture. */
export function registerUnmaps(f: KitCompatFixture): void {
  f.table("unmap_dma_errno", {
    description:
      "UNMAP_DMA refuses bad arguments, and says what it unmapped all the same",
    rules: ["P14.9", "P14.10", "S06"],
  }, (t, _variant, { vfio }) => {
    type Values = Partial<VfioIommuType1DmaUnmap>;
    function refused(
      what: string,
      errno: Errno,
      valuesOf: (page: bigint) => Values,
    ): void {
      t.case(what, ({ io }) => {
        const good = { iova: IOVA, length: io.page };
        return unmapDma(io, { ...good, ...valuesOf(io.page) }, errno);
      });
    }
    t.case(
      "address 0",
      ({ io }) =>
        io.ioctlArg(VFIO_IOMMU_UNMAP_DMA, 0, EFAULT, "UNMAP_DMA at 0"),
    );
    refused("a short struct", EINVAL, () => ({ argsz: 23 }));
    refused("flag 0", EINVAL, () => ({ flags: 1 }));
    refused("flag 2", EINVAL, () => ({ flags: 4 }));
    refused("no length", EINVAL, () => ({ length: 0n }));
    t.case("a range that wraps", async ({ io }) => {
      const wraps = { iova: U64_MAX - io.page + 1n, length: 2n * io.page };
      const left = await unmapDma(io, wraps, EOVERFLOW);
      const untouched = vfio.unmapInitialisesSize ? 0n : wraps.length;
      assertEq(left, untouched, "size after an overflow");
    });
    const nothing = vfio.emptyUnmapSucceeds ? undefined : ENOENT;
    for (const iova of [0n, IOVA]) {
      t.case(`nothing at 0x${iova.toString(16)}`, async ({ io }) => {
        const left = await unmapDma(io, { iova, length: io.page }, nothing);
        assertEq(left, 0n, "size after an empty unmap");
      });
    }
    t.case("a long struct", async ({ io }) => {
      const range = { iova: IOVA, length: io.page };
      await mapDma(io, { ...range, vaddr: BigInt(io.buffer) });
      const left = await unmapDma(io, { ...range, argsz: 4096 });
      assertEq(left, io.page, "unmapped");
    });
    for (const [argsz, errno] of [[24, ENODEV], [23, EINVAL]] as const) {
      t.case(`argsz ${argsz} without an IOAS`, async ({ io, ioasId }) => {
        await vfioIoas(io, IOMMU_VFIO_IOAS_CLEAR);
        await unmapDma(io, { iova: IOVA, length: io.page, argsz }, errno);
        await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
      });
    }
  });

  f.test("unmap_dma_cut", {
    description:
      "A range that cuts an area is refused as type1v2, and splits it as type1",
    rules: ["P09.21", "S09"],
  }, checkCut);

  f.test("unmap_dma_cut_order", {
    description:
      "The end of a range is cut before its beginning, and a cut that is refused is the last",
    rules: ["P14.14"],
  }, async ({ io, ioasId }, { version }) => {
    const { page } = io;
    const vaddr = BigInt(io.buffer);
    const isType1 = version === VFIO_TYPE1_IOMMU;
    const errno = isType1 ? EINVAL : ENOENT;
    const middle = IOVA + 2n * page;
    await mapDma(io, { iova: IOVA, length: 4n * page, vaddr });
    // The end is in a page: nothing is cut.
    await unmapDma(io, { iova: middle, length: page + 1n }, errno);
    await io.unmap(ioasId, IOVA, 2n * page, ENOENT);
    // The beginning is: the end is cut.
    const inPage = IOVA + page + 1n;
    await unmapDma(io, { iova: inPage, length: middle - inPage }, errno);
    await io.unmap(ioasId, middle, 2n * page, isType1 ? undefined : ENOENT);
    await io.unmap(ioasId, IOVA, 2n * page, isType1 ? undefined : ENOENT);
  });

  f.test("unmap_dma_rights", {
    description: "Both parts of an area that is split keep its rights",
    rules: ["P09.21"],
  }, async ({ io, ioasId }, { version }) => {
    if (version !== VFIO_TYPE1_IOMMU) return;
    const { page } = io;
    const vaddr = BigInt(io.buffer);
    const flags = VFIO_DMA_MAP_FLAG_WRITE;
    await mapDma(io, { iova: IOVA, length: 3n * page, vaddr, flags });
    const middle = { iova: IOVA + page, length: page };
    assertEq(await unmapDma(io, middle), page, "unmapped");
    const access = await io.mock.createAccess(ioasId, false);
    for (const iova of [IOVA, IOVA + 2n * page]) {
      const range = { iova, length: 8, uptr: io.scratch };
      await io.mock.accessRw(access, range, EPERM);
      const writes = { ...range, flags: MOCK_ACCESS_RW_WRITE };
      await io.mock.accessRw(access, writes);
    }
    await io.mock.destroyAccess(access);
  });

  f.test("unmap_dma_under_pin", {
    description: "An area that is pinned cannot be split",
    rules: ["S10"],
  }, async ({ io, ioasId }, { version }) => {
    const { page, buffer } = io;
    const length = 4n * page;
    await mapDma(io, { iova: IOVA, length, vaddr: BigInt(buffer) });
    const access = await io.mock.createAccess(ioasId, true);
    const range = { iova: IOVA, length: page, uptr: buffer };
    const item = await io.mock.accessPages(access, range);
    const isType1 = version === VFIO_TYPE1_IOMMU;
    const errno = isType1 ? EINVAL : ENOENT;
    await unmapDma(io, { iova: IOVA, length: page }, errno);
    await io.mock.destroyAccessPages(access, item);
    const after = isType1 ? undefined : ENOENT;
    await unmapDma(io, { iova: IOVA, length: page }, after);
    const uptr = buffer + io.context.pageSize;
    await io.mock.accessPages(access, { ...range, iova: IOVA + page, uptr });
    await io.mock.destroyAccess(access);
  });

  f.test("unmap_dma_all", {
    description:
      "The ALL flag unmaps everything, and an empty IOAS just as well",
    rules: ["B05"],
  }, async ({ io }) => {
    const { page } = io;
    const vaddr = BigInt(io.buffer);
    await unmapDma(io, { flags: ALL });
    for (let i = 0n; i < 4n; i++) {
      await mapDma(io, { iova: IOVA + 3n * i * page, length: page, vaddr });
    }
    await unmapDma(io, { flags: ALL, length: 1n }, EINVAL);
    await unmapDma(io, { flags: ALL, iova: 1n }, EINVAL);
    assertEq(await unmapDma(io, { flags: ALL }), 4n * page, "unmapped");
    assertEq(await unmapDma(io, { flags: ALL }), 0n, "unmapped again");
  });
}

/** Test `unmap_dma_cut`. */
async function checkCut(
  self: CompatSelf,
  { version }: CompatVariant,
): Promise<void> {
  const { io, ioasId } = self;
  const { page, buffer, bufferSize } = io;
  const vaddr = BigInt(buffer);
  const pages = bufferSize / page;
  await mapDma(io, { iova: IOVA, length: bufferSize, vaddr });
  if (version !== VFIO_TYPE1_IOMMU) {
    for (const [first, count] of [[0n, 1n], [4n, 2n], [pages - 1n, 1n]]) {
      const cut = { iova: IOVA + first! * page, length: count! * page };
      assertEq(await unmapDma(io, cut, ENOENT), 0n, "size after a cut");
    }
    assertEq(await unmapDma(io, { flags: ALL }), bufferSize, "unmapped");
    return;
  }
  // A cut inside a page is refused, and nothing is written back then.
  const inPage = { iova: IOVA, length: page / 2n };
  assertEq(await unmapDma(io, inPage, EINVAL), page / 2n, "size untouched");

  const middle = { iova: IOVA + 4n * page, length: 2n * page };
  assertEq(await unmapDma(io, middle), 2n * page, "unmapped in the middle");
  await io.mock.checkRefs(buffer, 4n * page, 1);
  await io.mock.checkRefs(vaddr + 4n * page, 2n * page, 0);
  await io.mock.checkRefs(vaddr + 6n * page, (pages - 6n) * page, 1);
  // A domain that is added later gets both parts, from where they are.
  const domain = await io.mock.domain(ioasId);
  const { hwptId } = domain;
  const behind = 6n * page;
  await io.mock.checkMap(hwptId, IOVA, 4n * page, buffer);
  await io.mock.checkMap(
    hwptId,
    IOVA + behind,
    bufferSize - behind,
    vaddr + behind,
  );
  await io.mock.checkMap(hwptId, middle.iova, page, vaddr + 4n * page, EINVAL);
  assertEq(
    await unmapDma(io, { iova: IOVA, length: page }),
    page,
    "first page",
  );
  const last = { iova: IOVA + (pages - 1n) * page, length: page };
  assertEq(await unmapDma(io, last), page, "last page");
  // Across the hole that the first unmap left.
  const across = { iova: IOVA + 2n * page, length: 6n * page };
  assertEq(await unmapDma(io, across), 4n * page, "around the hole");
  await io.mock.checkRefs(vaddr + page, page, 1);
  const rest = await unmapDma(io, { flags: ALL });
  assertEq(rest, bufferSize - 8n * page, "the rest");
  await io.mock.checkRefs(buffer, bufferSize, 0);
}
