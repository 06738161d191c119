// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program with an iommufd, with which the tests of drivers begin.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type Device,
  IommufdClient,
  iommufdCtxFromFd,
  IommufdDevice,
  Kernel,
  MAP_ANONYMOUS,
  MAP_SHARED,
  type Process,
  PROT_READ,
  PROT_WRITE,
} from "@iommufd/kit";

/** See the module. */
export class Program {
  readonly kernel: Kernel;
  readonly process: Process;
  readonly iommufd: IommufdClient;

  /** A process of a machine with so many bytes of memory. */
  constructor(memory?: number) {
    this.kernel = new Kernel(memory === undefined ? {} : { memory });
    this.process = this.kernel.spawn();
    this.iommufd = IommufdClient.open(this.process);
  }

  /** Shared memory; its address. */
  sharedMemory(length: number, mmapFlags = 0): number {
    const flags = MAP_SHARED | MAP_ANONYMOUS | mmapFlags;
    return this.process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
  }

  /** Binds a device to its iommufd, as the driver of the device does. */
  bind(device: Device): IommufdDevice {
    const ctx = iommufdCtxFromFd(this.process, this.iommufd.fd);
    const bound = IommufdDevice.bindDevice(ctx, device);
    ctx.put();
    return bound;
  }

  /** Ends it: nothing is left behind. */
  exit(): void {
    this.process.exit();
    assertEquals(this.kernel.audit(), []);
  }
}
