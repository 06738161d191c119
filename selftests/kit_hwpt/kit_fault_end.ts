// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_fault`: how faults, HWPTs, queues and descriptors end.
 *
 * @module
 */

import { EBUSY, EINVAL, ENOENT } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_APERTURE_START,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
} from "../../impl/uapi/selftest.ts";
import {
  answer,
  answerFails,
  expectFaults,
  expectReadable,
  trigger,
} from "../ioctls/fault_ioctls.ts";
import { assertEq } from "../harness/harness.ts";
import { faultQueueAlloc, hwptAlloc } from "../ioctls/hwpt_ioctls.ts";
import type { Iommufd } from "../ioctls/ioctls.ts";
import {
  type FaultDevice,
  type FaultFixture,
  faultingHwpt,
  type FaultSelf,
} from "./kit_fault.ts";

/** Adds the tests to the fixture. */
export function registerFaultEnds(f: FaultFixture): void {
  registerAnswered(f);
  registerUsers(f);
  registerDescriptors(f);
}

/** Two faults of each of two devices on the queue: the first of each was read. */
async function twoDevices(
  { io, hwptId, fd, device }: FaultSelf,
): Promise<FaultDevice> {
  const other = await io.mock.domain(hwptId);
  await trigger(io, device.idevId, { addr: 1n });
  await trigger(io, other.idevId, { addr: 2n });
  await expectFaults(io, fd, [[1, 1n], [2, 2n]]);
  await trigger(io, device.idevId, { addr: 3n });
  await trigger(io, other.idevId, { addr: 4n });
  return other;
}

/** After the first device left: its faults are gone, those of the other are not. */
async function expectOthers(io: Iommufd, fd: number): Promise<void> {
  await answerFails(io, fd, [1], EINVAL);
  await expectFaults(io, fd, [[1, 4n]]);
  await answer(io, fd, [2, 1]);
}

/** The faults of a device that goes elsewhere. */
function registerAnswered(f: FaultFixture): void {
  f.test("replace_to_ioas", {
    description:
      "A device that leaves its HWPT has its faults answered for it, unread ones too; other devices keep theirs",
    rules: ["C0.27"],
  }, async (self) => {
    const { io, ioasId, fd, device } = self;
    await twoDevices(self);
    await io.mock.replaceDomain(device.stdevId, ioasId);
    await expectOthers(io, fd);
    // It can come back, and fault again.
    await trigger(io, device.idevId, { addr: 5n });
    await expectFaults(io, fd, []);
    await io.mock.replaceDomain(device.stdevId, self.hwptId);
    await trigger(io, device.idevId, { addr: 6n });
    await expectFaults(io, fd, [[1, 6n]]);
  });

  f.test("replace_same_queue", {
    description: "That it goes to a HWPT with the same queue changes nothing",
    rules: ["C0.27"],
  }, async (self) => {
    const { io, fd, device } = self;
    const hwpt = await faultingHwpt(self);
    await twoDevices(self);
    await io.mock.replaceDomain(device.stdevId, hwpt);
    await expectOthers(io, fd);
    await trigger(io, device.idevId, { addr: 5n });
    await expectFaults(io, fd, [[1, 5n]]);
  });

  f.test("replace_same_hwpt", {
    description: "A device that moves to the HWPT where it is keeps its faults",
    rules: ["C0.27"],
  }, async (self) => {
    const { io, fd, hwptId, device } = self;
    await twoDevices(self);
    await io.mock.replaceDomain(device.stdevId, hwptId);
    await expectFaults(io, fd, [[3, 3n], [4, 4n]]);
    await answer(io, fd, [1, 2, 3, 4]);
  });

  f.test("destroy_device", {
    description: "A device that is destroyed has its faults answered for it",
    rules: ["C0.27"],
  }, async (self) => {
    const { io, fd, device } = self;
    const other = await twoDevices(self);
    await io.destroy(device.stdevId);
    await expectOthers(io, fd);
    await trigger(io, other.idevId);
    await io.destroy(other.stdevId);
    await expectReadable(io, fd, false);
    await expectFaults(io, fd, []);
  });

  f.test("failed_replace", {
    description: "A move that fails leaves the faults as they are",
    rules: ["C0.27"],
  }, async (self) => {
    const { io, ioasId, hwptId, fd, device } = self;
    const dirty = await hwptAlloc(io, {
      devId: device.idevId,
      ptId: ioasId,
      flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
    });
    const noDirty = MOCK_FLAGS_DEVICE_NO_DIRTY;
    const { stdevId, idevId } = await io.mock.domainFlags(hwptId, noDirty);
    await trigger(io, idevId, { addr: 1n });
    await expectFaults(io, fd, [[1, 1n]]);
    await trigger(io, idevId, { addr: 2n });
    await io.mock.replaceDomain(stdevId, dirty, EINVAL);
    await io.mock.replaceDomain(stdevId, 999, ENOENT);
    await expectFaults(io, fd, [[2, 2n]]);
    await answer(io, fd, [1, 2]);
    await trigger(io, idevId, { addr: 3n });
    await expectFaults(io, fd, [[1, 3n]]);
  });
}

