// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sequences of `kit_fail_nth` about virtual IOMMUs: each ioctl, with each of
 * its steps failing.
 *
 * @module
 */

import { IOMMU_HWPT_ALLOC_NEST_PARENT } from "../../impl/uapi/iommufd.ts";
import { ENOENT } from "../../impl/uapi/errno.ts";
import { assertEq, assertOk } from "../harness/harness.ts";
import type { Round, Sequence } from "../harness/fail_nth_sweep.ts";
import { hwptAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import type { Iommufd } from "../ioctls/ioctls.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";
import {
  expectVevents,
  triggerVevents,
  VEVENT_SIZE,
  veventqAlloc,
} from "../ioctls/vevent_ioctls.ts";
import {
  hwQueueAlloc,
  vdeviceAlloc,
  viommuAlloc,
  viommuAllocWithData,
  viommuInvalidate,
} from "../ioctls/viommu_ioctls.ts";

/** What the sequences begin with. */
interface Start {
  readonly io: Iommufd;
  readonly ioasId: number;
  readonly device: MockDomain;
  readonly parent: number;
}

/** A device, and a HWPT that others can be nested in. */
async function start(round: Round): Promise<Start> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  const device = await io.mock.domain(ioasId);
  const parent = await hwptAlloc(io, {
    devId: device.idevId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  return { io, ioasId, device, parent };
}

/** A virtual IOMMU, with memory and without, and a nested HWPT on it. */
async function callViommu(round: Round): Promise<void> {
  const { io, device, parent } = await start(round);
  const { idevId } = device;
  await round.enable();
  const id = await round.step(() => viommuAlloc(io, idevId, parent));
  await round.step(() => viommuAllocWithData(io, idevId, parent, 7));
  const nested = await round.step(() => nestedAlloc(io, idevId, id));
  await round.step(() => io.destroy(nested));
  await round.step(() => io.destroy(id));
}

/** Devices under numbers that are far apart, attached and gone. */
async function callVdevice(round: Round): Promise<void> {
  const { io, ioasId, device, parent } = await start(round);
  const other = await io.mock.domain(ioasId);
  const viommuId = await viommuAlloc(io, device.idevId, parent);
  const nested = await nestedAlloc(io, device.idevId, viommuId);
  await round.enable();
  await round.step(() => vdeviceAlloc(io, viommuId, other.idevId, 0));
  const id = await round.step(() =>
    vdeviceAlloc(io, viommuId, device.idevId, 2n ** 64n - 1n)
  );
  await round.step(() => io.mock.replaceDomain(device.stdevId, nested));
  await round.step(() => viommuInvalidate(io, viommuId, [{ vdevId: 0 }], 1));
  await round.step(() => io.mock.replaceDomain(device.stdevId, ioasId));
  await round.step(() => io.destroy(id));
  await round.step(() => io.destroy(other.stdevId));
}

/** A queue, events in it, and their reading. */
async function callVeventq(round: Round): Promise<void> {
  const { io, device, parent } = await start(round);
  const { idevId, stdevId } = device;
  const viommuId = await viommuAlloc(io, idevId, parent);
  await vdeviceAlloc(io, viommuId, idevId, 5);
  const nested = await nestedAlloc(io, idevId, viommuId);
  await io.mock.replaceDomain(stdevId, nested);
  await round.enable();
  let queue = 0;
  const fd = await round.openStep(async () => {
    const made = await veventqAlloc(io, viommuId, 4);
    queue = made.veventqId;
    return made.veventqFd;
  });
  // An event for which there was no memory is lost, and counts.
  await round.step(() => triggerVevents(io, idevId));
  await round.step(() => triggerVevents(io, idevId));
  for (let i = 0; i < 2; i++) {
    await round.step(async () => {
      const bytes = new Uint8Array(VEVENT_SIZE);
      const got = assertOk(await io.process.read(fd, bytes), "read an event");
      assertEq(got, VEVENT_SIZE, "bytes of an event");
    });
  }
  await expectVevents(io, fd, []);
  await round.close(fd);
  await round.step(() => io.destroy(queue));
}

/** A hardware queue in one place, and in another. Queue 1 is left out: Linux loses its index where a step fails. */
async function callHwQueue(round: Round): Promise<void> {
  const { io, ioasId, device, parent } = await start(round);
  const viommuId = await viommuAlloc(io, device.idevId, parent);
  const iova = await io.map(ioasId, round.buffer, io.page);
  const second = await io.map(ioasId, round.buffer, io.page);
  await round.enable();
  const length = io.page;
  for (const place of [iova, second]) {
    const values = { index: 0, iova: place, length };
    const id = await round.step(() => hwQueueAlloc(io, viommuId, values));
    await round.step(() => io.destroy(id));
  }
  await round.stepOnce(() => io.unmap(ioasId, iova, length), ENOENT);
}

/** The sequences. */
export const VIOMMU_SEQUENCES: readonly Sequence[] = [
  {
    name: "viommu",
    what: "making virtual IOMMUs and a nested HWPT on one",
    points: { "7.3": 24 },
    reference: "viommu.c: iommufd_viommu_alloc_ioctl",
    rules: ["U4.3"],
    needs: ["viommu"],
    run: callViommu,
  },
  {
    name: "vdevice",
    what: "giving a virtual IOMMU devices, and taking them back",
    points: { "7.3": 52 },
    reference: "viommu.c: iommufd_vdevice_alloc_ioctl",
    rules: ["U4.3"],
    needs: ["viommu"],
    run: callVdevice,
  },
  {
    name: "veventq",
    what: "a queue of events, filled and read",
    points: { "7.3": 17 },
    reference: "eventq.c: iommufd_veventq_alloc, iommufd_veventq_fops_read",
    rules: ["U4.3"],
    needs: ["viommu"],
    run: callVeventq,
  },
  {
    name: "hw_queue",
    what: "a hardware queue, twice",
    points: { "7.3": 21 },
    reference: "viommu.c: iommufd_hw_queue_alloc_ioctl",
    rules: ["U4.3"],
    needs: ["viommu"],
    run: callHwQueue,
  },
];
