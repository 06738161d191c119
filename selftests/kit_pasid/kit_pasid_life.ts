// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_pasid`: who holds whom, and what is left when something goes.
 *
 * @module
 */

import { EBUSY, EINVAL, ENOENT } from "../../impl/uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_PASID } from "../../impl/uapi/iommufd.ts";
import {
  MOCK_APERTURE_START,
  MOCK_FLAGS_DEVICE_PASID,
} from "../../impl/uapi/selftest.ts";
import { assertEq } from "../harness/harness.ts";
import { nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import {
  pasidAttach,
  pasidCheckHwpt,
  pasidDetach,
} from "../ioctls/pasid_ioctls.ts";
import {
  expectVevents,
  triggerVevents,
  veventqAlloc,
} from "../ioctls/vevent_ioctls.ts";
import { vdeviceAlloc, viommuAlloc } from "../ioctls/viommu_ioctls.ts";
import {
  attach,
  detach,
  expectHwpt,
  type PasidFixture,
  pasidHwpt,
  replace,
} from "./kit_pasid.ts";

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the tests to the fixture. */
export function registerLives(f: PasidFixture): void {
  registerHolds(f);
  registerEnds(f);
  registerViommu(f);
}

/** What is busy. */
function registerHolds(f: PasidFixture): void {
  f.test("destroy_busy", {
    description:
      "What a PASID is attached to cannot be destroyed, nor the device under it",
    rules: ["A1.5"],
  }, async (self) => {
    const { io, ioasId, device, rid, a, b, plain } = self;
    await attach(self, 1, a);
    await io.destroy(device.idevId, EBUSY);
    await detach(self, 0);
    // Without the device itself its PASID holds all there is.
    for (const id of [device.idevId, a, ioasId]) await io.destroy(id, EBUSY);
    for (const id of [rid, b, plain]) await io.destroy(id);
    await io.destroy(ioasId, EBUSY);
    await detach(self, 1);
    await io.destroy(device.idevId, EBUSY);
    await io.destroy(a);
    await io.destroy(ioasId);
    await io.destroy(device.stdevId);
    await io.destroy(device.idevId, ENOENT);
    self.attached.clear();
  });

  f.test("map_by_pasid", {
    description:
      "A HWPT that only a PASID uses holds the map of its IOAS, from what was there on",
    rules: ["A1.7"],
  }, async (self) => {
    const { io, ioasId, a } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await attach(self, 1, a);
    const next = IOVA + io.page;
    await io.mapFixed(ioasId, io.buffer + Number(io.page), io.page, next);
    await io.mock.checkMap(a, IOVA, 2n * io.page, io.buffer);
    await io.unmap(ioasId, IOVA, io.page);
    await io.mock.checkMap(a, next, io.page, io.buffer + Number(io.page));
    await detach(self, 1);
    await io.mock.checkMap(a, next, io.page, io.buffer + Number(io.page));
  });

  f.test("fork", {
    description:
      "A child with the same descriptor attaches and detaches the PASIDs of its parent",
    rules: ["A1.7"],
    needs: () => ["fork"],
  }, async (self) => {
    const { io, device, a, b } = self;
    await attach(self, 1, a);
    const child = await io.process.fork();
    const inChild = { ...self, io: io.in(child) };
    await expectHwpt(inChild, 1, a);
    await detach(inChild, 1);
    await attach(inChild, 2, b);
    await expectHwpt(self, 1, 0);
    await expectHwpt(self, 2, b);
    await child.exit();
    await expectHwpt(self, 2, b);
    await pasidDetach(io, device.stdevId, 2);
    await io.destroy(b);
  });
}

/** What becomes of PASIDs whose device or context goes. */
function registerEnds(f: PasidFixture): void {
  f.test("detach_first", {
    description: "A device whose PASIDs are detached goes, and leaves nothing",
    rules: ["A1.5"],
  }, async (self) => {
    const { io, device, rid, a, b } = self;
    for (const pasid of [1, 2, 3]) await attach(self, pasid, a);
    await detach(self, 0, 1, 2, 3);
    await io.destroy(device.stdevId);
    for (const id of [device.stdevId, device.idevId]) {
      await io.destroy(id, ENOENT);
    }
    for (const id of [b, a, rid]) await io.destroy(id);
    await pasidCheckHwpt(io, device.stdevId, 1, 0, ENOENT);
    self.attached.clear();
  });

  f.test("destroy_attached", {
    description: "A device that is destroyed is detached for all its PASIDs",
    rules: ["A1.5"],
    knownBug: () => "keeps_device_with_pasid",
  }, async (self) => {
    const { io, device, rid, a, b } = self;
    for (const pasid of [1, 64, 70000]) await attach(self, pasid, a);
    await attach(self, 2, b);
    self.attached.clear();
    await io.destroy(device.stdevId);
    for (const id of [device.stdevId, device.idevId]) {
      await io.destroy(id, ENOENT);
    }
    for (const id of [rid, a, b]) await io.destroy(id);
  });

  f.test("close_attached", {
    description: "A context that is closed with PASIDs attached leaves nothing",
    rules: ["A1.5"],
    knownBug: () => "keeps_device_with_pasid",
  }, async ({ io }) => {
    const other = await io.reopen();
    const ioasId = await other.ioasAlloc();
    const flags = MOCK_FLAGS_DEVICE_PASID;
    const device = await other.mock.domainFlags(ioasId, flags);
    await other.mapFixed(ioasId, io.buffer, io.page, IOVA);
    const hwpt = await pasidHwpt({ io: other, ioasId, device });
    await other.mock.replaceDomain(device.stdevId, hwpt);
    for (const pasid of [1, 2]) {
      await pasidAttach(other, device.stdevId, pasid, hwpt);
    }
    await io.mock.checkRefs(io.buffer, io.page, 1);
    assertEq(await io.process.close(other.fd), 0, "close");
    await io.mock.checkRefs(io.buffer, io.page, 0);
  });

  f.test("hwpt_in_every_order", {
    description:
      "HWPTs and PASIDs come and go in every order, and the ids are free again",
    rules: ["A1.5"],
  }, async (self) => {
    const { io } = self;
    const next = await io.nextId();
    const orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [
      3,
      2,
      1,
    ]];
    for (const order of orders) {
      const hwpts = new Map<number, number>();
      for (const pasid of order) {
        const hwpt = await pasidHwpt(self);
        hwpts.set(pasid, hwpt);
        await attach(self, pasid, hwpt);
      }
      for (const pasid of [1, 2, 3]) {
        await attach(self, pasid, self.plain, EBUSY);
        await io.destroy(hwpts.get(pasid)!, EBUSY);
        await detach(self, pasid);
        await io.destroy(hwpts.get(pasid)!);
        await attach(self, pasid, self.plain, EINVAL);
      }
      assertEq(await io.nextId(), next, "next id");
    }
  });
}

