// SPDX-License-Identifier: GPL-2.0-only

/**
 * A script of a web page, bundled from the package: what it uses of the world
 * around it is JavaScript's, and `console`.
 *
 * @module
 */

import {
  inspect,
  IommufdClient,
  Kernel,
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "@iommufd/kit";

const kernel = new Kernel();
const process = kernel.spawn();
const length = 64 * 1024;
const flags = MAP_SHARED | MAP_ANONYMOUS;
const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);

{
  using iommufd = IommufdClient.open(process);
  const { ioasId } = iommufd.ioasAlloc();
  const { hwptId } = iommufd.mock.mockDomain({ ptId: ioasId });
  const { iova } = iommufd.ioasMap({ ioasId, userVa, length });
  iommufd.mock.checkMap({ hwptId, iova, length, userVa });
  console.log(inspect(kernel).split("\n", 1)[0]);
}
process.exit();
console.log(JSON.stringify(kernel.audit()));
