// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reading which pages a device wrote.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IommuHwptGetDirtyBitmap,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_IO_PAGE_SIZE, TestDirty } from "../../impl/uapi/selftest.ts";
import {
  hwptAlloc,
  setDirtyTracking,
} from "../../selftests/ioctls/hwpt_ioctls.ts";
import { dirtyFloor } from "../measuring/floor.ts";
import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import { ioctl, testIoctl } from "../measuring/steps.ts";
import { GIB, IOVA, MIB, pagesOf } from "./sizes.ts";

const LENGTHS = [2 * MIB, 64 * MIB, GIB];
/** Bits of a bitmap byte for the first half of each page. */
const EVERY_OTHER = 0x55;

/** The group. */
export function dirtyScenarios(): Scenario[] {
  return LENGTHS.map(dirtyScenario);
}

/** Marks half of all IOPTEs, reads the bitmap, and reads it again when all are clean. */
function dirtyScenario(length: number): Scenario {
  const size = { value: length, unit: "bytes" } as const;
  const pages = pagesOf(length);
  const get = "HWPT_GET_DIRTY_BITMAP";
  return {
    group: "dirty",
    operations: alike({
      dirty: `${get}, half of it dirty`,
      clean: `${get}, all clean`,
    }, { size, calls: 1, pages }),
    async prepare(machine) {
      const { io } = machine;
      const address = await machine.memory(length);
      const { ioasId, idevId } = await machine.ioas(1);
      const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
      const values = { devId: idevId, ptId: ioasId, flags };
      const hwptId = await hwptAlloc(io, values);
      await io.mapFixed(ioasId, address, length, IOVA);
      await setDirtyTracking(io, hwptId, true);

      const range = {
        iova: IOVA,
        length: BigInt(length),
        pageSize: BigInt(MOCK_IO_PAGE_SIZE),
      };
      const bits = new Uint8Array(length / MOCK_IO_PAGE_SIZE / 8);
      const written = await machine.memory(bits.length);
      await io.process.poke(written, bits.fill(EVERY_OTHER));
      const bitmap = await machine.memory(bits.length);
      const mark = testIoctl(io, TestDirty, {
        ...range,
        id: hwptId,
        uptr: BigInt(written),
      });
      const read = ioctl(io.fd, IommuHwptGetDirtyBitmap, {
        ...range,
        hwptId,
        data: BigInt(bitmap),
      });
      return [
        { steps: [mark] },
        measured("dirty", read),
        measured("clean", read),
      ];
    },
    floor() {
      const { mark, get } = dirtyFloor(pages);
      return { mark, dirty: get, clean: get };
    },
  };
}
