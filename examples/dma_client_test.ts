// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { IommufdClient, Kernel, VfioDevice } from "@iommufd/kit";
import { CHECKSUM, ChecksumDevice } from "./checksum_device.ts";
import { checksum } from "./dma_client.ts";

Deno.test("a device adds up what a client gave it, and interrupts", () => {
  const { sum, interrupts, drawing } = checksum("hello");
  assertEquals([sum, interrupts], [104 + 101 + 108 + 108 + 111, 1]);
  assertStringIncludes(drawing, "DMA: HWPT 3, 4 KiB in 1 IO page");
});

Deno.test("a device says what it could not reach", () => {
  const kernel = new Kernel();
  kernel.addPciDevice(new ChecksumDevice());
  const process = kernel.spawn();
  using iommufd = IommufdClient.open(process);
  using device = VfioDevice.open(process);
  device.bind(iommufd);
  device.setBusMaster(true);
  device.store(0, CHECKSUM.length, 1);
  assertEquals(device.load(0, CHECKSUM.status), 2);
});
