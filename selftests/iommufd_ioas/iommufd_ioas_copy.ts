// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: IOMMU_IOAS_COPY.
 *
 * @module
 */

import { ENOENT } from "../../impl/uapi/errno.ts";
import { IOMMU_IOAS_MAP_WRITEABLE } from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import type { IoasFixture } from "./iommufd_ioas.ts";

/** What the kernel's copy tests pass beside FIXED_IOVA: v3's pass no access rights at all. */
export function copyProt(revision: Revision): number {
  return revision.ioas.mapNeedsProt ? IOMMU_IOAS_MAP_WRITEABLE : 0;
}

/** Adds `copy_area` to the fixture. */
export function registerCopyArea(f: IoasFixture): void {
  f.test("copy_area", {
    description: "An area can be copied inside an IOAS and to another",
    rules: ["P10.7"],
  }, async ({ io, ioasId, baseIova }) => {
    const prot = copyProt(io.revision);
    const source = { src: ioasId, srcIova: baseIova, length: io.page, prot };
    await io.mapFixed(ioasId, io.buffer, io.page, baseIova);
    await io.copy({ ...source, dst: ioasId, dstIova: baseIova + io.page });
    const other = await io.ioasAlloc();
    await io.copy({ ...source, dst: other, dstIova: 0n });
  });
}

/** Adds `copy_sweep` to the fixture. */
export function registerCopySweep(f: IoasFixture): void {
  f.test("copy_sweep", {
    description: "Every part of an area can be copied, nothing outside it",
    rules: ["P09.10"],
    since: "6.2",
  }, async ({ io, ioasId }, { mockDomains }) => {
    const start = BigInt(MOCK_APERTURE_START);
    const last = start + io.bufferSize - (mockDomains ? 1n : 2n);
    const length = io.mockPage;
    const dst = await io.ioasAlloc();
    await io.mapFixed(ioasId, io.buffer, last - start + 1n, start);
    for (let srcIova = start - io.page; srcIova <= last; srcIova += 511n) {
      const copy = { dst, src: ioasId, srcIova, length, dstIova: start };
      if (srcIova < start || srcIova + length - 1n > last) {
        await io.copy(copy, ENOENT);
        continue;
      }
      const dstIova = await io.copy(copy);
      await io.unmap(dst, dstIova, length);
    }
    await io.destroy(dst);
  });
}
