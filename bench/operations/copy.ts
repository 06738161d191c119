// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mapping what is mapped once more.
 *
 * @module
 */

import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IommuIoasCopy,
} from "../../impl/uapi/iommufd.ts";
import { MAP_RW } from "../../selftests/ioctls/ioctls.ts";
import { copyFloor } from "../measuring/floor.ts";
import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import { ioctl } from "../measuring/steps.ts";
import { unmap } from "./mapping.ts";
import { callsOf, domainsName, IOVA, LENGTHS, pagesOf } from "./sizes.ts";

/** The copy must fit into the aperture beside the original. */
const COPY_LENGTHS = LENGTHS.slice(0, 4);

/** The group. */
export function copyScenarios(): Scenario[] {
  return [0, 1, 2].flatMap((domains) =>
    COPY_LENGTHS.map((length) => copyScenario(domains, length))
  );
}

/** Copies within an IOAS, then unmaps the copies. */
function copyScenario(domains: number, length: number): Scenario {
  const calls = callsOf(length);
  const size = { value: length, unit: "bytes" } as const;
  const pages = domains === 0 ? 0 : pagesOf(length);
  const what = domainsName(domains);
  const floor = () => copyFloor({ npages: calls * pages, domains });
  return {
    group: "copy",
    operations: alike({
      copy: `IOAS_COPY, ${what}`,
      unmap: `IOAS_UNMAP of a copy, ${what}`,
    }, { size, calls, pages }),
    async prepare(machine) {
      const { io } = machine;
      const bytes = calls * length;
      const address = await machine.memory(bytes);
      const { ioasId } = await machine.ioas(domains);
      await io.mapFixed(ioasId, address, bytes, IOVA);
      const dstIova = IOVA + BigInt(bytes);
      const copy = ioctl(io.fd, IommuIoasCopy, {
        flags: MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA,
        dstIoasId: ioasId,
        srcIoasId: ioasId,
        length: BigInt(length),
        dstIova,
        srcIova: IOVA,
      }, { times: calls, sweep: { dstIova: length, srcIova: length } });
      const copied = unmap(io.fd, { ioasId, iova: dstIova, length }, {
        times: calls,
        sweep: { iova: length },
      });
      return [measured("copy", copy), measured("unmap", copied)];
    },
    ...pages === 0 ? {} : { floor },
  };
}
