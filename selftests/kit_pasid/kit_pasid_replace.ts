// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_pasid`: moving a PASID to another HWPT, and detaching it.
 *
 * @module
 */

import {
  EBUSY,
  EINVAL,
  ENOENT,
  ENOMEM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_PASID,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_PASID_RESERVED,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
} from "../../impl/uapi/selftest.ts";
import { assertEq } from "../harness/harness.ts";
import { nestedAlloc, setDirtyTracking } from "../ioctls/hwpt_ioctls.ts";
import {
  pasidAttach,
  pasidCheckHwpt,
  pasidDetach,
  pasidReplace,
} from "../ioctls/pasid_ioctls.ts";
import {
  attach,
  detach,
  expectHwpt,
  LAST_PASID,
  type PasidFixture,
  pasidHwpt,
  type PasidSelf,
  replace,
} from "./kit_pasid.ts";

/** Adds the tests to the fixture. */
export function registerReplace(f: PasidFixture): void {
  registerMoves(f);
  registerDetach(f);
  registerReserved(f);
  registerDirty(f);
}

/** What a PASID can be moved to. */
function registerMoves(f: PasidFixture): void {
  f.test("replace", {
    description:
      "A PASID moves among HWPTs, and holds only the one that it is at",
    rules: ["A1.1"],
  }, async (self) => {
    const { io, device, rid, a, b } = self;
    const flags = IOMMU_HWPT_ALLOC_PASID;
    const nested = await nestedAlloc(io, device.idevId, rid, { flags });
    await attach(self, 1, a);
    await attach(self, 2, b);
    for (const place of [b, nested, rid, nested, a, a, b, a]) {
      await replace(self, 1, place);
      await expectHwpt(self, 1, place);
      await expectHwpt(self, 2, b);
      await expectHwpt(self, 0, rid);
    }
    await io.destroy(a, EBUSY);
    await replace(self, 1, nested);
    await io.destroy(a);
    await io.destroy(nested, EBUSY);
    await replace(self, 2, nested);
    await io.destroy(b);
    await detach(self, 1);
    await io.destroy(nested, EBUSY);
    await detach(self, 2);
    await io.destroy(nested);
  });

  f.table("replace_order", {
    description:
      "PASID_REPLACE looks at its ids, then whether the PASID is attached, then at the HWPT",
    rules: ["A1.3"],
    async prepare(self) {
      await attach(self, 1, self.a);
      return self;
    },
    async finish(self) {
      await expectHwpt(self, 1, self.a);
      await expectHwpt(self, 2, 0);
      await expectHwpt(self, 0, self.rid);
    },
  }, (t) => {
    type Row = readonly [
      what: string,
      pasid: number,
      ptId: (self: PasidSelf) => number,
      errno: Errno,
    ];
    const rows: readonly Row[] = [
      ["an id of nothing", 2, () => 999, ENOENT],
      ["no page table", 2, ({ device }) => device.idevId, EINVAL],
      ["not attached", 2, ({ a }) => a, EINVAL],
      ["not attached, and an IOAS", 2, ({ ioasId }) => ioasId, EINVAL],
      ["no PASID of the device", LAST_PASID + 1, ({ a }) => a, EINVAL],
      ["a plain HWPT", 1, ({ plain }) => plain, EINVAL],
      ["an IOAS", 1, ({ ioasId }) => ioasId, EINVAL],
      ["without PASID, an IOAS", 0, ({ ioasId }) => ioasId, EINVAL],
      ["without PASID, a plain HWPT", 0, ({ plain }) => plain, EINVAL],
    ];
    for (const [what, pasid, ptId, errno] of rows) {
      t.case(what, async (self) => {
        const next = await self.io.nextId();
        await replace(self, pasid, ptId(self), errno);
        assertEq(await self.io.nextId(), next, "next id");
      });
    }
  });

  f.test("replace_rid", {
    description: "PASID_REPLACE of PASID 0 moves the device itself",
    rules: ["A1.1"],
  }, async (self) => {
    const { io, ioasId, device, rid, a, plain } = self;
    for (const place of [a, plain, rid]) {
      await replace(self, 0, place);
      await expectHwpt(self, 0, place);
    }
    const auto = await pasidReplace(io, device.stdevId, 0, ioasId);
    await expectHwpt(self, 0, auto);
    await io.mock.replaceDomain(device.stdevId, rid);
    await io.destroy(auto, ENOENT);
  });
}

