// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_pasid`: attaching a device for its DMA with a PASID, what it is
 * attached to by that, and what is refused in which order.
 *
 * @module
 */

import { EBUSY, EFAULT, EINVAL, ENOENT } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_PASID_ATTACH,
  IOMMU_TEST_OP_PASID_REPLACE,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
  MOCK_PASID_WIDTH,
  TestHwInfo,
  TestPasidAttach,
} from "../../impl/uapi/selftest.ts";
import {
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { getHwInfo, hwptAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { encodeTestCmd, type MockDomain } from "../ioctls/mock_ioctls.ts";
import {
  pasidAttach,
  pasidCheckHwpt,
  pasidDetach,
  pasidReplace,
} from "../ioctls/pasid_ioctls.ts";
import { registerFaults } from "./kit_pasid_fault.ts";
import { registerLives } from "./kit_pasid_life.ts";
import { registerReplace } from "./kit_pasid_replace.ts";

/** Bytes of the mock's hardware information. */
const INFO = TestHwInfo.size;

/** The last PASID of a mock device. */
export const LAST_PASID: number = 2 ** MOCK_PASID_WIDTH - 1;

/** What the tests share. */
export interface PasidSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS. */
  readonly ioasId: number;
  /** A device with PASIDs, attached to {@link PasidSelf.rid}. */
  readonly device: MockDomain;
  /** HWPTs that were allocated for PASIDs; others can be nested in the first. */
  readonly rid: number;
  readonly a: number;
  readonly b: number;
  /** A HWPT that was not. */
  readonly plain: number;
  /** PASIDs of the device that may be attached: Linux loses a device that goes with one. */
  readonly attached: Set<number>;
}

/** The fixture as the files of its tests see it. */
export type PasidFixture = Fixture<undefined, PasidSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitPasid(registry: Test[]): void {
  const f: PasidFixture = fixture(registry, "kit_pasid", {
    since: "6.15",
    upstream: false,
    needs: () => ["hwpt", "pasid"],
    setup,
    async teardown(self) {
      await detach(self, ...self.attached);
      await self.io.teardown();
    },
  });
  registerAttach(f);
  registerCompat(f);
  registerCopyOut(f);
  registerReplace(f);
  registerLives(f);
  registerFaults(f);
}

async function setup(context: Context): Promise<PasidSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  const device = await io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_PASID);
  const self = { io, ioasId, device };
  const rid = await pasidHwpt(self, IOMMU_HWPT_ALLOC_NEST_PARENT);
  const a = await pasidHwpt(self);
  const b = await pasidHwpt(self);
  const plain = await hwptAlloc(io, { devId: device.idevId, ptId: ioasId });
  await io.mock.replaceDomain(device.stdevId, rid);
  return { ...self, rid, a, b, plain, attached: new Set() };
}

/** A HWPT of the IOAS that is allocated for PASIDs. */
export function pasidHwpt(
  { io, ioasId, device }: Pick<PasidSelf, "io" | "ioasId" | "device">,
  flags = 0,
): Promise<number> {
  return hwptAlloc(io, {
    devId: device.idevId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_PASID | flags,
  });
}

/** PASID_ATTACH of the device. */
export async function attach(
  { io, device, attached }: PasidSelf,
  pasid: number,
  ptId: number,
  errno?: Parameters<typeof pasidAttach>[4],
): Promise<void> {
  const got = await pasidAttach(io, device.stdevId, pasid, ptId, errno);
  if (!errno) attached.add(pasid);
  assertEq(got, ptId, `HWPT of PASID ${pasid}`);
}

/** PASID_REPLACE of the device. */
export async function replace(
  { io, device }: PasidSelf,
  pasid: number,
  ptId: number,
  errno?: Parameters<typeof pasidReplace>[4],
): Promise<void> {
  const got = await pasidReplace(io, device.stdevId, pasid, ptId, errno);
  assertEq(got, ptId, `HWPT of PASID ${pasid}`);
}

