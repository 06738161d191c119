// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_ranges`: IOVA_RANGES, ALLOW_IOVAS and OPTION in all ways in
 * which they can fail.
 *
 * @module
 */

import {
  EADDRINUSE,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENOENT,
  EOPNOTSUPP,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_RLIMIT_MODE,
  IommuIoasAllowIovas,
  IommuIoasIovaRanges,
  IommuIovaRange,
  IommuOption,
} from "../../impl/uapi/iommufd.ts";
import { MAP_PRIVATE } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import {
  type IoasSelf,
  type IoasVariant,
  setupIoas,
  teardownIoas,
} from "../iommufd/iommufd_ioas.ts";
import {
  assertRanges,
  MOCK_APERTURE,
} from "../iommufd/iommufd_ioas_iova_ranges.ts";
import { KIT_IOAS_VARIANTS } from "./kit_map.ts";

type RangesFixture = Fixture<IoasVariant, IoasSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitRanges(registry: Test[]): void {
  const f: RangesFixture = fixture(registry, "kit_ranges", {
    variants: KIT_IOAS_VARIANTS,
    upstream: false,
    setup: setupIoas,
    teardown: teardownIoas,
  });
  registerIovaRanges(f);
  registerAllowIovas(f);
  registerOption(f);
}

/** The address of the last `count` entries of an array that ends where no memory is. */
async function arrayBeforeHole(io: Iommufd, count: number): Promise<number> {
  const { pageSize } = io.context;
  const pages = await io.mmap(2 * pageSize, MAP_PRIVATE);
  await io.munmap(pages + pageSize, pageSize);
  return pages + pageSize - count * IommuIovaRange.size;
}

/** IOVA_RANGES. */
function registerIovaRanges(f: RangesFixture): void {
  f.test("iova_ranges_errno", {
    description: "IOVA_RANGES refuses a reserved field, a bad id, a bad array",
    reference: "ioas.c iommufd_ioas_iova_ranges; P10.3",
  }, async ({ io, ioasId }) => {
    const bad = { ioasId: 999, reserved: 1 };
    const cmd = IOMMU_IOAS_IOVA_RANGES;
    await io.call(IommuIoasIovaRanges, cmd, bad, EOPNOTSUPP);
    await io.iovaRanges(999, 0, 0, ENOENT);
    await io.iovaRanges(ioasId, 1, 0, EFAULT);
    const reply = await io.iovaRanges(ioasId, 0, 0, EMSGSIZE);
    assertEq(reply.numIovas, 1, "ranges");

    // The array has memory for one entry only; the second is of no use to a domain.
    await io.mock.addReserved(ioasId, 2n ** 25n, io.page);
    const array = await arrayBeforeHole(io, 1);
    const failed = await io.iovaRanges(ioasId, 2, array, EFAULT);
    assertEq(failed.numIovas, 2, "numIovas after EFAULT");
    await io.iovaRanges(ioasId, 1, array, EMSGSIZE);
  });

  f.test("iova_ranges_contents", {
    description:
      "The ranges are what is left between reserved ones, however those overlap",
    reference: "ioas.c iommufd_ioas_iova_ranges",
  }, async ({ io, ioasId, stdevId }) => {
    const { page } = io;
    const at = 2n ** 25n;
    const whole = stdevId ? MOCK_APERTURE : { start: 0n, last: U64_MAX };
    await io.mock.addReserved(ioasId, at, 4n * page);
    await io.mock.addReserved(ioasId, at + 2n * page, 4n * page);
    await io.mock.addReserved(ioasId, at + 6n * page, page);
    await io.mock.addReserved(ioasId, at + 8n * page, 1n);
    // Neither areas nor the allowed list make a difference.
    await io.mapFixed(ioasId, io.buffer, page, at + 16n * page);
    await io.allowIovas(ioasId, [{ start: 2n * at, last: 2n * at + page }]);
    const reply = await io.iovaRanges(ioasId, 8, io.buffer);
    assertEq(reply.numIovas, 3, "ranges");
    await assertRanges(io, [
      { start: whole.start, last: at - 1n },
      { start: at + 7n * page, last: at + 8n * page - 1n },
      { start: at + 8n * page + 1n, last: whole.last },
    ]);
  });
}

