// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import {
  errnoName,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_READABLE,
  IommufdClient,
  IommuIoasMap,
  Kernel,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  type Process,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_MEMLOCK,
} from "@iommufd/kit";

/** The code to test. It makes its system calls through `system`. */
function mapForDevice(
  system: Pick<Process, "ioctlStruct">,
  fd: number,
  memory: { ioasId: number; userVa: number; length: number },
): bigint {
  const flags = IOMMU_IOAS_MAP_READABLE;
  const map = IommuIoasMap.encode({ flags, ...memory });
  const ret = system.ioctlStruct(fd, IOMMU_IOAS_MAP, map);
  if (ret < 0) throw new Error(`Cannot map memory: ${errnoName(ret)}`);
  return IommuIoasMap.decode(map).iova;
}

Deno.test("mapForDevice() maps no more than RLIMIT_MEMLOCK", () => {
  const kernel = new Kernel();
  const process = kernel.spawn({ uid: 1000 });
  process.setrlimit(RLIMIT_MEMLOCK, 4096);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const userVa = process.mmap(0, 8192, PROT_READ | PROT_WRITE, flags);

  const iommufd = IommufdClient.open(process);
  const { ioasId } = iommufd.ioasAlloc();
  iommufd.mock.mockDomain({ ptId: ioasId }); // memory is pinned because of it

  const { fd } = iommufd;
  const tooMuch = { ioasId, userVa, length: 8192 };
  assertThrows(() => mapForDevice(process, fd, tooMuch), Error, "ENOMEM");
  mapForDevice(process, fd, { ioasId, userVa, length: 4096 });

  process.exit();
  assertEquals(kernel.audit(), []); // nothing leaked, and no kernel warning
});
