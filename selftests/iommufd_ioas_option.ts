// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: the HUGE_PAGES option, and alignment.
 *
 * @module
 */

import { EADDRINUSE, EINVAL } from "../impl/uapi/errno.ts";
import { IOMMU_OPTION_HUGE_PAGES } from "../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../impl/uapi/iommufd_test.ts";
import { assertEq } from "./harness.ts";
import type { IoasFixture, IoasSelf, IoasVariant } from "./iommufd_ioas.ts";

/** Adds the tests to the fixture. */
export function registerOptions(f: IoasFixture): void {
  const option = IOMMU_OPTION_HUGE_PAGES;

  f.test("ioas_option_huge_pages", {
    description: "HUGE_PAGES is on at first, and can be turned off and on",
  }, async ({ io, ioasId }) => {
    assertEq(await io.getOption(option, ioasId), 1n, "HUGE_PAGES at first");
    await io.setOption(option, ioasId, 0n);
    assertEq(await io.getOption(option, ioasId), 0n, "HUGE_PAGES off");
    await io.setOption(option, ioasId, 2n, EINVAL);
    await io.setOption(option, ioasId, 1n);
  });

  f.test("ioas_iova_alloc", {
    description: "A length must be a multiple of the domains' page size",
    uapi: ["6.12"],
  }, async ({ io, ioasId }, { mockDomains }) => {
    for (let length = 1n; length < 2n * io.page; length++) {
      if (mockDomains && length % io.mockPage) {
        await io.map(ioasId, io.buffer, length, EINVAL);
        continue;
      }
      const iova = await io.map(ioasId, io.buffer, length);
      await io.unmap(ioasId, iova, length);
    }
  });

  f.test("ioas_align_change", {
    description: "The alignment can only rise while all areas have it",
    uapi: ["6.12"],
  }, checkAlignChange);
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
