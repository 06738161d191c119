// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program with a device, for the examples of clients.
 *
 * @module
 */

import {
  IommufdClient,
  Kernel,
  MAP_ANONYMOUS,
  MAP_SHARED,
  type Process,
  PROT_READ,
  PROT_WRITE,
  VfioDevice,
} from "@iommufd/kit";
import { TouchingDevice } from "./touching_device.ts";

/** A process of a machine with one device, which is bound to its iommufd. */
export function programWithDevice() {
  const kernel = new Kernel();
  const hardware = new TouchingDevice();
  kernel.addPciDevice(hardware);
  const process = kernel.spawn();
  const iommufd = IommufdClient.open(process);
  const device = VfioDevice.open(process, "/dev/vfio/devices/vfio0");
  const { devId } = device.bind(iommufd);
  const { ioasId } = iommufd.ioasAlloc();
  device.setBusMaster(true);
  /** Has the device store its byte at an IOVA. */
  const touch = (iova: number | bigint) => device.store(0, 0, iova, 8);
  return { kernel, hardware, process, iommufd, device, devId, ioasId, touch };
}

/** Shared memory of a process; its address. */
export function sharedMemory(process: Process, length: number): number {
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  return process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
}
