// SPDX-License-Identifier: GPL-2.0-only

import {
  IommufdClient,
  Kernel,
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "@iommufd/kit";

const process = new Kernel({ revision: "6.12" }).spawn();
const length = 64 * 1024;
const flags = MAP_SHARED | MAP_ANONYMOUS;
const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);

using iommufd = IommufdClient.open(process);
const { ioasId } = iommufd.ioasAlloc();
const { hwptId } = iommufd.mock.mockDomain({ ptId: ioasId }); // a device, attached
const { iova } = iommufd.ioasMap({ ioasId, userVa, length });
iommufd.mock.checkMap({ hwptId, iova, length, userVa }); // throws if the device sees other memory