/** PASIDs and virtual IOMMUs. */
function registerViommu(f: PasidFixture): void {
  f.test("viommu", {
    description:
      "A PASID takes a HWPT of a virtual IOMMU that does not know the device, and the device's events do not care",
    rules: ["A1.6"],
    needs: () => ["viommu"],
  }, async (self) => {
    const { io, device: { stdevId, idevId }, rid, a } = self;
    const viommuId = await viommuAlloc(io, idevId, rid);
    const flags = IOMMU_HWPT_ALLOC_PASID;
    const nested = await nestedAlloc(io, idevId, viommuId, { flags });
    const plain = await nestedAlloc(io, idevId, viommuId);
    await attach(self, 1, nested);
    await attach(self, 2, plain, EINVAL);
    await expectHwpt(self, 1, nested);
    await io.mock.replaceDomain(stdevId, nested, ENOENT);
    await replace(self, 0, nested, ENOENT);
    await triggerVevents(io, idevId, 1, ENOENT);
    await io.destroy(nested, EBUSY);
    await io.destroy(viommuId, EBUSY);

    const { veventqId, veventqFd: fd } = await veventqAlloc(io, viommuId, 8);
    const vdeviceId = await vdeviceAlloc(io, viommuId, idevId, 0x99n);
    await triggerVevents(io, idevId, 1, ENOENT);
    await replace(self, 0, nested);
    await replace(self, 1, a);
    await triggerVevents(io, idevId, 1);
    await detach(self, 1);
    await triggerVevents(io, idevId, 1);
    await attach(self, 1, nested);
    await replace(self, 0, rid);
    await triggerVevents(io, idevId, 1, ENOENT);
    await expectVevents(io, fd, [[0, 0x99], [1, 0x99]]);
    await io.destroy(vdeviceId);
    await replace(self, 1, rid);
    await replace(self, 1, nested);
    await detach(self, 1);
    assertEq(await io.process.close(fd), 0, "close");
    for (const id of [nested, plain, veventqId, viommuId]) await io.destroy(id);
  });
}
