// SPDX-License-Identifier: GPL-2.0-only

/** A device asks for pages that are not mapped, and the client maps them, or refuses. */

import { assertEquals } from "@std/assert";
import {
  IOMMUFD_PAGE_RESP_INVALID,
  IOMMUFD_PAGE_RESP_SUCCESS,
  PAGE_SIZE,
  POLLIN,
} from "@iommufd/kit";
import { programWithDevice, sharedMemory } from "./program.ts";
import { MARK } from "./touching_device.ts";

Deno.test("pages are mapped when the device asks for them", () => {
  const program = programWithDevice();
  const { kernel, hardware, process, iommufd, device } = program;
  const { devId, ioasId, touch } = program;
  const { faultId, faultFd } = iommufd.hwpt.faultQueueAlloc();
  const { hwptId } = iommufd.hwpt.alloc({ devId, ptId: ioasId, faultId });
  device.attach({ ptId: hwptId });

  // The guest's memory: 16 pages from IOVA 16 MiB on, none of them mapped.
  const start = 0x100_0000n;
  const length = 16 * PAGE_SIZE;
  const memory = sharedMemory(process, length);
  const guest = new Map<bigint, number>();
  for (let at = 0, iova = start; at < length; at += PAGE_SIZE, iova += 4096n) {
    guest.set(iova, memory + at);
  }

  /** Maps what is asked for, if it is the guest's; what to answer. */
  function answer(iova: bigint): number {
    const userVa = guest.get(iova);
    if (userVa === undefined) return IOMMUFD_PAGE_RESP_INVALID;
    iommufd.ioasMap({ ioasId, userVa, length: PAGE_SIZE, iova });
    return IOMMUFD_PAGE_RESP_SUCCESS;
  }

  /** Answers what waits in the queue. */
  function handleFaults(): void {
    while (process.poll(faultFd, POLLIN) === POLLIN) {
      const faults = iommufd.hwpt.readFaults(faultFd);
      const responses = faults.map(({ addr, cookie }) => {
        return { cookie, code: answer(addr) };
      });
      iommufd.hwpt.respondFaults(faultFd, responses);
    }
  }

  touch(start + 0x3001n);
  assertEquals(process.peek(memory + 0x3001, 1)[0], 0, "it waits");
  handleFaults();
  assertEquals(process.peek(memory + 0x3001, 1)[0], MARK);

  touch(0x5000_0000);
  handleFaults();
  assertEquals(hardware.lost, 1, "that is not the guest's");

  process.exit();
  assertEquals(kernel.audit(), []);
});
