// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_hwpt`: moving devices among IOAS, HWPTs and nested HWPTs.
 *
 * @module
 */

import { EADDRINUSE, EBUSY, EINVAL, ENOENT } from "../../impl/uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_DIRTY_TRACKING } from "../../impl/uapi/iommufd.ts";
import {
  MOCK_APERTURE_START,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
} from "../../impl/uapi/selftest.ts";
import { assertEq } from "../harness/harness.ts";
import { hwptAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import { type HwptFixture, type HwptSelf, parentAlloc } from "./kit_hwpt.ts";

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the tests to the fixture. */
export function registerReplace(f: HwptFixture): void {
  registerMoves(f);

  f.test("replace_same", {
    description: "A device that moves to where it is stays there",
    rules: ["C2.7"],
  }, async (self) => {
    const { io, ioasId, stdevId, hwptId: auto } = self;
    const parent = await parentAlloc(self);
    for (const place of [ioasId, auto, parent, parent]) {
      const got = await io.mock.replaceDomain(stdevId, place);
      assertEq(got, place === ioasId ? auto : place, "HWPT");
    }
    await io.destroy(auto, ENOENT);
    await io.destroy(parent, EBUSY);
    await io.destroy(stdevId);
    await io.destroy(parent);
  });

  f.test("replace_reserved", {
    description:
      "The IOVA that a domain does not have is reserved where the device is, and only there",
    rules: ["C2.12"],
  }, async (self) => {
    const { io, ioasId, stdevId } = self;
    const other = await io.ioasAlloc();
    const map = { length: io.page, iova: 0n };
    await io.mapFixed(ioasId, io.buffer, map.length, map.iova, EINVAL);
    await io.mapFixed(other, io.buffer, map.length, map.iova);
    await io.unmap(other, map.iova, map.length);
    await io.mock.replaceDomain(stdevId, other);
    await io.mapFixed(other, io.buffer, map.length, map.iova, EINVAL);
    await io.mapFixed(ioasId, io.buffer, map.length, map.iova);
    // Now there is no way back.
    await io.mock.replaceDomain(stdevId, ioasId, EADDRINUSE);
    await io.mapFixed(other, io.buffer, map.length, map.iova, EINVAL);
    await io.unmap(ioasId, map.iova, map.length);
    await io.mock.replaceDomain(stdevId, ioasId);
    await io.mapFixed(other, io.buffer, map.length, map.iova);
  });

  f.test("replace_incompatible", {
    description:
      "A device that does not fit a HWPT stays where it was, and an IOAS gives it another HWPT",
    rules: ["C2.7"],
  }, async ({ io, ioasId, idevId, hwptId: auto }) => {
    const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    const dirty = await hwptAlloc(io, { devId: idevId, ptId: ioasId, flags });
    const device = await io.mock.domainFlags(
      ioasId,
      MOCK_FLAGS_DEVICE_NO_DIRTY,
    );
    assertEq(device.hwptId, auto, "the automatic HWPT");
    await io.mock.replaceDomain(device.stdevId, dirty, EINVAL);
    await io.destroy(dirty);
    const same = await io.mock.replaceDomain(device.stdevId, ioasId);
    assertEq(same, auto, "HWPT after the failure");
  });

  f.test("replace_shared", {
    description: "Devices that share an automatic HWPT leave it one by one",
    rules: ["C2.7"],
  }, async (self) => {
    const { io, ioasId, stdevId, hwptId: auto } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    const second = await io.mock.domain(ioasId);
    const parent = await parentAlloc(self);
    await io.mock.replaceDomain(stdevId, parent);
    await io.mock.checkMap(auto, IOVA, io.page, io.buffer);
    await io.mock.replaceDomain(second.stdevId, parent);
    await io.mock.checkMap(auto, IOVA, io.page, io.buffer, ENOENT);
    await io.mock.checkMap(parent, IOVA, io.page, io.buffer);
    await io.mock.checkRefs(io.buffer, io.page, 1);
    // Back at the IOAS they share one again.
    const fresh = await io.mock.replaceDomain(stdevId, ioasId);
    const shared = await io.mock.replaceDomain(second.stdevId, ioasId);
    assertEq(shared, fresh, "the automatic HWPT");
    await io.mock.checkMap(fresh, IOVA, io.page, io.buffer);
    await io.destroy(parent);
  });
}

/** Page tables of all kinds that a device can be at. */
interface Places extends HwptSelf {
  readonly other: number;
  readonly parent: number;
  readonly ofOther: number;
  readonly nested: number;
  readonly twin: number;
}

/** What a place is called. */
const PLACES: readonly [name: string, of: (places: Places) => number][] = [
  ["an IOAS", ({ ioasId }) => ioasId],
  ["another IOAS", ({ other }) => other],
  ["a parent", ({ parent }) => parent],
  ["a HWPT of the other IOAS", ({ ofOther }) => ofOther],
  ["a nested HWPT", ({ nested }) => nested],
  ["its twin", ({ twin }) => twin],
];

/** Moves of the device between all ordered pairs of places. */
function registerMoves(f: HwptFixture): void {
  f.table("replace_all", {
    description:
      "A device moves from each kind of page table to each other, and holds only the one it is at",
    rules: ["C2.7"],
    async prepare(self): Promise<Places> {
      const { io, ioasId, idevId } = self;
      const other = await io.ioasAlloc();
      for (const id of [ioasId, other]) {
        await io.mapFixed(id, io.buffer, io.page, IOVA);
      }
      const parent = await parentAlloc(self);
      const ofOther = await hwptAlloc(io, { devId: idevId, ptId: other });
      const nested = await nestedAlloc(io, idevId, parent);
      const twin = await nestedAlloc(io, idevId, parent);
      return { ...self, other, parent, ofOther, nested, twin };
    },
    async finish({ io, ioasId, other, parent, ofOther, nested, twin }) {
      // Where the device is not, it holds nothing.
      for (const id of [twin, nested, ofOther, parent]) await io.destroy(id);
      await io.unmap(other, IOVA, io.page);
      await io.destroy(other);
      await io.destroy(ioasId, EBUSY);
    },
  }, (t) => {
    for (const [from, fromOf] of PLACES) {
      for (const [to, toOf] of PLACES) {
        t.case(`from ${from} to ${to}`, async (places) => {
          const { io, ioasId, stdevId } = places;
          let auto = await io.mock.replaceDomain(stdevId, ioasId);
          auto = await moveTo(places, fromOf(places), auto);
          await moveTo(places, toOf(places), auto);
          await io.mock.replaceDomain(stdevId, ioasId);
        });
      }
    }
  });
}

/** Moves the device; returns the automatic HWPT that there was last. */
async function moveTo(
  { io, ioasId, other, stdevId }: Places,
  place: number,
  auto: number,
): Promise<number> {
  const hwpt = await io.mock.replaceDomain(stdevId, place);
  const isAuto = place === ioasId || place === other;
  if (isAuto) {
    await io.mock.checkMap(hwpt, IOVA, io.page, io.buffer);
  } else {
    assertEq(hwpt, place, "HWPT");
    // The automatic HWPT that the device came from is gone.
    await io.mock.checkMap(auto, IOVA, 0, 0, ENOENT);
  }
  await io.destroy(hwpt, EBUSY);
  await io.mock.checkRefs(io.buffer, io.page, 2);
  return isAuto ? hwpt : auto;
}
