// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_pasid`: page faults with a PASID, who gets them, and what
 * answers them when the PASID goes elsewhere.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID,
} from "../../impl/uapi/iommufd.ts";
import { EBUSY, EINVAL } from "../../impl/uapi/errno.ts";
import { assertEq } from "../harness/harness.ts";
import {
  answer,
  answerFails,
  expectReadable,
  readFaults,
  trigger,
} from "../ioctls/fault_ioctls.ts";
import { faultQueueAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import {
  attach,
  detach,
  LAST_PASID,
  type PasidFixture,
  type PasidSelf,
  replace,
} from "./kit_pasid.ts";

/** A fault queue and a nested HWPT with it, allocated for PASIDs. */
interface Faulting {
  readonly faultId: number;
  readonly fd: number;
  readonly hwpt: number;
}

async function faulting(self: PasidSelf): Promise<Faulting> {
  const { faultId, faultFd: fd } = await faultQueueAlloc(self.io);
  return { faultId, fd, hwpt: await hwptWith(self, faultId) };
}

/** A nested HWPT with a fault queue. */
function hwptWith(
  { io, device, rid }: PasidSelf,
  faultId: number,
): Promise<number> {
  const flags = IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_FAULT_ID_VALID;
  return nestedAlloc(io, device.idevId, rid, { flags, faultId });
}

/** The device faults for each PASID, at an address that is the PASID. */
async function faultsOf(
  { io, device }: PasidSelf,
  ...pasids: number[]
): Promise<void> {
  for (const pasid of pasids) {
    await trigger(io, device.idevId, { pasid, addr: BigInt(pasid), grpid: 7 });
  }
}

/** The PASIDs of the faults that are unread, as they were read. */
async function unread({ io }: PasidSelf, fd: number): Promise<string> {
  const faults = await readFaults(io, fd);
  for (const { addr, pasid } of faults) {
    assertEq(addr, BigInt(pasid), "address of the fault");
  }
  return faults.map(({ pasid }) => pasid).join(" ");
}

/** Adds the tests to the fixture. */
export function registerFaults(f: PasidFixture): void {
  registerWhere(f);
  registerAnswers(f);
}

/** Which queue a fault comes to. */
function registerWhere(f: PasidFixture): void {
  f.test("fault", {
    description: "A fault tells its PASID, its device and that it has one",
    rules: ["C0.34"],
    needs: () => ["faults"],
  }, async (self) => {
    const { io, device } = self;
    const { fd, hwpt } = await faulting(self);
    await attach(self, LAST_PASID, hwpt);
    await faultsOf(self, LAST_PASID);
    const faults = await readFaults(io, fd);
    assertEq(faults.length, 1, "faults");
    const { flags, devId, pasid, grpid, cookie } = faults[0]!;
    const both = IOMMU_PGFAULT_FLAGS_LAST_PAGE |
      IOMMU_PGFAULT_FLAGS_PASID_VALID;
    assertEq(flags, both, "flags");
    assertEq(devId, device.idevId, "device");
    assertEq(pasid, LAST_PASID, "PASID");
    assertEq(grpid, 7, "group");
    await answer(io, fd, [cookie]);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("fault_of_another", {
    description:
      "Faults come to the queue of their own PASID, and to none if it has none",
    rules: ["C0.31"],
    needs: () => ["faults"],
  }, async (self) => {
    const { io, a } = self;
    const one = await faulting(self);
    const two = await faulting(self);
    await attach(self, 1, one.hwpt);
    await attach(self, 2, two.hwpt);
    await attach(self, 3, a);
    await attach(self, 4, one.hwpt);
    await faultsOf(self, 0, 1, 2, 3, 4, 5);
    assertEq(await unread(self, one.fd), "1 4", "faults of the first queue");
    assertEq(await unread(self, two.fd), "2", "faults of the second queue");
    for (const { fd } of [one, two]) {
      assertEq(await io.process.close(fd), 0, "close");
    }
  });

  f.test("fault_of_rid", {
    description:
      "PASIDs that are not attached belong to the nested HWPT of the device; an attached one does not, whatever it is attached to",
    rules: ["C0.31"],
    needs: () => ["faults"],
  }, async (self) => {
    const { io, device, rid, a } = self;
    const own = await faulting(self);
    const other = await faulting(self);
    await io.mock.replaceDomain(device.stdevId, own.hwpt);
    await attach(self, 1, other.hwpt);
    await attach(self, 2, a);
    await faultsOf(self, 0, 1, 2, 3, LAST_PASID + 1);
    const before = `0 3 ${LAST_PASID + 1}`;
    assertEq(await unread(self, own.fd), before, "faults of the device");
    assertEq(await unread(self, other.fd), "1", "faults of the PASID");
    await detach(self, 1, 2);
    await faultsOf(self, 1, 2);
    assertEq(await unread(self, own.fd), "1 2", "faults of the device then");
    await io.mock.replaceDomain(device.stdevId, rid);
    await faultsOf(self, 0, 1);
    for (const { fd } of [own, other]) {
      await expectReadable(io, fd, false);
      assertEq(await io.process.close(fd), 0, "close");
    }
  });

  f.test("fault_counts", {
    description:
      "A device faults as long as itself or one of its PASIDs has a queue",
    rules: ["C0.35"],
    needs: () => ["faults"],
  }, async (self) => {
    const { io, device, rid } = self;
    const { fd, hwpt } = await faulting(self);
    await attach(self, 1, hwpt);
    await attach(self, 2, hwpt);
    await io.mock.replaceDomain(device.stdevId, hwpt);
    await detach(self, 1);
    await faultsOf(self, 2);
    await io.mock.replaceDomain(device.stdevId, rid);
    await faultsOf(self, 2);
    assertEq(await unread(self, fd), "2 2", "faults");
    await detach(self, 2);
    await attach(self, 1, hwpt);
    await faultsOf(self, 1, 2, 0);
    assertEq(await unread(self, fd), "1", "faults after another attach");
    await detach(self, 0);
    await faultsOf(self, 1);
    assertEq(
      await unread(self, fd),
      "1",
      "faults while the device is detached",
    );
    assertEq(await io.process.close(fd), 0, "close");
  });
}

/** What a detach or a replacement answers. */
function registerAnswers(f: PasidFixture): void {
  f.test("fault_detach", {
    description:
      "A PASID that is detached takes its faults along, read or not, and no others",
    rules: ["C0.34"],
    needs: () => ["faults"],
  }, async (self) => {
    const { io, device } = self;
    const { fd, hwpt, faultId } = await faulting(self);
    await io.mock.replaceDomain(device.stdevId, hwpt);
    await attach(self, 1, hwpt);
    await attach(self, 2, hwpt);
    await faultsOf(self, 0, 1, 2);
    assertEq(await unread(self, fd), "0 1 2", "faults");
    await faultsOf(self, 2, 1, 0);
    await detach(self, 1);
    await answerFails(io, fd, [2], EINVAL);
    // The cookie of PASID 1 is free again.
    assertEq(await unread(self, fd), "2 0", "faults that are left");
    await answer(io, fd, [2, 4, 1, 3]);
    await detach(self, 2);
    await io.destroy(hwpt, EBUSY);
    await io.destroy(faultId, EBUSY);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("fault_replace", {
    description:
      "A PASID that moves leaves its faults behind as answered, even with the same queue; one that stays keeps them",
    rules: ["C0.34"],
    needs: () => ["faults"],
  }, async (self) => {
    const { io, a } = self;
    const { fd, hwpt, faultId } = await faulting(self);
    const twin = await hwptWith(self, faultId);
    await attach(self, 1, hwpt);
    await attach(self, 2, hwpt);
    await faultsOf(self, 1, 2);
    await replace(self, 1, hwpt);
    assertEq(await unread(self, fd), "1 2", "faults at the same HWPT");
    await faultsOf(self, 1, 2);
    await replace(self, 1, twin);
    await answerFails(io, fd, [1], EINVAL);
    assertEq(await unread(self, fd), "2", "faults after the move");
    await faultsOf(self, 1);
    assertEq(await unread(self, fd), "1", "faults at the twin");
    await replace(self, 1, a);
    await faultsOf(self, 1, 2);
    assertEq(await unread(self, fd), "2", "faults without a queue");
    await replace(self, 1, hwpt);
    await faultsOf(self, 1);
    assertEq(await unread(self, fd), "1", "faults with the queue again");
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("fault_refused", {
    description:
      "What a PASID has asked for is still to be answered when it could not move",
    rules: ["C0.34"],
    needs: () => ["faults"],
  }, async (self) => {
    const { io, plain, ioasId } = self;
    const { fd, hwpt } = await faulting(self);
    await attach(self, 1, hwpt);
    await faultsOf(self, 1, 1);
    for (const place of [plain, ioasId]) await replace(self, 1, place, EINVAL);
    await faultsOf(self, 1);
    assertEq(await unread(self, fd), "1 1 1", "faults");
    await answer(io, fd, [3, 1, 2]);
    assertEq(await io.process.close(fd), 0, "close");
  });
}