/** Who holds a queue. */
function registerUsers(f: FaultFixture): void {
  f.test("destroy_order", {
    description:
      "A queue is held by its descriptor and by HWPTs, those by devices",
    rules: ["C0.21"],
  }, async (self) => {
    const { io, ioasId, device } = self;
    const { faultId, faultFd } = await faultQueueAlloc(io);
    const first = await faultingHwpt(self, faultId);
    const second = await faultingHwpt(self, faultId);
    await io.destroy(faultId, EBUSY);
    assertEq(await io.process.close(faultFd), 0, "close");
    await io.destroy(faultId, EBUSY);
    await io.mock.replaceDomain(device.stdevId, first);
    await io.destroy(first, EBUSY);
    // Nobody can read it any more, yet the device may fault.
    await trigger(io, device.idevId);
    await io.destroy(second);
    await io.destroy(faultId, EBUSY);
    await io.mock.replaceDomain(device.stdevId, ioasId);
    await io.destroy(first);
    await io.destroy(faultId);
    await io.destroy(faultId, ENOENT);
  });

  f.test("dup", {
    description: "A queue's descriptor holds it until its last copy is closed",
    rules: ["C0.21"],
  }, async (self) => {
    const { io, device } = self;
    const { faultId, faultFd } = await faultQueueAlloc(io);
    const copy = await io.process.dup(faultFd);
    assertEq(await io.process.close(faultFd), 0, "close");
    await io.destroy(faultId, EBUSY);
    const hwpt = await faultingHwpt(self, faultId);
    await io.mock.replaceDomain(device.stdevId, hwpt);
    await trigger(io, device.idevId, { addr: 1n });
    await expectFaults(io, copy, [[1, 1n]]);
    await answer(io, copy, [1]);
    await io.mock.replaceDomain(device.stdevId, self.ioasId);
    await io.destroy(hwpt);
    assertEq(await io.process.close(copy), 0, "close the copy");
    await io.destroy(faultId);
  });
}

/** Which descriptor is closed last. */
function registerDescriptors(f: FaultFixture): void {
  f.test("context_lives", {
    description:
      "A queue's descriptor keeps the whole context alive after /dev/iommu is closed",
    rules: ["C0.21"],
  }, async (self) => {
    const { io, ioasId, device } = self;
    const iova = BigInt(MOCK_APERTURE_START);
    const { process, page, buffer } = io;
    const own = await io.reopen();
    const pieces = await faultingContext(own);
    await own.mapFixed(pieces.ioasId, buffer, page, iova);
    await own.mock.checkRefs(buffer, page, 1);
    await trigger(own, pieces.idevId, { addr: 1n });
    await trigger(own, pieces.idevId, { addr: 2n });
    await expectFaults(own, pieces.fd, [[1, 1n]], 1);
    assertEq(await process.close(own.fd), 0, "close /dev/iommu");

    await io.mock.checkRefs(buffer, page, 1);
    await answer(io, pieces.fd, [1]);
    await expectReadable(io, pieces.fd, true);
    await expectFaults(io, pieces.fd, [[1, 2n]]);
    assertEq(await process.close(pieces.fd), 0, "close the fault queue");
    await io.mock.checkRefs(buffer, page, 0);
    // The other context did not notice.
    await io.mock.replaceDomain(device.stdevId, ioasId);
  });

  f.test("close_with_faults", {
    description: "A context that is closed answers all faults that are left",
    rules: ["C0.28"],
  }, async (self) => {
    await twoDevices(self);
  });

  f.test("child", {
    description: "A child has the queue as well, and keeps it open",
    rules: ["C0.21"],
    needs: () => ["fork"],
  }, async ({ io, fd, device }) => {
    const child = io.in(await io.process.fork());
    await trigger(child, device.idevId, { addr: 1n });
    await trigger(io, device.idevId, { addr: 2n });
    await expectFaults(io, fd, [[1, 1n]], 1);
    await expectFaults(child, fd, [[2, 2n]]);
    await answer(child, fd, [1]);
    await answer(io, fd, [2]);
    assertEq(await child.process.close(child.fd), 0, "close in the child");
    assertEq(await child.process.close(fd), 0, "close the child's copy");
    await trigger(io, device.idevId, { addr: 3n });
    await expectFaults(io, fd, [[1, 3n]]);
    await child.process.exit();
  });
}

/** A context with a device that can fault. */
async function faultingContext(
  io: Iommufd,
): Promise<{ ioasId: number; idevId: number; fd: number }> {
  const ioasId = await io.ioasAlloc();
  const device = await io.mock.domain(ioasId);
  const { faultId, faultFd: fd } = await faultQueueAlloc(io);
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const values = { devId: device.idevId, ptId: ioasId, flags };
  const parent = await hwptAlloc(io, values);
  const self = { io, ioasId, device, parent, hwptId: 0, faultId, fd };
  await io.mock.replaceDomain(device.stdevId, await faultingHwpt(self));
  return { ioasId, idevId: device.idevId, fd };
}
