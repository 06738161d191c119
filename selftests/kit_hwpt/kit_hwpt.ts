// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_hwpt`: HWPT_ALLOC, on an IOAS and nested. Errnos in the kernel's
 * order, driver data, who may be a parent, what a HWPT holds and what holds it.
 *
 * @module
 */

import {
  EADDRINUSE,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
} from "../../impl/uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_NEST_PARENT } from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { MAP_PRIVATE } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertTrue,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { checkIotlb, hwptAlloc, nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { registerErrnos } from "./kit_hwpt_errno.ts";
import { registerReplace } from "./kit_hwpt_replace.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";

/** What the tests share. */
export interface HwptSelf extends MockDomain {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS, to which a mock device is attached. */
  readonly ioasId: number;
}

/** The fixture as the files of its tests see it. */
export type HwptFixture = Fixture<undefined, HwptSelf>;

const IOVA = BigInt(MOCK_APERTURE_START);
const NEST_PARENT = IOMMU_HWPT_ALLOC_NEST_PARENT;

/** Adds the fixture's tests to `registry`. */
export function registerKitHwpt(registry: Test[]): void {
  const f: HwptFixture = fixture(registry, "kit_hwpt", {
    since: "6.8",
    upstream: false,
    needs: () => ["hwpt"],
    setup: async (context: Context) => {
      const io = await Iommufd.open(context);
      const ioasId = await io.ioasAlloc();
      return { io, ioasId, ...await io.mock.domain(ioasId) };
    },
    teardown: ({ io }) => io.teardown(),
  });
  registerErrnos(f);
  registerFill(f);
  registerUsers(f);
  registerReplace(f);
}

/** A HWPT that others can be nested in; its id. */
export function parentAlloc({ io, ioasId, idevId }: HwptSelf): Promise<number> {
  const values = { devId: idevId, ptId: ioasId, flags: NEST_PARENT };
  return hwptAlloc(io, values);
}

/** What a HWPT maps. */
function registerFill(f: HwptFixture): void {
  f.test("fill", {
    description:
      "A HWPT has what its IOAS has, from its allocation on; the pages are pinned once",
    rules: ["C2.20", "S16"],
  }, async (self) => {
    const { io, ioasId, idevId, hwptId: auto } = self;
    const { page, buffer } = io;
    await io.mapFixed(ioasId, buffer, 2n * page, IOVA);
    const id = await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    const both = [id, auto];
    const above = IOVA + 4n * page;
    await io.mapFixed(ioasId, BigInt(buffer) + 4n * page, page, above);
    for (const hwpt of both) {
      await io.mock.checkMap(hwpt, IOVA, 2n * page, buffer);
      const uptr = BigInt(buffer) + 4n * page;
      await io.mock.checkMap(hwpt, above, page, uptr);
    }
    await io.mock.checkRefs(buffer, 2n * page, 1);
    await io.unmap(ioasId, IOVA, 2n * page);
    for (const hwpt of both) {
      await io.mock.checkMap(hwpt, IOVA, page, buffer, EINVAL);
    }
    await io.destroy(id);
    const uptr = BigInt(buffer) + 4n * page;
    await io.mock.checkMap(auto, above, page, uptr);
    await io.mock.checkRefs(uptr, page, 1);
  });

  f.test("fill_errno", {
    description:
      "A HWPT that cannot have what its IOAS has is not allocated, and the IOAS is as before",
    rules: ["C2.20"],
  }, async ({ io, idevId }) => {
    const { page, buffer } = io;
    const ioasId = await io.ioasAlloc();
    const values = { devId: idevId, ptId: ioasId };
    await io.mapFixed(ioasId, buffer, page, 0n);
    await hwptAlloc(io, values, EADDRINUSE);
    await io.unmap(ioasId, 0n, page);

    const memory = await io.mmap(2n * page, MAP_PRIVATE);
    await io.mapFixed(ioasId, buffer, page, IOVA);
    await io.mapFixed(ioasId, memory, 2n * page, IOVA + page);
    await io.munmap(memory + Number(page), page);
    await hwptAlloc(io, values, EFAULT);
    await io.mock.checkRefs(buffer, page, 0);
    await io.mock.checkRefs(memory, page, 0);
    await io.unmap(ioasId, IOVA + page, 2n * page);
    const id = await hwptAlloc(io, values);
    await io.mock.checkMap(id, IOVA, page, buffer);
    await io.mock.checkRefs(buffer, page, 1);
    // What the aperture does not have is reserved as long as the HWPT lives.
    await io.mapFixed(ioasId, buffer, page, 0n, EINVAL);
    await io.destroy(id);
    await io.mapFixed(ioasId, buffer, page, 0n);
  });

  f.test("alignment", {
    description:
      "The alignment that HWPTs need is needed as long as there is one of them",
    rules: ["B08"],
  }, async (self) => {
    const { io, ioasId, idevId, stdevId } = self;
    const manual = await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    const needed = async () =>
      (await io.iovaRanges(ioasId, 1, io.scratch)).outIovaAlignment;
    assertEq(await needed(), io.mockPage, "alignment with both");
    await io.destroy(stdevId);
    assertEq(await needed(), io.mockPage, "alignment with one");
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA + 1n, EINVAL);
    await io.destroy(manual);
    assertEq(await needed(), 1n, "alignment without");
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA + 1n);
  });

  f.test("nested_maps_nothing", {
    description:
      "A nested HWPT has no map of its own: operations on maps do not know it",
    rules: ["C2.1"],
  }, async (self) => {
    const { io, idevId, hwptId: auto } = self;
    const parent = await parentAlloc(self);
    const nested = await nestedAlloc(io, idevId, parent);
    await io.mock.checkMap(parent, IOVA, 0, 0);
    await io.mock.checkMap(nested, IOVA, 0, 0, ENOENT);
    for (const id of [parent, auto, 999]) {
      await checkIotlb(io, id, [0, 0, 0, 0], ENOENT);
    }
    await io.unmap(nested, 0n, io.page, ENOENT);
  });
}

