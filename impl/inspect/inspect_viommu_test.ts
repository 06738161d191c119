// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { IommufdClient } from "../client/client.ts";
import { Kernel } from "../kernel.ts";
import * as uapi from "../uapi/mod.ts";
import { inspect } from "./inspect.ts";

const TYPE = uapi.IOMMU_VIOMMU_TYPE_SELFTEST;

it("inspect() draws a virtual IOMMU and what is on it, and a device with PASIDs", () => {
  const kernel = new Kernel();
  const process = kernel.spawn();
  const { hwpt, mock, viommu, ...io } = parts(IommufdClient.open(process));
  const devFlags = uapi.MOCK_FLAGS_DEVICE_PASID;
  const { stdevId, idevId } = mock.mockDomain({ ptId: io.ioasId, devFlags });
  const devId = idevId!;
  const flags = uapi.IOMMU_HWPT_ALLOC_PASID;
  const hwptId = hwpt.alloc({
    devId,
    ptId: io.ioasId,
    flags: flags | uapi.IOMMU_HWPT_ALLOC_NEST_PARENT,
  }).hwptId;
  const { viommuId } = viommu.alloc({ devId, hwptId, type: TYPE });
  viommu.vdeviceAlloc({ viommuId, devId, virtId: 0x99 });
  const nested = hwpt.alloc({
    devId,
    ptId: viommuId,
    flags,
    dataType: uapi.IOMMU_HWPT_DATA_SELFTEST,
    data: uapi.HwptSelftest.encode(),
  }).hwptId;
  mock.mockDomainReplace({ stdevId, ptId: nested });
  mock.pasidAttach({ stdevId, pasid: 7, ptId: hwptId });
  const type = uapi.IOMMU_VEVENTQ_TYPE_SELFTEST;
  viommu.veventqAlloc({ viommuId, type, veventqDepth: 2 });
  for (let i = 0; i < 3; i++) mock.triggerVevent({ devId });
  const queue = { viommuId, type: TYPE, nestingParentIova: io.iova };
  viommu.hwQueueAlloc({ ...queue, length: uapi.PAGE_SIZE });

  const drawing = inspect(kernel).split("\n\n")[2];
  assertEquals(
    drawing,
    `\
  id  object    users
   1  IOAS          3  1 area, HWPT 5, 1 access
   2  selftest      1  made by MOCK_DOMAIN
   3  device        5  iommufd_mock0, group 0, attached to HWPT 8, PASID 7 to HWPT 5
   4  vEVENTQ       2  of vIOMMU 6, type 0xbeefbeef, 2 of 2 unread
   5  HWPT          3  IOAS 1, 2 KiB-64 GiB pages, IOVA 0x1000000-0x7fffffff, parent, for PASIDs, PASID 7 of iommufd_mock0
   6  vIOMMU        5  on HWPT 5, type 0xdeadbeef, 1 device
   7  vDEVICE       1  iommufd_mock0 is 0x99 of vIOMMU 6
   8  HWPT          2  nested on vIOMMU 6, for PASIDs, iommufd_mock0
   9  HW queue      1  of vIOMMU 6, 4 KiB at IOVA 0x1000000
  10  access        2  IOAS 1, needs IOVA aligned to 4 KiB`,
  );
});

/** The client's parts, and an IOAS with a page. */
function parts(iommufd: IommufdClient) {
  const { hwpt, mock, viommu, process } = iommufd;
  const { ioasId } = iommufd.ioasAlloc();
  const userVa = process.mmap(
    0,
    uapi.PAGE_SIZE,
    uapi.PROT_READ | uapi.PROT_WRITE,
    uapi.MAP_SHARED | uapi.MAP_ANONYMOUS,
  );
  const length = uapi.PAGE_SIZE;
  const place = { iova: uapi.MOCK_APERTURE_START };
  const { iova } = iommufd.ioasMap({ ioasId, userVa, length, ...place });
  return { hwpt, mock, viommu, ioasId, iova };
}
