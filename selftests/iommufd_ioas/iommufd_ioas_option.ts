// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: the HUGE_PAGES option, and alignment.
 *
 * @module
 */

import { EADDRINUSE, EINVAL } from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION_HUGE_PAGES,
  IommuIoasMap,
  IommuIoasUnmap,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { assertEq } from "../harness/harness.ts";
import { MAP_RW } from "../ioctls/ioctls.ts";
import type { IoasFixture, IoasSelf, IoasVariant } from "./iommufd_ioas.ts";

/** Adds the tests to the fixture. */
export function registerOptions(f: IoasFixture): void {
  const option = IOMMU_OPTION_HUGE_PAGES;

  f.test("ioas_option_huge_pages", {
    description: "HUGE_PAGES is on at first, and can be turned off and on",
    rules: ["P10.11"],
  }, async ({ io, ioasId }) => {
    assertEq(await io.getOption(option, ioasId), 1n, "HUGE_PAGES at first");
    await io.setOption(option, ioasId, 0n);
    assertEq(await io.getOption(option, ioasId), 0n, "HUGE_PAGES off");
    await io.setOption(option, ioasId, 2n, EINVAL);
    await io.setOption(option, ioasId, 1n);
  });

  f.test("ioas_iova_alloc", {
    description: "A length must be a multiple of the domains' page size",
    rules: ["P09.20"],
    since: "6.2",
  }, checkIovaAlloc);

  f.test("ioas_align_change", {
    description: "The alignment can only rise while all areas have it",
    rules: ["B08"],
    since: "6.2",
  }, checkAlignChange);
}

/**
 * Test `ioas_iova_alloc`: every length up to two pages. C maps and unmaps one
 * at a time; here as many as there are in a mock page stand side by side, which
 * saves thousands of round trips.
 */
async function checkIovaAlloc(
  { io, ioasId }: IoasSelf,
  { mockDomains }: IoasVariant,
): Promise<void> {
  const userVa = BigInt(io.buffer);
  const maps = Array.from({ length: 2 * Number(io.page) - 1 }, (_, index) => ({
    flags: MAP_RW,
    ioasId,
    userVa,
    length: BigInt(index + 1),
  }));
  const step = Number(io.mockPage);
  for (let at = 0; at < maps.length; at += step) {
    const some = maps.slice(at, at + step);
    const { good = [], bad = [] } = Object.groupBy(
      some,
      ({ length }) => mockDomains && length % io.mockPage ? "bad" : "good",
    );
    await io.callEach(IommuIoasMap, IOMMU_IOAS_MAP, bad, EINVAL);
    const mapped = await io.callEach(IommuIoasMap, IOMMU_IOAS_MAP, good);
    const unmaps = mapped.map(({ iova, length }) => ({ ioasId, iova, length }));
    await io.callEach(IommuIoasUnmap, IOMMU_IOAS_UNMAP, unmaps);
  }
}

/** Test `ioas_align_change`: HUGE_PAGES off means that all is aligned to pages. */
async function checkAlignChange(
  { io, ioasId }: IoasSelf,
  { mockDomains }: IoasVariant,
): Promise<void> {
  // The option cannot be turned off while domains and areas are there.
  if (mockDomains) return;
  const option = IOMMU_OPTION_HUGE_PAGES;
  const { page } = io;
  const iova = BigInt(MOCK_APERTURE_START);
  const askew = BigInt(io.buffer) + io.mockPage;

  await io.mapFixed(ioasId, io.buffer, page, iova);
  await io.setOption(option, ioasId, 0n);
  await io.mapFixed(ioasId, askew, page, iova + page, EINVAL);
  await io.setOption(option, ioasId, 0n);
  await io.setOption(option, ioasId, 1n);

  await io.mapFixed(ioasId, askew, page, iova + page);
  await io.setOption(option, ioasId, 0n, EADDRINUSE);
  await io.unmap(ioasId, iova + page, page);
  await io.unmap(ioasId, iova, page);
}
