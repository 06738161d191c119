// SPDX-License-Identifier: GPL-2.0-only

/** A client that may open nothing: a manager opens the iommufd and the device, and passes the descriptors. */

import { assertEquals } from "@std/assert";
import { IommufdClient, PAGE_SIZE, VfioDevice } from "@iommufd/kit";
import { programWithDevice, sharedMemory } from "./program.ts";
import { MARK } from "./touching_device.ts";

Deno.test("a client maps its own memory in an iommufd that it was given", () => {
  const manager = programWithDevice();
  const { kernel, ioasId } = manager;
  manager.device.attach({ ptId: ioasId });

  // Over a socket, with SCM_RIGHTS.
  const worker = kernel.spawn({ uid: 1000 });
  const iommuFd = manager.process.passFd(manager.iommufd.fd, worker);
  const deviceFd = manager.process.passFd(manager.device.fd, worker);
  manager.process.exit(); // what it passed stays open

  using iommufd = new IommufdClient(worker, iommuFd);
  using device = new VfioDevice(worker, deviceFd);
  const userVa = sharedMemory(worker, PAGE_SIZE);
  const { iova } = iommufd.ioasMap({ ioasId, userVa, length: PAGE_SIZE });
  device.store(0, 0, iova, 8);
  assertEquals(worker.peek(userVa, 1)[0], MARK);

  iommufd.ioasUnmapAll(ioasId);
  device.close();
  worker.exit();
  assertEquals(kernel.audit(), []);
});
