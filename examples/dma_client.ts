// SPDX-License-Identifier: GPL-2.0-only

/**
 * A client that sets up DMA and gets an interrupt: `deno run examples/dma_client.ts`.
 * The device is `checksum_device.ts`.
 *
 * @module
 */

import { inspect, IommufdClient, Kernel, VfioDevice } from "@iommufd/kit";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  VFIO_PCI_MSIX_IRQ_INDEX,
} from "@iommufd/kit/uapi";
import { CHECKSUM, ChecksumDevice } from "./checksum_device.ts";

/** Has the device add up a text; returns the sum, how many interrupts came, and a drawing. */
export function checksum(
  text: string,
): { sum: number; interrupts: number; drawing: string } {
  // The machine.
  const kernel = new Kernel();
  kernel.addPciDevice(new ChecksumDevice());

  // The program: a device, and an IO address space for its DMA.
  const process = kernel.spawn();
  using iommufd = IommufdClient.open(process);
  using device = VfioDevice.open(process, "/dev/vfio/devices/vfio0");
  device.bind(iommufd);
  const { ioasId } = iommufd.ioasAlloc();
  device.attach({ ptId: ioasId });

  // Memory that the device reaches.
  const length = 4096;
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
  const { iova } = iommufd.ioasMap({ ioasId, userVa, length });
  const bytes = new TextEncoder().encode(text);
  process.poke(userVa, bytes);

  // An interrupt, and the right to do DMA.
  const eventfd = process.eventfd(0, 0);
  device.connect({ index: VFIO_PCI_MSIX_IRQ_INDEX }, [eventfd]);
  device.setBusMaster(true);

  // Go. The registers could be mapped as well: device.map(0).
  device.store(0, CHECKSUM.address, iova, 8);
  device.store(0, CHECKSUM.length, bytes.length);
  const count = new Uint8Array(8);
  const interrupts = process.read(eventfd, count) === 8 ? count[0]! : 0;
  const sum = device.load(0, CHECKSUM.sum);
  return { sum, interrupts, drawing: inspect(kernel) };
}

if (import.meta.main) {
  const { sum, interrupts, drawing } = checksum("hello");
  console.log(drawing);
  console.log(`\nsum ${sum}, interrupts: ${interrupts}`);
}
