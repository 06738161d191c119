// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `vfio_compat_mock_domain`: the VFIO container ioctls over an IOAS
 * with a mock device, as type1 and as type1v2.
 *
 * @module
 */

import { EINVAL, ENOENT } from "../../impl/uapi/errno.ts";
import {
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_VFIO_IOAS_SET,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { MAP_HUGETLB, MAP_POPULATE, MAP_SHARED } from "../../impl/uapi/mman.ts";
import {
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VfioIommuType1Info,
} from "../../impl/uapi/vfio.ts";
import {
  assertEq,
  assertTrue,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { BUFFER_PAGES, Iommufd } from "../ioctls/ioctls.ts";
import { Random } from "../harness/random.ts";
import {
  checkCapChain,
  checkInfoHeader,
  getInfoInBuffer,
} from "../ioctls/vfio_info.ts";
import { mapDma, setIommu, unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";

/** Parameters of a variant. */
export interface CompatVariant {
  /** The IOMMU type that is chosen. */
  readonly version: number;
}

/** What the tests share. */
export interface CompatSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** The compatibility IOAS. */
  readonly ioasId: number;
}

/** The fixture under construction. */
type CompatFixture = Fixture<CompatVariant, CompatSelf>;

/** The kernel's variants. */
export const COMPAT_VARIANTS: Readonly<Record<string, CompatVariant>> = {
  Ver1v2: { version: VFIO_TYPE1v2_IOMMU },
  Ver1v0: { version: VFIO_TYPE1_IOMMU },
};

/** Where the tests map. */
const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerVfioCompatMockDomain(registry: Test[]): void {
  const f: CompatFixture = fixture(registry, "vfio_compat_mock_domain", {
    variants: COMPAT_VARIANTS,
    upstream: true,
    setup: setupCompat,
    teardown: ({ io }) => io.teardown(),
  });
  registerInfo(f);
  registerMaps(f);
}

/** Makes what VFIO would consider a group: an IOAS with a device, chosen as the container's. */
export async function setupCompat(
  context: Context,
  { version }: CompatVariant,
): Promise<CompatSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  await io.mock.domain(ioasId);
  await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
  await setIommu(io, version);
  return { io, ioasId };
}

/** Tests `simple_close`, `option_huge_pages` and `get_info`. */
function registerInfo(f: CompatFixture): void {
  f.test("simple_close", {
    description: "Closing frees the container's IOAS",
    rules: ["C2.13"],
  }, async () => {});

  f.test("option_huge_pages", {
    description: "type1 turns huge pages off, type1v2 leaves them on",
    rules: ["P14.5"],
  }, async ({ io, ioasId }, { version }) => {
    const value = await io.getOption(IOMMU_OPTION_HUGE_PAGES, ioasId);
    const expected = version === VFIO_TYPE1_IOMMU ? 0n : 1n;
    assertEq(value, expected, "HUGE_PAGES");
  });

  f.test("get_info", {
    description:
      "GET_INFO never writes past argsz and never leaves a broken capability chain",
    rules: ["P14.11"],
  }, async ({ io }) => {
    const beforeCaps = VfioIommuType1Info.fields.capOffset.offset;
    let info = (await getInfoInBuffer(io, beforeCaps)).info;
    checkInfoHeader(info);

    const { size } = VfioIommuType1Info;
    info = (await getInfoInBuffer(io, size)).info;
    checkInfoHeader(info);
    assertEq(info.capOffset, 0, "capOffset without room for capabilities");
    assertTrue(size < info.argsz, "argsz tells that there are capabilities");

    const total = info.argsz;
    for (let argsz = size; argsz < total; argsz++) {
      const reply = await getInfoInBuffer(io, argsz);
      checkInfoHeader(reply.info);
      if (reply.info.capOffset) checkCapChain(reply);
    }
  });
}

/** Tests `map` and `huge_map`. */
function registerMaps(f: CompatFixture): void {
  f.test("map", {
    description: "MAP_DMA and UNMAP_DMA work whole, all at once and by page",
    rules: ["P14.8"],
  }, checkMap);

  f.test("huge_map", {
    description:
      "type1 can unmap parts of a mapping of huge pages, type1v2 cannot",
    rules: ["P09.21"],
    needs: () => ["hugetlb"],
  }, async ({ io }, { version }) => {
    const pieces = 16;
    const size = 2 * io.context.hugePageSize;
    const length = BigInt(size / pieces);
    const buf = await io.mmap(size, MAP_SHARED | MAP_HUGETLB | MAP_POPULATE);
    const whole = { iova: IOVA, length: BigInt(size), vaddr: BigInt(buf) };
    await mapDma(io, whole);
    const errno = version === VFIO_TYPE1_IOMMU ? undefined : ENOENT;
    for (const iova of shuffledIovas(pieces, length)) {
      await unmapDma(io, { iova, length }, errno);
    }
  });
}

/** Test `map`. */
async function checkMap({ io }: CompatSelf): Promise<void> {
  const length = io.bufferSize;
  const all = VFIO_DMA_UNMAP_FLAG_ALL;
  const map = { iova: IOVA, length, vaddr: BigInt(io.buffer) };
  await mapDma(io, map);
  assertEq(await unmapDma(io, { iova: IOVA, length }), length, "unmapped");
  if (io.revision.vfio.emptyUnmapSucceeds) {
    await unmapDma(io, { iova: IOVA, length });
  }

  await mapDma(io, map);
  await unmapDma(io, { iova: IOVA, length, flags: all }, EINVAL);
  assertEq(await unmapDma(io, { flags: all }), length, "unmapped by ALL");

  const { page } = io;
  for (let i = 0n; i < BigInt(BUFFER_PAGES); i++) {
    const vaddr = map.vaddr + i * page;
    await mapDma(io, { iova: IOVA + i * page, length: page, vaddr });
  }
  for (const iova of shuffledIovas(BUFFER_PAGES, page)) {
    await unmapDma(io, { iova, length: page });
  }
}

/** The IOVAs of `count` pieces of `length` bytes from the start of the aperture on, in random order. */
function shuffledIovas(count: number, length: bigint): bigint[] {
  const iovas = Array.from(
    { length: count },
    (_, i) => IOVA + BigInt(i) * length,
  );
  new Random(count).shuffle(iovas);
  return iovas;
}