/** PASID_DETACH of the device. */
export async function detach(
  { io, device, attached }: PasidSelf,
  ...pasids: number[]
): Promise<void> {
  for (const pasid of pasids) {
    await pasidDetach(io, device.stdevId, pasid);
    attached.delete(pasid);
  }
}

/** Asserts what the device is attached to for a PASID, 0 for nothing, and that it is nothing else. */
export async function expectHwpt(
  { io, device, rid, a, b, plain }: PasidSelf,
  pasid: number,
  hwptId: number,
): Promise<void> {
  for (const id of new Set([0, rid, a, b, plain, hwptId])) {
    const errno = id === hwptId ? undefined : EINVAL;
    await pasidCheckHwpt(io, device.stdevId, pasid, id, errno);
  }
}

/** Which PASIDs there are, and what a refusal is. */
function registerAttach(f: PasidFixture): void {
  f.test("attach", {
    description: "Each PASID of a device is attached on its own",
    rules: ["A1.1"],
  }, async (self) => {
    const { rid, a, b } = self;
    const pasids = [[1, a], [2, b], [63, rid], [64, a], [
      LAST_PASID,
      b,
    ]] as const;
    for (const [pasid, hwpt] of pasids) {
      await expectHwpt(self, pasid, 0);
      await attach(self, pasid, hwpt);
    }
    await expectHwpt(self, 0, rid);
    for (const [pasid, hwpt] of pasids) await expectHwpt(self, pasid, hwpt);
    await detach(self, 64);
    await expectHwpt(self, 64, 0);
    for (const [pasid, hwpt] of pasids) {
      await expectHwpt(self, pasid, pasid === 64 ? 0 : hwpt);
    }
    await detach(self, 1, 2, 63, LAST_PASID);
    for (const [pasid] of pasids) await expectHwpt(self, pasid, 0);
    await expectHwpt(self, 0, rid);
  });

  f.table("attach_order", {
    description:
      "PASID_ATTACH looks at its ids, then whether the device is attached, then whether another HWPT is",
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
      errno: typeof EBUSY,
    ];
    const rows: readonly Row[] = [
      ["an id of nothing", 1, () => 999, ENOENT],
      ["no page table", 1, ({ device }) => device.idevId, EINVAL],
      ["attached to the same", 1, ({ a }) => a, EBUSY],
      ["attached to another", 1, ({ b }) => b, EBUSY],
      ["attached, and a plain HWPT", 1, ({ plain }) => plain, EBUSY],
      // An automatic HWPT that is there is tried first: none is.
      ["attached, and an IOAS", 1, ({ ioasId }) => ioasId, EBUSY],
      ["without PASID, the same", 0, ({ rid }) => rid, EBUSY],
      ["without PASID, another", 0, ({ a }) => a, EBUSY],
      ["without PASID, a plain HWPT", 0, ({ plain }) => plain, EBUSY],
      ["a plain HWPT", 2, ({ plain }) => plain, EINVAL],
      ["an IOAS", 2, ({ ioasId }) => ioasId, EINVAL],
      ["more bits than there are", LAST_PASID + 1, ({ a }) => a, EINVAL],
      ["the largest number", 0xffffffff, ({ a }) => a, EINVAL],
    ];
    for (const [what, pasid, ptId, errno] of rows) {
      t.case(what, async (self) => {
        const next = await self.io.nextId();
        await attach(self, pasid, ptId(self), errno);
        assertEq(await self.io.nextId(), next, "next id");
      });
    }
    for (const [what, id] of [["nothing", 999], ["an IOAS", 1]] as const) {
      t.case(`the device is ${what}`, async ({ io, a }) => {
        await pasidAttach(io, id, 2, a, ENOENT);
        await pasidReplace(io, id, 1, a, ENOENT);
        await pasidDetach(io, id, 1, ENOENT);
        await pasidCheckHwpt(io, id, 2, 0, ENOENT);
      });
    }
    t.case("a check of what is no HWPT", async ({ io, ioasId, device }) => {
      await pasidCheckHwpt(io, device.stdevId, 1, 999, ENOENT);
      await pasidCheckHwpt(io, device.stdevId, 1, ioasId, EINVAL);
      await pasidCheckHwpt(io, device.stdevId, 1, device.idevId, EINVAL);
    });
  });

  f.test("without_pasids", {
    description:
      "A device without PASIDs takes a HWPT that was allocated for them, but has none to attach",
    rules: ["A1.4"],
  }, async ({ io, a, rid }) => {
    const { stdevId, idevId } = await io.mock.domain(a);
    assertEq((await getHwInfo(io, idevId, INFO)).outMaxPasidLog2, 0, "width");
    for (const pasid of [1, 2, LAST_PASID]) {
      await pasidAttach(io, stdevId, pasid, a, EINVAL);
      await pasidReplace(io, stdevId, pasid, rid, EINVAL);
      await pasidDetach(io, stdevId, pasid);
    }
    await io.mock.replaceDomain(stdevId, rid);
    await pasidCheckHwpt(io, stdevId, 0, rid);
  });

  f.test("with_pasids", {
    description: "A device says how many bits its PASIDs have",
    rules: ["A1.4"],
  }, async ({ io, ioasId, device }) => {
    const width = (await getHwInfo(io, device.idevId, INFO)).outMaxPasidLog2;
    assertEq(width, MOCK_PASID_WIDTH, "width");
    const flags = MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_NO_DIRTY;
    const { idevId } = await io.mock.domainFlags(ioasId, flags);
    const both = (await getHwInfo(io, idevId, INFO)).outMaxPasidLog2;
    assertEq(both, MOCK_PASID_WIDTH, "width without dirty tracking");
  });
}

