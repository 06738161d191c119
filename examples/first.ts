// SPDX-License-Identifier: GPL-2.0-only

import { inspect, IommufdClient, Kernel } from "@iommufd/kit";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "@iommufd/kit/uapi";

const kernel = new Kernel();
const process = kernel.spawn();
const length = 64 * 1024;
const flags = MAP_SHARED | MAP_ANONYMOUS;
const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);

using iommufd = IommufdClient.open(process); // /dev/iommu
const { ioasId } = iommufd.ioasAlloc();
const { hwptId } = iommufd.mock.mockDomain({ ptId: ioasId }); // a mock device, attached
const { iova } = iommufd.ioasMap({ ioasId, userVa, length });
iommufd.mock.checkMap({ hwptId, iova, length, userVa }); // throws if the device sees other memory
console.log(inspect(kernel));
