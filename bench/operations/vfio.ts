// SPDX-License-Identifier: GPL-2.0-only

/**
 * The VFIO container's pair of map and unmap.
 *
 * @module
 */

import { IOMMU_VFIO_IOAS_SET } from "../../impl/uapi/iommufd.ts";
import {
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
} from "../../impl/uapi/vfio.ts";
import {
  DMA_RW,
  setIommu,
  vfioIoas,
} from "../../selftests/ioctls/vfio_ioctls.ts";
import { mapFloor } from "../measuring/floor.ts";
import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import { ioctl } from "../measuring/steps.ts";
import { callsOf, IOVA, LENGTHS, pagesOf } from "./sizes.ts";

const TYPES = { TYPE1v2: VFIO_TYPE1v2_IOMMU, TYPE1: VFIO_TYPE1_IOMMU };

/** The group. */
export function vfioScenarios(): Scenario[] {
  return Object.entries(TYPES).flatMap(([name, type]) =>
    LENGTHS.map((length) => vfioScenario(name, type, length))
  );
}

function vfioScenario(name: string, type: number, length: number): Scenario {
  const calls = callsOf(length);
  const pages = pagesOf(length);
  const size = { value: length, unit: "bytes" } as const;
  return {
    group: "vfio",
    operations: alike({
      map: `VFIO_IOMMU_MAP_DMA (${name})`,
      unmap: `VFIO_IOMMU_UNMAP_DMA (${name})`,
    }, { size, calls, pages }),
    async prepare(machine) {
      const { io } = machine;
      const vaddr = BigInt(await machine.memory(calls * length));
      const { ioasId } = await machine.ioas(1);
      await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
      await setIommu(io, type);
      const values = { iova: IOVA, length: BigInt(length) };
      const map = ioctl(io.fd, VfioIommuType1DmaMap, {
        ...values,
        flags: DMA_RW,
        vaddr,
      }, { times: calls, sweep: { vaddr: length, iova: length } });
      const unmap = ioctl(io.fd, VfioIommuType1DmaUnmap, values, {
        times: calls,
        sweep: { iova: length },
      });
      return [measured("map", map), measured("unmap", unmap)];
    },
    floor: () => mapFloor({ npages: calls * pages }),
  };
}
