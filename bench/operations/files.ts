// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping memory by the file that holds it, and taking it over.
 *
 * @module
 */

import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IommuIoasChangeProcess,
  IommuIoasMapFile,
} from "../../impl/uapi/iommufd.ts";
import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import { memfdMmap } from "../../selftests/ioctls/file_ioctls.ts";
import { MAP_RW } from "../../selftests/ioctls/ioctls.ts";
import { mapFloor } from "../measuring/floor.ts";
import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { type CallStep, ioctl, type Repetition } from "../measuring/steps.ts";
import { unmap } from "./mapping.ts";
import { callsOf, IOVA, LENGTHS, pagesOf } from "./sizes.ts";

/** Areas that change hands. */
const AREAS = 1000;

/** The group. */
export function fileScenarios(): Scenario[] {
  return [...LENGTHS.map(mapScenario), changeProcess()];
}

/** Maps all of a memfd piece by piece, then unmaps it. */
function mapScenario(length: number): Scenario {
  const calls = callsOf(length);
  const size = { value: length, unit: "bytes" } as const;
  const pages = pagesOf(length);
  return {
    group: "files",
    operations: alike({
      map: "IOAS_MAP_FILE of a memfd, 1 domain",
      unmap: "IOAS_UNMAP of a memfd, 1 domain",
    }, { size, calls, pages }),
    async prepare(machine) {
      const { ioasId } = await machine.ioas(1);
      const step = { start: length, iova: length };
      const repetition = { times: calls, sweep: step };
      const map = await mapFile(machine, { ioasId, length, calls }, repetition);
      const first = { ioasId, iova: IOVA, length };
      return [
        measured("map", map),
        measured(
          "unmap",
          unmap(machine.io.fd, first, {
            times: calls,
            sweep: { iova: length },
          }),
        ),
      ];
    },
    floor: () => mapFloor({ npages: calls * pages }),
  };
}

/** The process that owns all areas becomes their owner: each is looked at. */
function changeProcess(): Scenario {
  return {
    group: "files",
    operations: alike({ change: "IOAS_CHANGE_PROCESS" }, {
      size: { value: AREAS, unit: "areas" },
      calls: 1,
      pages: 0,
    }),
    async prepare(machine) {
      const { fd } = machine.io;
      const { ioasId } = await machine.ioas(1);
      const range = { ioasId, length: PAGE_SIZE, calls: AREAS };
      const sweep = { start: PAGE_SIZE, iova: PAGE_SIZE };
      const map = await mapFile(machine, range, { times: AREAS, sweep });
      const all = { ioasId, iova: IOVA, length: AREAS * PAGE_SIZE };
      return [
        { steps: [map] },
        measured("change", ioctl(fd, IommuIoasChangeProcess, {})),
        { steps: [unmap(fd, all)] },
      ];
    },
  };
}

/** IOAS_MAP_FILE of a new memfd that is long enough for all the calls. */
async function mapFile(
  { io }: Setup,
  range: { ioasId: number; length: number; calls: number },
  repetition: Repetition<IommuIoasMapFile>,
): Promise<CallStep> {
  const { ioasId, length, calls } = range;
  const { fd } = await memfdMmap(io, length * calls);
  return ioctl(io.fd, IommuIoasMapFile, {
    flags: MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA,
    ioasId,
    fd,
    start: 0n,
    length: BigInt(length),
    iova: IOVA,
  }, repetition);
}