/** Which HWPTs go together. */
function registerCompat(f: PasidFixture): void {
  f.test("rid_is_automatic", {
    description:
      "While a device is at an IOAS or a plain HWPT its PASIDs cannot be attached",
    rules: ["A1.2"],
  }, async (self) => {
    const { io, ioasId, device, plain, rid, a } = self;
    for (const place of [ioasId, plain]) {
      await io.mock.replaceDomain(device.stdevId, place);
      await attach(self, 1, a, EINVAL);
      await expectHwpt(self, 1, 0);
    }
    await io.mock.replaceDomain(device.stdevId, rid);
    await attach(self, 1, a);
  });

  f.test("rid_stays_compatible", {
    description:
      "While a PASID is attached, the device cannot go to an IOAS or a plain HWPT",
    rules: ["A1.2"],
  }, async (self) => {
    const { io, ioasId, device, plain, rid, a, b } = self;
    await attach(self, LAST_PASID, a);
    for (const place of [ioasId, plain]) {
      await io.mock.replaceDomain(device.stdevId, place, EINVAL);
      await replace(self, 0, place, EINVAL);
      await expectHwpt(self, 0, rid);
    }
    await io.mock.replaceDomain(device.stdevId, b);
    await expectHwpt(self, 0, b);
    await expectHwpt(self, LAST_PASID, a);
    await detach(self, LAST_PASID);
    await io.mock.replaceDomain(device.stdevId, ioasId);
  });

  f.test("without_rid", {
    description:
      "A PASID can be attached while the device is not, and keeps plain HWPTs out all the same",
    rules: ["A1.2"],
  }, async (self) => {
    const { io, ioasId, device, plain, rid, a } = self;
    await detach(self, 0);
    await expectHwpt(self, 0, 0);
    await io.mock.replaceDomain(device.stdevId, rid, EINVAL);
    await attach(self, 9, a);
    await attach(self, 0, plain, EINVAL);
    await attach(self, 0, ioasId, EINVAL);
    await expectHwpt(self, 0, 0);
    await attach(self, 0, rid);
    await detach(self, 0, 9);
    await attach(self, 0, plain);
    await expectHwpt(self, 0, plain);
    await attach(self, 9, a, EINVAL);
  });

  f.test("rid_by_pasid_0", {
    description: "PASID 0 is the device without PASID: an IOAS will do",
    rules: ["A1.1"],
  }, async (self) => {
    const { io, ioasId, device } = self;
    await detach(self, 0);
    const auto = await pasidAttach(io, device.stdevId, 0, ioasId);
    assertEq(auto !== ioasId, true, "the HWPT is told");
    await expectHwpt(self, 0, auto);
    await io.destroy(auto, EBUSY);
    await detach(self, 0);
    await io.destroy(auto, ENOENT);
  });

  f.test("nested", {
    description: "A nested HWPT has to be allocated for PASIDs itself",
    rules: ["A1.2"],
  }, async (self) => {
    const { io, device, rid } = self;
    const plain = await nestedAlloc(io, device.idevId, rid);
    const flags = IOMMU_HWPT_ALLOC_PASID;
    const nested = await nestedAlloc(io, device.idevId, rid, { flags });
    await attach(self, 1, plain, EINVAL);
    await attach(self, 1, nested);
    await expectHwpt(self, 1, nested);
    await io.mock.replaceDomain(device.stdevId, plain, EINVAL);
    await io.mock.replaceDomain(device.stdevId, nested);
    await io.destroy(nested, EBUSY);
    await detach(self, 1);
    await io.mock.replaceDomain(device.stdevId, plain);
    await io.destroy(nested);
  });

  f.test("other_context", {
    description: "A HWPT of another context is unknown",
    rules: ["C3.3"],
  }, async (self) => {
    const other = await self.io.reopen();
    const ioasId = await other.ioasAlloc();
    const device = await other.mock.domainFlags(
      ioasId,
      MOCK_FLAGS_DEVICE_PASID,
    );
    const elsewhere = { io: other, ioasId, device };
    // The ids of the other context, past those of this one.
    let hwpt = 0;
    while (hwpt <= self.plain) hwpt = await pasidHwpt(elsewhere);
    await attach(self, 1, hwpt, ENOENT);
    await other.mock.replaceDomain(device.stdevId, hwpt);
    await pasidAttach(other, device.stdevId, 1, hwpt);
    await expectHwpt(self, 1, 0);
    await pasidDetach(other, device.stdevId, 1);
    assertEq(await other.process.close(other.fd), 0, "close");
  });
}