/** Who holds whom. */
function registerUsers(f: HwptFixture): void {
  f.test("destroy_order", {
    description:
      "A HWPT holds its IOAS, a nested one its parent, a device its HWPT",
    rules: ["C2.1", "C2.20"],
  }, async (self) => {
    const { io, ioasId, idevId, stdevId, hwptId: auto } = self;
    const parent = await parentAlloc(self);
    const nested = await nestedAlloc(io, idevId, parent);
    const second = await nestedAlloc(io, idevId, parent);
    await io.mock.replaceDomain(stdevId, nested);
    // The automatic HWPT went with its device.
    await io.destroy(auto, ENOENT);
    for (const id of [ioasId, parent, nested, idevId]) {
      await io.destroy(id, EBUSY);
    }
    await io.destroy(stdevId);
    await io.destroy(idevId, ENOENT);
    await io.destroy(parent, EBUSY);
    await io.destroy(nested);
    await io.destroy(parent, EBUSY);
    await io.destroy(second);
    await io.destroy(ioasId, EBUSY);
    await io.destroy(parent);
    await io.destroy(ioasId);
  });

  f.test("close_all", {
    description:
      "Closing the descriptor frees nested HWPTs, parents and devices in an order that works",
    rules: ["C2.13"],
  }, async (self) => {
    const { io, ioasId, idevId } = self;
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
    const parent = await parentAlloc(self);
    for (let i = 0; i < 3; i++) {
      const nested = await nestedAlloc(io, idevId, parent);
      await io.mock.domain(nested);
      await nestedAlloc(io, idevId, parent);
    }
    await io.mock.domain(parent);
    await io.mock.checkRefs(io.buffer, io.bufferSize, 1);
  });

  f.test("attach_by_id", {
    description:
      "Devices attach to the HWPT that they name, and each of them holds it",
    rules: ["C2.11"],
  }, async (self) => {
    const { io, idevId } = self;
    const parent = await parentAlloc(self);
    const nested = await nestedAlloc(io, idevId, parent);
    for (const id of [parent, nested]) {
      const first = await io.mock.domain(id);
      const second = await io.mock.domain(id);
      assertEq(first.hwptId, id, "HWPT of the first device");
      assertEq(second.hwptId, id, "HWPT of the second device");
      await io.destroy(first.stdevId);
      await io.destroy(id, EBUSY);
      await io.destroy(second.stdevId);
    }
    await io.destroy(nested);
    await io.destroy(parent);
  });

  f.test("auto_apart", {
    description:
      "A device that attaches to an IOAS shares automatic HWPTs only; they go with their last device",
    rules: ["C2.10"],
  }, async ({ io, ioasId, idevId, stdevId, hwptId: auto }) => {
    const manual = await hwptAlloc(io, { devId: idevId, ptId: ioasId });
    const second = await io.mock.domain(ioasId);
    assertEq(second.hwptId, auto, "the automatic HWPT");
    await io.destroy(auto, EBUSY);
    await io.destroy(second.stdevId);
    await io.mock.checkMap(auto, IOVA, 0, 0);
    await io.destroy(stdevId);
    await io.mock.checkMap(auto, IOVA, 0, 0, ENOENT);
    const third = await io.mock.domain(ioasId);
    assertTrue(third.hwptId !== manual, "a HWPT of its own");
    await io.destroy(third.stdevId);
    await io.mock.checkMap(manual, IOVA, 0, 0);
    await io.destroy(ioasId, EBUSY);
    await io.destroy(manual);
    await io.destroy(ioasId);
  });
}
