// SPDX-License-Identifier: GPL-2.0-only

/**
 * A child that maps memory through its parent's descriptor. Its pages are
 * copies on write, so pinning them copies them.
 *
 * @module
 */

import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IommuIoasMap,
  IommuIoasUnmap,
} from "../../impl/uapi/iommufd.ts";
import { MAP_RW } from "../../selftests/ioctls/ioctls.ts";
import type { Phase, Scenario } from "../measuring/scenario.ts";
import { ioctl } from "../measuring/steps.ts";
import { IOVA, KIB, MIB, pagesOf } from "./sizes.ts";

const LENGTHS = [4 * KIB, 2 * MIB, 64 * MIB];

/** The group. */
export function forkScenarios(): Scenario[] {
  return LENGTHS.map((length) => ({
    group: "fork",
    operations: {
      fork: {
        series: "fork; the child maps, unmaps and exits",
        size: { value: length, unit: "bytes" },
        calls: 1,
        pages: pagesOf(length),
      },
    },
    async prepare(machine): Promise<Phase[]> {
      const { fd } = machine.io;
      const address = await machine.memory(length);
      const { ioasId } = await machine.ioas(1);
      const range = { ioasId, iova: IOVA, length: BigInt(length) };
      const map = ioctl(fd, IommuIoasMap, {
        ...range,
        flags: MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA,
        userVa: BigInt(address),
      });
      const unmap = ioctl(fd, IommuIoasUnmap, range);
      return [{
        measures: "fork",
        steps: [{ fork: [map, unmap] }],
      }];
    },
  }));
}