/** ALLOW_IOVAS. */
function registerAllowIovas(f: RangesFixture): void {
  f.test("allow_iovas_errno", {
    description:
      "ALLOW_IOVAS refuses bad ranges and a bad array, and keeps the old list then",
    reference: "ioas.c iommufd_ioas_allow_iovas; B12, P10.4",
  }, checkAllowErrors);

  f.test("allow_iovas_choice", {
    description: "Kernel-chosen maps keep to the list, in its order of IOVA",
    reference: "io_pagetable.c iopt_alloc_iova; B33",
  }, async ({ io, ioasId, baseIova }) => {
    const { page, buffer } = io;
    const high = baseIova + 64n * page;
    const low = baseIova + 32n * page;
    await io.allowIovas(ioasId, [
      { start: high, last: high + 2n * page - 1n },
      { start: low, last: low + page - 1n },
    ]);
    assertEq(await io.map(ioasId, buffer, page), low, "in the lower range");
    assertEq(await io.map(ioasId, buffer, page), high, "in the higher range");
    await io.allowIovas(ioasId, []);
    const any = await io.map(ioasId, buffer, page);
    assertEq(any, baseIova || page, "anywhere once the list is empty");
  });

  f.test("allow_iovas_domain", {
    description: "A domain that cannot map all that is allowed is refused",
    reference: "io_pagetable.c iopt_table_add_domain; B33",
  }, async ({ io, stdevId }) => {
    if (stdevId) return;
    const ioasId = await io.ioasAlloc();
    const { start, last } = MOCK_APERTURE;
    await io.allowIovas(ioasId, [{ start: start - 1n, last: start }]);
    await io.mock.domain(ioasId, EADDRINUSE);
    await io.allowIovas(ioasId, [{ start: last, last: last + 1n }]);
    await io.mock.domain(ioasId, EADDRINUSE);
    await io.allowIovas(ioasId, [MOCK_APERTURE]);
    const domain = await io.mock.domain(ioasId);
    await io.allowIovas(ioasId, [{ start: 0n, last: 1n }], EADDRINUSE);
    await io.mock.destroyDomain(domain);
    await io.allowIovas(ioasId, [{ start: 0n, last: U64_MAX }]);
  });
}

/** Test `allow_iovas_errno`. */
async function checkAllowErrors(self: IoasSelf): Promise<void> {
  const { io, ioasId, baseIova } = self;
  const { page } = io;
  const list = [{
    start: baseIova + 8n * page,
    last: baseIova + 16n * page - 1n,
  }];
  await io.allowIovas(ioasId, list);

  const cmd = IOMMU_IOAS_ALLOW_IOVAS;
  const reserved = { ioasId, reserved: 1 };
  const errno = io.revision.objects.checksReservedFields
    ? EOPNOTSUPP
    : undefined;
  if (errno) await io.call(IommuIoasAllowIovas, cmd, reserved, errno);
  const bad = { ioasId: 999, numIovas: 1 };
  await io.call(IommuIoasAllowIovas, cmd, bad, ENOENT);
  await io.call(IommuIoasAllowIovas, cmd, { ...bad, ioasId }, EFAULT);
  const array = await arrayBeforeHole(io, 1);
  await io.pokeRanges(array, list);
  const two = { ioasId, numIovas: 2, allowedIovas: BigInt(array) };
  await io.call(IommuIoasAllowIovas, cmd, two, EFAULT);

  const [range] = list;
  const { start, last } = range!;
  await io.allowIovas(ioasId, [{ start, last: start }], EINVAL);
  await io.allowIovas(ioasId, [{ start: last, last: start }], EINVAL);
  await io.allowIovas(ioasId, [range!, range!], EINVAL);
  await io.allowIovas(
    ioasId,
    [range!, { start: last, last: last + page }],
    EINVAL,
  );
  const elsewhere = baseIova + 32n * page;
  await io.mock.addReserved(ioasId, elsewhere, page);
  const blocked = { start: elsewhere, last: elsewhere + page - 1n };
  await io.allowIovas(ioasId, [blocked], EADDRINUSE);

  const iova = await io.map(ioasId, io.buffer, page);
  assertEq(iova, start, "the old list is still there");
}

