// SPDX-License-Identifier: GPL-2.0-only

/**
 * Page faults, from the device to user space and back.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_PGFAULT_PERM_READ,
  IOMMUFD_PAGE_RESP_SUCCESS,
  IommuHwptPageResponse,
  IommuHwptPgfault,
} from "../../impl/uapi/iommufd.ts";
import { TestTriggerIopf } from "../../impl/uapi/selftest.ts";
import {
  faultQueueAlloc,
  hwptAlloc,
  nestedAlloc,
} from "../../selftests/ioctls/hwpt_ioctls.ts";
import { measured, type Scenario } from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { call } from "../../selftests/target/verbs.ts";
import { type Step, step, testIoctl } from "../measuring/steps.ts";

/** Round trips of a phase. */
const CALLS = 32;

/** The group. */
export function faultScenarios(): Scenario[] {
  return [{
    group: "fault",
    operations: {
      fault: {
        series: "page fault: trigger, read, answer",
        calls: CALLS,
        pages: 0,
      },
    },
    async prepare(machine) {
      const { devId, faultFd } = await faultingDevice(machine);
      const roundTrip = roundTripOf(machine, devId, faultFd);
      const steps = Array.from({ length: CALLS }, () => roundTrip).flat();
      return [measured("fault", ...steps)];
    },
  }];
}

/** A device whose faults go to a queue. */
async function faultingDevice(
  machine: Setup,
): Promise<{ devId: number; faultFd: number }> {
  const { io } = machine;
  const { ioasId, stdevId, idevId: devId } = await machine.ioas(1);
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const parent = await hwptAlloc(io, { devId, ptId: ioasId, flags });
  const { faultId, faultFd } = await faultQueueAlloc(io);
  const faulting = await nestedAlloc(io, devId, parent, {
    flags: IOMMU_HWPT_FAULT_ID_VALID,
    faultId,
  });
  await io.mock.replaceDomain(stdevId, faulting);
  return { devId, faultFd };
}

function roundTripOf({ io }: Setup, devId: number, fd: number): Step[] {
  const trigger = testIoctl(io, TestTriggerIopf, {
    devId,
    pasid: 1,
    grpid: 2,
    perm: IOMMU_PGFAULT_PERM_READ,
    addr: 0x1000n,
  });
  // The lowest free cookie: nothing else is unanswered.
  const answer = { cookie: 1, code: IOMMUFD_PAGE_RESP_SUCCESS };
  const bytes = IommuHwptPageResponse.encode(answer);
  const into = new Uint8Array(IommuHwptPgfault.size);
  return [
    trigger,
    step(call("read", fd, into), into.length),
    step(call("write", fd, bytes), bytes.length),
  ];
}