/** What a detach does, and does not. */
function registerDetach(f: PasidFixture): void {
  f.test("detach_nothing", {
    description: "A PASID that is not attached is detached without a word",
    rules: ["A1.8"],
  }, async (self) => {
    const { a, rid } = self;
    await detach(self, 1, LAST_PASID, LAST_PASID + 1, 0xffffffff);
    await attach(self, 1, a);
    await detach(self, 2);
    await expectHwpt(self, 1, a);
    await detach(self, 1, 1);
    await expectHwpt(self, 1, 0);
    await detach(self, 0, 0);
    await expectHwpt(self, 0, 0);
    await attach(self, 0, rid);
    await expectHwpt(self, 0, rid);
  });

  f.test("detach_many", {
    description: "Each of many PASIDs is a user of its HWPT",
    rules: ["A1.5"],
  }, async (self) => {
    const { io, a } = self;
    const pasids = Array.from({ length: 130 }, (_, i) => 1 + i * 4001);
    for (const pasid of pasids) await attach(self, pasid, a);
    while (pasids.length > 0) {
      await io.destroy(a, EBUSY);
      const middle = pasids.length >> 1;
      await detach(self, ...pasids.splice(middle, 1));
    }
    await io.destroy(a);
  });
}

/** The PASID that the mock does not let go to another HWPT. */
function registerReserved(f: PasidFixture): void {
  f.test("driver_refuses", {
    description:
      "A PASID whose driver refuses a HWPT stays at the one it has, and so do all others",
    rules: ["A1.6"],
  }, async (self) => {
    const { io, rid, a, b } = self;
    const pasid = IOMMU_TEST_PASID_RESERVED;
    await attach(self, pasid - 1, b);
    await attach(self, pasid, a);
    for (let i = 0; i < 2; i++) {
      await replace(self, pasid, b, ENOMEM);
      await expectHwpt(self, pasid, a);
      await expectHwpt(self, pasid - 1, b);
      await expectHwpt(self, 0, rid);
      // The driver is not asked for what is there.
      await replace(self, pasid, a);
      await replace(self, pasid, b);
      await expectHwpt(self, pasid, b);
      await replace(self, pasid, b);
      await replace(self, pasid, a, ENOMEM);
      await expectHwpt(self, pasid, b);
      await replace(self, pasid, a);
    }
    await io.destroy(a, EBUSY);
    await detach(self, pasid);
    await io.destroy(a);
    await attach(self, pasid, b);
    await detach(self, pasid);
    // A detach is what the driver begins anew with.
    await attach(self, pasid, rid);
    await replace(self, pasid, b, ENOMEM);
    await expectHwpt({ ...self, a: b }, pasid, rid);
  });

  f.test("driver_refuses_one_device", {
    description: "Each device has PASIDs of its own",
    rules: ["A1.6"],
  }, async (self) => {
    const { io, ioasId, rid, a, b } = self;
    const pasid = IOMMU_TEST_PASID_RESERVED;
    const other = await io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_PASID);
    await io.mock.replaceDomain(other.stdevId, rid);
    await attach(self, pasid, a);
    await pasidCheckHwpt(io, other.stdevId, pasid, 0);
    await pasidAttach(io, other.stdevId, pasid, b);
    await replace(self, pasid, b, ENOMEM);
    await pasidReplace(io, other.stdevId, pasid, a, ENOMEM);
    await replace(self, pasid, b);
    await pasidCheckHwpt(io, other.stdevId, pasid, b);
    await pasidDetach(io, other.stdevId, pasid);
    await expectHwpt(self, pasid, b);
    await io.destroy(other.stdevId);
  });
}

/** Dirty tracking and PASIDs. */
function registerDirty(f: PasidFixture): void {
  f.test("dirty_tracking", {
    description:
      "A device that cannot be tracked takes a HWPT that tracks for a PASID, but not without one",
    rules: ["A1.6"],
  }, async (self) => {
    const { io, ioasId, a } = self;
    const dirty = await pasidHwpt(self, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
    await attach(self, 100, dirty);
    await setDirtyTracking(io, dirty, true);
    const flags = MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_NO_DIRTY;
    const { stdevId } = await io.mock.domainFlags(ioasId, flags);
    await io.mock.replaceDomain(stdevId, a);
    await io.mock.replaceDomain(stdevId, dirty, EINVAL);
    await pasidReplace(io, stdevId, 0, dirty, EINVAL);
    await pasidAttach(io, stdevId, 100, dirty);
    await pasidAttach(io, stdevId, 101, a);
    await pasidReplace(io, stdevId, 101, dirty);
    await pasidCheckHwpt(io, stdevId, 101, dirty);
    await pasidCheckHwpt(io, stdevId, 0, a);
    await setDirtyTracking(io, dirty, false);
    await io.destroy(dirty, EBUSY);
    for (const pasid of [100, 101]) await pasidDetach(io, stdevId, pasid);
    await io.destroy(stdevId);
    await detach(self, 100);
    await io.destroy(dirty);
  });
}
