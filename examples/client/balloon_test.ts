// SPDX-License-Identifier: GPL-2.0-only

/** Memory is taken from a guest, a balloon, while a device does DMA. */

import { assertEquals } from "@std/assert";
import { MADV_REMOVE, PAGE_SIZE } from "@iommufd/kit";
import { programWithDevice, sharedMemory } from "./program.ts";
import { MARK } from "./touching_device.ts";

/** Bytes that are ballooned away: they must be mapped by themselves to be unmapped. */
const PART = 4 * PAGE_SIZE;

function guestWithDevice() {
  const program = programWithDevice();
  const { process, iommufd, device, ioasId } = program;
  device.attach({ ptId: ioasId });
  const userVa = sharedMemory(process, PART);
  process.poke(userVa, new Uint8Array(PART).fill(1));
  const { iova } = iommufd.ioasMap({ ioasId, userVa, length: PART });
  return { ...program, userVa, iova };
}

Deno.test("what is dropped under DMA stays the device's, and is not the guest's any more", () => {
  const { kernel, process, userVa, iova, touch } = guestWithDevice();
  const { used } = kernel.frames;
  assertEquals(process.madvise(userVa, PART, MADV_REMOVE), 0);
  assertEquals(kernel.frames.used, used, "the pins keep all of it");

  touch(iova); // into a page that nobody sees
  assertEquals(process.peek(userVa, 1)[0], 0);
  process.exit();
  assertEquals(kernel.audit(), []);
});

Deno.test("unmapped first, memory is given back; mapped again, it is one", () => {
  const program = guestWithDevice();
  const { kernel, process, iommufd, ioasId, userVa, iova, touch } = program;
  const { used } = kernel.frames;
  iommufd.ioasUnmap({ ioasId, iova, length: PART });
  assertEquals(process.madvise(userVa, PART, MADV_REMOVE), 0);
  assertEquals(kernel.frames.used < used, true);

  // The balloon deflates.
  iommufd.ioasMap({ ioasId, userVa, length: PART, iova });
  touch(iova);
  assertEquals(process.peek(userVa, 1)[0], MARK);
  process.exit();
  assertEquals(kernel.audit(), []);
});
