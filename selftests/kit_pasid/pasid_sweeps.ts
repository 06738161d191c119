// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sequences of `kit_fail_nth` about PASIDs: each step of an attachment, a move
 * and a detach fails in turn. They detach what they attach, since Linux loses a
 * device that goes with a PASID attached.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_FLAGS_DEVICE_PASID } from "../../impl/uapi/selftest.ts";
import type { Round, Sequence } from "../harness/fail_nth_sweep.ts";
import { assertEq } from "../harness/harness.ts";
import { answer, readFaults, trigger } from "../ioctls/fault_ioctls.ts";
import {
  faultQueueAlloc,
  hwptAlloc,
  nestedAlloc,
} from "../ioctls/hwpt_ioctls.ts";
import type { Iommufd } from "../ioctls/ioctls.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";
import {
  pasidAttach,
  pasidCheckHwpt,
  pasidDetach,
  pasidReplace,
} from "../ioctls/pasid_ioctls.ts";

/** See the module. */
export const PASID_SEQUENCES: readonly Sequence[] = [
  {
    name: "pasid",
    what: "attaching, moving and detaching PASIDs",
    points: { "7.3": 80 },
    reference: "device.c, iommu.c iommu_attach_device_pasid",
    rules: ["U4.2"],
    needs: ["hwpt", "pasid"],
    run: callPasids,
  },
  {
    name: "pasid_faults",
    what: "page faults of a PASID",
    points: { "7.3": 30 },
    reference: "eventq.c, io-pgfault.c find_fault_handler",
    rules: ["U4.2"],
    needs: ["hwpt", "pasid", "faults"],
    run: callFaults,
  },
];

/** A device with PASIDs, attached to a HWPT for them that others can be nested in. */
async function setUp(
  io: Iommufd,
): Promise<{ device: MockDomain; ioasId: number; rid: number }> {
  const ioasId = await io.ioasAlloc();
  const device = await io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_PASID);
  const flags = IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_ALLOC_NEST_PARENT;
  const rid = await hwptAlloc(io, {
    devId: device.idevId,
    ptId: ioasId,
    flags,
  });
  await io.mock.replaceDomain(device.stdevId, rid);
  return { device, ioasId, rid };
}

/** PASIDs whose places need new nodes each; the device itself, by PASID 0. */
async function callPasids(round: Round): Promise<void> {
  const io = await round.open();
  const { device, ioasId, rid } = await setUp(io);
  const { stdevId, idevId: devId } = device;
  await round.enable();
  const flags = IOMMU_HWPT_ALLOC_PASID;
  const hwpt = await round.step(() =>
    hwptAlloc(io, { devId, ptId: ioasId, flags })
  );
  for (const pasid of [200, 1, 70000]) {
    await round.step(() => pasidAttach(io, stdevId, pasid, hwpt));
  }
  await round.step(() => pasidReplace(io, stdevId, 200, rid));
  await round.step(() => pasidReplace(io, stdevId, 200, hwpt));
  await round.step(() => pasidReplace(io, stdevId, 0, hwpt));
  await round.step(() => pasidCheckHwpt(io, stdevId, 70000, hwpt));
  for (const pasid of [200, 0, 1, 70000]) {
    await round.step(() => pasidDetach(io, stdevId, pasid));
  }
  await round.step(() => pasidAttach(io, stdevId, 0, ioasId));
}

/** A PASID with a fault queue: one fault that is answered, and one that is not. */
async function callFaults(round: Round): Promise<void> {
  const io = await round.open();
  const { device: { stdevId, idevId }, rid } = await setUp(io);
  const { faultId, faultFd } = await faultQueueAlloc(io);
  const fd = await round.openStep(() => Promise.resolve(faultFd));
  const flags = IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_FAULT_ID_VALID;
  const hwpt = await nestedAlloc(io, idevId, rid, { flags, faultId });
  await round.enable();
  await round.step(() => pasidAttach(io, stdevId, 5, hwpt));
  await round.step(() => trigger(io, idevId, { pasid: 5 }));
  const faults = await round.step(() => readFaults(io, fd));
  for (const { cookie } of faults) {
    await round.step(() => answer(io, fd, [cookie]));
  }
  await round.step(() => trigger(io, idevId, { pasid: 5 }));
  await round.step(() => pasidReplace(io, stdevId, 5, rid));
  await round.step(() => pasidReplace(io, stdevId, 5, hwpt));
  await round.step(() => pasidDetach(io, stdevId, 5));
  const left = await round.step(() => readFaults(io, fd));
  assertEq(left.length, 0, "faults of a PASID that is detached");
  await round.close(fd);
}