/** What a reply that cannot be written leaves behind. */
function registerCopyOut(f: PasidFixture): void {
  f.test("reply_efault", {
    description:
      "An attachment that cannot be told of is taken back; a replacement stays",
    rules: ["A1.8"],
  }, async (self) => {
    const { io, device, rid, a, b } = self;
    async function readOnly(op: number, pasid: number, ptId: number) {
      const values = { id: device.stdevId, pasid, ptId };
      const bytes = encodeTestCmd(io.revision, TestPasidAttach, op, values);
      await io.ioctlReadOnly(IOMMU_TEST_CMD, bytes, EFAULT, "IOMMU_TEST_CMD");
    }
    await readOnly(IOMMU_TEST_OP_PASID_ATTACH, 1, a);
    await expectHwpt(self, 1, 0);
    await io.destroy(a);
    const again = { ...self, a: await pasidHwpt(self) };
    await attach(again, 1, again.a);
    await readOnly(IOMMU_TEST_OP_PASID_REPLACE, 1, b);
    await expectHwpt(again, 1, b);
    await io.destroy(b, EBUSY);
    // What is attached stays, when it is attached once more.
    await readOnly(IOMMU_TEST_OP_PASID_REPLACE, 1, again.a);
    await expectHwpt(again, 1, again.a);
    await detach(again, 0);
    await readOnly(IOMMU_TEST_OP_PASID_ATTACH, 0, rid);
    await expectHwpt(again, 0, 0);
    await expectHwpt(again, 1, again.a);
  });
}