/** OPTION. */
function registerOption(f: RangesFixture): void {
  f.test("option_errno", {
    description: "OPTION refuses what it does not know",
    reference: "main.c iommufd_option, ioas.c; B14, S05, P10.9-P10.11",
  }, async ({ io, ioasId: objectId }) => {
    const { checksReservedFields, rlimitModeChecksObjectId } =
      io.revision.objects;
    const huge = IOMMU_OPTION_HUGE_PAGES;
    const mode = IOMMU_OPTION_RLIMIT_MODE;
    const get = { optionId: huge, op: IOMMU_OPTION_OP_GET, objectId };
    const cmd = IOMMU_OPTION;
    const reserved = checksReservedFields ? EOPNOTSUPP : undefined;
    await io.call(IommuOption, cmd, { ...get, reserved: 1 }, reserved);
    await io.call(IommuOption, cmd, { ...get, optionId: 2 }, EOPNOTSUPP);
    await io.call(IommuOption, cmd, { ...get, op: 2 }, EOPNOTSUPP);
    await io.call(IommuOption, cmd, { optionId: mode, op: 2 }, EOPNOTSUPP);
    await io.getOption(huge, 999, ENOENT);
    await io.setOption(huge, objectId, 2n ** 32n, EINVAL);
    const ignored = rlimitModeChecksObjectId ? EOPNOTSUPP : undefined;
    await io.getOption(mode, objectId, ignored);
  });

  f.test("option_kept", {
    description: "A SET that is refused leaves the option as it was",
    reference: "ioas.c iommufd_ioas_option_huge_pages; P10.11",
  }, async ({ io, ioasId }) => {
    const huge = IOMMU_OPTION_HUGE_PAGES;
    const cmd = IOMMU_OPTION;
    for (const now of [1n, 0n]) {
      await io.setOption(huge, ioasId, now);
      await io.setOption(huge, ioasId, 2n, EINVAL);
      await io.setOption(huge, ioasId, U64_MAX, EINVAL);
      await io.call(
        IommuOption,
        cmd,
        { optionId: huge, op: 2, objectId: ioasId, val64: 1n - now },
        EOPNOTSUPP,
      );
      assertEq(await io.getOption(huge, ioasId), now, "HUGE_PAGES");
    }
  });

  f.test("huge_pages_with_areas", {
    description: "HUGE_PAGES cannot be turned off while a domain has areas",
    reference: "io_pagetable.c iopt_disable_large_pages; P09.23",
  }, async ({ io, ioasId, stdevId, baseIova }) => {
    const huge = IOMMU_OPTION_HUGE_PAGES;
    await io.mapFixed(ioasId, io.buffer, io.page, baseIova);
    await io.setOption(huge, ioasId, 1n);
    await io.setOption(huge, ioasId, 0n, stdevId ? EINVAL : undefined);
    await io.unmap(ioasId, baseIova, io.page);
    await io.setOption(huge, ioasId, 0n);
    await io.mapFixed(ioasId, io.buffer, io.page, baseIova);
    // Off already: no question of areas.
    await io.setOption(huge, ioasId, 0n);
    const half = baseIova + 2n * io.page + io.mockPage;
    await io.mapFixed(ioasId, io.buffer, io.page, half, EINVAL);
    await io.mapFixed(ioasId, io.buffer, io.mockPage, half, EINVAL);
    await io.setOption(huge, ioasId, 1n);
    await io.mapFixed(ioasId, io.buffer, io.page, half);
  });
}
