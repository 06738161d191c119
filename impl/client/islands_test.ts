// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import {
  HPAGE_SIZE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { REVISION_NAMES } from "../uapi/revision.ts";
import { IommufdClient } from "./client.ts";

describe("A domain whose frames are all contiguous", () => {
  for (const revision of REVISION_NAMES) {
    it(`is unmapped around what accesses pin, each page once, in ${revision}`, () => {
      const kernel = new Kernel({ revision });
      const process = kernel.spawn();
      const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB;
      const prot = PROT_READ | PROT_WRITE;
      const userVa = process.mmap(0, HPAGE_SIZE, prot, flags);
      const iommufd = IommufdClient.open(process);
      const { ioasId } = iommufd.ioasAlloc();
      const { accessFd } = iommufd.mock.createAccess({ ioasId });
      const { stdevId } = iommufd.mock.mockDomain({ ptId: ioasId });
      const length = 48 * PAGE_SIZE;
      const { iova } = iommufd.ioasMap({ ioasId, userVa, length });
      for (const [page, count] of [[0, 1], [3, 5], [20, 7]] as const) {
        iommufd.mock.accessPages({
          accessFd,
          iova: BigInt(iova) + BigInt(page * PAGE_SIZE),
          length: count * PAGE_SIZE,
        });
      }
      iommufd.destroy(stdevId);
      assertEquals(kernel.frames.countPinned(), 13);
      process.exit();
      assertEquals(kernel.audit(), []);
    });
  }
});
