// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a guest with an IOMMU of its own does: devices come and go for PASIDs,
 * caches are invalidated, events are read.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IommuHwptInvalidate,
  IommuViommuAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  MOCK_FLAGS_DEVICE_PASID,
  TestPasidAttach,
  TestPasidDetach,
  TestTriggerVevent,
  ViommuInvalidateSelftest,
} from "../../impl/uapi/selftest.ts";
import { hwptAlloc, nestedAlloc } from "../../selftests/ioctls/hwpt_ioctls.ts";
import {
  VEVENT_SIZE,
  veventqAlloc,
} from "../../selftests/ioctls/vevent_ioctls.ts";
import {
  vdeviceAlloc,
  viommuAlloc,
} from "../../selftests/ioctls/viommu_ioctls.ts";
import { call } from "../../selftests/target/verbs.ts";
import { measured, type Scenario } from "../measuring/scenario.ts";
import type { Setup } from "../measuring/setup.ts";
import { ioctl, type Step, step, testIoctl } from "../measuring/steps.ts";
import { objectsInTurn } from "./objects.ts";

/** Calls of a phase. */
const CALLS = 32;
/** What the guest calls the device. */
const VIRT_ID = 0x99;

/** The group. */
export function viommuScenarios(): Scenario[] {
  return [
    viommu(),
    repeated("HWPT_INVALIDATE by a vIOMMU, 1 request", invalidate),
    repeated("event of a vIOMMU: trigger, read", event),
    repeated("PASID_ATTACH and PASID_DETACH in turn", pasid),
  ];
}

function viommu(): Scenario {
  return objectsInTurn("viommu", "VIOMMU_ALLOC", async (machine, times) => {
    const { devId, parentId: hwptId } = await nestingDevice(machine);
    const values = { devId, hwptId, type: IOMMU_VIOMMU_TYPE_SELFTEST };
    const { fd } = machine.io;
    const step = ioctl(fd, IommuViommuAlloc, values, { times });
    return { step, firstId: hwptId + 1, stride: 1 };
  });
}

/** A scenario that makes some steps again and again. */
function repeated(
  series: string,
  prepare: (machine: Setup) => Promise<Step[]>,
): Scenario {
  return {
    group: "viommu",
    operations: { steps: { series, calls: CALLS, pages: 0 } },
    async prepare(machine) {
      const steps = await prepare(machine);
      const all = Array.from({ length: CALLS }, () => steps).flat();
      return [measured("steps", ...all)];
    },
  };
}

/** A device, and a HWPT that others can be nested in. */
async function nestingDevice(
  machine: Setup,
): Promise<{ stdevId: number; devId: number; parentId: number }> {
  const { ioasId, stdevId, idevId: devId } = await machine.ioas(1);
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const values = { devId, ptId: ioasId, flags };
  return { stdevId, devId, parentId: await hwptAlloc(machine.io, values) };
}

/** A device that is attached through a vIOMMU. */
async function guestDevice(
  machine: Setup,
): Promise<{ devId: number; viommuId: number }> {
  const { io } = machine;
  const { stdevId, devId, parentId } = await nestingDevice(machine);
  const viommuId = await viommuAlloc(io, devId, parentId);
  await vdeviceAlloc(io, viommuId, devId, VIRT_ID);
  const nested = await nestedAlloc(io, devId, viommuId);
  await io.mock.replaceDomain(stdevId, nested);
  return { devId, viommuId };
}

async function invalidate(machine: Setup): Promise<Step[]> {
  const { io } = machine;
  const { viommuId } = await guestDevice(machine);
  const request = ViommuInvalidateSelftest.encode({ vdevId: VIRT_ID });
  await io.process.poke(io.scratch, request);
  return [ioctl(io.fd, IommuHwptInvalidate, {
    hwptId: viommuId,
    dataUptr: BigInt(io.scratch),
    dataType: IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
    entryLen: request.length,
    entryNum: 1,
  })];
}

async function event(machine: Setup): Promise<Step[]> {
  const { io } = machine;
  const { devId, viommuId } = await guestDevice(machine);
  const { veventqFd } = await veventqAlloc(io, viommuId, 2);
  const into = new Uint8Array(VEVENT_SIZE);
  return [
    testIoctl(io, TestTriggerVevent, { devId }),
    step(call("read", veventqFd, into), into.length),
  ];
}

async function pasid({ io }: Setup): Promise<Step[]> {
  const ioasId = await io.ioasAlloc();
  const { stdevId: id, idevId: devId } = await io.mock.domainFlags(
    ioasId,
    MOCK_FLAGS_DEVICE_PASID,
  );
  const flags = IOMMU_HWPT_ALLOC_PASID;
  const ptId = await hwptAlloc(io, { devId, ptId: ioasId, flags });
  await io.mock.replaceDomain(id, ptId);
  return [
    testIoctl(io, TestPasidAttach, { id, pasid: 1, ptId }),
    testIoctl(io, TestPasidDetach, { id, pasid: 1 }),
  ];
}
