// SPDX-License-Identifier: GPL-2.0-only

/** Memory that a device writes is copied while it does: live migration, round by round. */

import { assertEquals } from "@std/assert";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  type IommufdClient,
  PAGE_SIZE,
  type Process,
} from "@iommufd/kit";
import { programWithDevice, sharedMemory } from "./program.ts";

/** Memory that a device reaches, and where. */
interface Tracked {
  readonly hwptId: number;
  readonly userVa: number;
  readonly iova: bigint;
  readonly length: number;
}

/** Copies the pages that were written since the last time; how many there were. */
function copyDirty(
  process: Process,
  iommufd: IommufdClient,
  { userVa, ...range }: Tracked,
  copy: Uint8Array,
): number {
  const bitmap = iommufd.hwpt.getDirtyBitmap({ ...range, pageSize: PAGE_SIZE });
  let pages = 0;
  for (let at = 0; at < range.length; at += PAGE_SIZE) {
    const page = at / PAGE_SIZE;
    if ((bitmap[page >> 3]! & 1 << (page & 7)) === 0) continue;
    copy.set(process.peek(userVa + at, PAGE_SIZE), at);
    pages++;
  }
  return pages;
}

Deno.test("what a device writes is copied, until nothing is new", () => {
  const program = programWithDevice();
  const { kernel, process, iommufd, device, devId, ioasId, touch } = program;
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
  const { hwptId } = iommufd.hwpt.alloc({ devId, ptId: ioasId, flags });
  device.attach({ ptId: hwptId });
  const length = 16 * PAGE_SIZE;
  const userVa = sharedMemory(process, length);
  const { iova } = iommufd.ioasMap({ ioasId, userVa, length });
  const memory = { hwptId, userVa, iova, length };

  iommufd.hwpt.setDirtyTracking({ hwptId, on: true });
  const copy = process.peek(userVa, length); // the first round: everything
  touch(iova);
  touch(iova + 4097n);
  assertEquals(copyDirty(process, iommufd, memory, copy), 2);
  touch(iova + 4098n);
  assertEquals(copyDirty(process, iommufd, memory, copy), 1);

  device.setBusMaster(false); // the device stops: the last round
  assertEquals(copyDirty(process, iommufd, memory, copy), 0);
  iommufd.hwpt.setDirtyTracking({ hwptId, on: false });
  assertEquals(copy, process.peek(userVa, length));

  process.exit();
  assertEquals(kernel.audit(), []);
});
