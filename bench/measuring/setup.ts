// SPDX-License-Identifier: GPL-2.0-only

/**
 * What scenarios prepare with: a process with an open iommufd, of the model or
 * of any other target, and the helpers of the selftests.
 *
 * @module
 */

import type {
  TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import { mapMemory } from "../../conformance/targets/probes.ts";
import { MAP_HUGETLB, MAP_POPULATE } from "../../impl/uapi/mman.ts";
import {
  NEWEST,
  type RevisionName,
  REVISIONS,
} from "../../impl/uapi/revision.ts";
import { hwptAlloc } from "../../selftests/ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../../selftests/ioctls/ioctls.ts";
import type { Step } from "./steps.ts";
import { timedRound, timeRound } from "./timed_round.ts";

/** The revision that is timed, where a target does not say another one. */
export const REVISION: RevisionName = NEWEST;

/** What an IOAS with domains consists of. */
export interface Ioas {
  /** The IOAS. */
  readonly ioasId: number;
  /** The mock device, 0 without domain. */
  readonly stdevId: number;
  /** The bound device, 0 without domain. */
  readonly idevId: number;
}

/** Opens `/dev/iommu` in a process of a target. */
export function openIommufd(
  process: TargetProcess,
  info: TargetInfo,
): Promise<Iommufd> {
  return Iommufd.open({
    process,
    info,
    revision: REVISIONS[info.uapi as RevisionName],
    pageSize: info.pageSize,
    hugePageSize: info.hugePageSize,
    note: () => {},
  });
}

/** One process with an open iommufd. */
export class Setup {
  /** Its iommufd. */
  readonly io: Iommufd;

  /** Takes an iommufd that nothing was done with. */
  constructor(io: Iommufd) {
    this.io = io;
  }

  /**
   * Private memory that is there already, as the memory of a guest is when a
   * VMM maps it.
   */
  async memory(length: number, huge = false): Promise<number> {
    const flags = MAP_POPULATE | (huge ? MAP_HUGETLB : 0);
    return await mapMemory(this.io.process, length, flags);
  }

  /** Makes calls that prepare what is timed. */
  async run(steps: readonly Step[]): Promise<void> {
    const round = timedRound([{ steps }]);
    if (round === undefined) throw new Error("No target can make these calls");
    await timeRound(this.io.process, round, 1);
  }

  /**
   * An IOAS that maps into 0, 1 or 2 mock domains. A second device would share
   * the domain of the first, so HWPT_ALLOC makes the second one.
   */
  async ioas(domains: number): Promise<Ioas> {
    const { io } = this;
    const ioasId = await io.ioasAlloc();
    if (domains === 0) return { ioasId, stdevId: 0, idevId: 0 };
    const { stdevId, idevId } = await io.mock.domain(ioasId);
    for (let i = 1; i < domains; i++) {
      await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    }
    return { ioasId, stdevId, idevId };
  }
}
