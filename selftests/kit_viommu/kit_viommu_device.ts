// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of the fixture `kit_viommu`: the devices of a virtual IOMMU, their
 * numbers, and what becomes of them and of their ids.
 *
 * @module
 */

import { EBUSY, EEXIST, ENOENT } from "../../impl/uapi/errno.ts";
import { IOMMU_OPTION_RLIMIT_MODE } from "../../impl/uapi/iommufd.ts";
import { assertEq, assertTrue } from "../harness/harness.ts";
import { addSteps } from "../harness/table.ts";
import { nestedAlloc } from "../ioctls/hwpt_ioctls.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";
import {
  expectVevents,
  triggerVevents,
  veventqAlloc,
} from "../ioctls/vevent_ioctls.ts";
import {
  type IommuVdeviceAlloc,
  vdeviceAlloc,
  viommuAlloc,
} from "../ioctls/viommu_ioctls.ts";
import type { ViommuFixture, ViommuSelf } from "./kit_viommu.ts";

/** Adds the tests. */
export function registerVdevices(f: ViommuFixture): void {
  registerAlloc(f);
  registerNumbers(f);
  registerEnds(f);
}

function registerAlloc(f: ViommuFixture): void {
  interface AllocState extends ViommuSelf {
    /** A device of the virtual IOMMU, number 7. */
    readonly known: MockDomain;
    readonly next: number;
  }

  f.table<AllocState>("vdevice_order", {
    description:
      "VDEVICE_ALLOC checks its arguments in Linux's order, and then nothing was made",
    rules: ["V1.6"],
    async prepare(self) {
      const { io, ioasId, viommuId } = self;
      const known = await io.mock.domain(ioasId);
      await vdeviceAlloc(io, viommuId, known.idevId, 7);
      return { ...self, known, next: await io.nextId() };
    },
    async finish({ io, device, viommuId, next }) {
      const id = await vdeviceAlloc(io, viommuId, device.idevId, 8);
      assertEq(id, next, "id after failed calls");
    },
  }, (t) => {
    const wrong = { viommuId: 999, devId: 999, virtId: 7n };
    addSteps<AllocState, Partial<IommuVdeviceAlloc>>(
      t,
      wrong,
      [
        ["no vIOMMU", ENOENT, ({ parent }) => ({ viommuId: parent })],
        ["a HWPT as the vIOMMU", ENOENT, ({ viommuId }) => ({ viommuId })],
        ["no device", ENOENT, ({ ioasId }) => ({ devId: ioasId })],
        ["an IOAS as the device", ENOENT, ({ known }) => ({
          devId: known.idevId,
        })],
        ["a device that has one", EEXIST, ({ device }) => ({
          devId: device.idevId,
        })],
        ["a number that is taken", EEXIST, () => ({ virtId: 8n })],
      ],
      ({ io }, { viommuId, devId, virtId }, errno) =>
        vdeviceAlloc(io, viommuId!, devId!, virtId!, errno),
    );
  });

  f.test("vdevice_once", {
    description:
      "A device is known to one virtual IOMMU only, and to that once; numbers are each one's own",
    rules: ["V1.6"],
  }, async ({ io, ioasId, device, parent, viommuId }) => {
    const other = await viommuAlloc(io, device.idevId, parent);
    const id = await vdeviceAlloc(io, viommuId, device.idevId, 1);
    await vdeviceAlloc(io, other, device.idevId, 2, EEXIST);
    const second = await io.mock.domain(ioasId);
    await vdeviceAlloc(io, other, second.idevId, 1);
    await io.destroy(id);
    await io.destroy(await vdeviceAlloc(io, viommuId, device.idevId, 1));
    await vdeviceAlloc(io, other, device.idevId, 1, EEXIST);
    await vdeviceAlloc(io, other, device.idevId, 2);
  });
}

/** Attaches a device to a new nested HWPT of the virtual IOMMU; returns that. */
async function attach(
  { io, viommuId }: ViommuSelf,
  { stdevId, idevId }: MockDomain,
): Promise<number> {
  const nested = await nestedAlloc(io, idevId, viommuId);
  await io.mock.replaceDomain(stdevId, nested);
  return nested;
}

function registerNumbers(f: ViommuFixture): void {
  f.table("numbers", {
    description:
      "Any number will do; the mock's events have its low half, and it tells none of number 0",
    rules: ["V1.7"],
  }, (t) => {
    const numbers: [string, bigint, number | undefined][] = [
      ["0", 0n, undefined],
      ["1", 1n, 1],
      ["2^32-1", 2n ** 32n - 1n, 0xffffffff],
      ["2^32", 2n ** 32n, 0],
      ["2^63+5", 2n ** 63n + 5n, 5],
      ["2^64-1", 2n ** 64n - 1n, 0xffffffff],
    ];
    for (const [what, virtId, told] of numbers) {
      t.case(what, async (state) => {
        const { io, ioasId, device, viommuId } = state;
        const id = await vdeviceAlloc(io, viommuId, device.idevId, virtId);
        const { veventqId, veventqFd } = await veventqAlloc(io, viommuId, 4);
        const nested = await attach(state, device);
        if (told === undefined) {
          await triggerVevents(io, device.idevId, 1, ENOENT);
          await expectVevents(io, veventqFd, []);
        } else {
          await triggerVevents(io, device.idevId);
          await expectVevents(io, veventqFd, [[0, told]]);
        }
        await io.mock.replaceDomain(device.stdevId, ioasId);
        await io.destroy(nested);
        await io.destroy(id);
        assertEq(await io.process.close(veventqFd), 0, "close the queue");
        await io.destroy(veventqId);
      });
    }
  });
}

function registerEnds(f: ViommuFixture): void {
  f.test("attach_needs_vdevice", {
    description:
      "A nested HWPT of a virtual IOMMU takes only devices that this one has",
    rules: ["V1.8"],
  }, async (self) => {
    const { io, ioasId, device, parent, viommuId } = self;
    const nested = await nestedAlloc(io, device.idevId, viommuId);
    const { stdevId, idevId } = device;
    await io.mock.replaceDomain(stdevId, nested, ENOENT);
    const other = await viommuAlloc(io, idevId, parent);
    const id = await vdeviceAlloc(io, other, idevId, 5);
    await io.mock.replaceDomain(stdevId, nested, ENOENT);
    await io.destroy(id);
    await vdeviceAlloc(io, viommuId, idevId, 5);
    await io.mock.replaceDomain(stdevId, nested);
    await io.destroy(nested, EBUSY);
    await io.mock.replaceDomain(stdevId, ioasId);
    await io.destroy(nested);
  });

  f.test("vdevice_goes_while_attached", {
    description:
      "A vDEVICE can be destroyed under an attachment: events keep its number, and nothing is attached anew",
    rules: ["V1.8"],
  }, async (self) => {
    const { io, ioasId, device, viommuId } = self;
    const { stdevId, idevId } = device;
    const { veventqFd: fd } = await veventqAlloc(io, viommuId, 8);
    const id = await vdeviceAlloc(io, viommuId, idevId, 0x99);
    const first = await attach(self, device);
    await io.destroy(id);
    await io.destroy(id, ENOENT);
    await triggerVevents(io, idevId);
    const second = await nestedAlloc(io, idevId, viommuId);
    await io.mock.replaceDomain(stdevId, second, ENOENT);
    // The number belongs to the attachment to the virtual IOMMU, not to the HWPT.
    assertEq(await vdeviceAlloc(io, viommuId, idevId, 0x88), id, "id again");
    await io.mock.replaceDomain(stdevId, second);
    await triggerVevents(io, idevId);
    await io.mock.replaceDomain(stdevId, ioasId);
    await triggerVevents(io, idevId, 1, ENOENT);
    await io.mock.replaceDomain(stdevId, first);
    await triggerVevents(io, idevId);
    await expectVevents(io, fd, [[0, 0x99], [1, 0x99], [2, 0x88]]);
    assertEq(await io.process.close(fd), 0, "close the queue");
  });

  f.test("tombstone", {
    description:
      "A vDEVICE goes with its device, and its id is never anything else",
    rules: ["V1.9"],
  }, async (self) => {
    const { io, device, parent, viommuId, ioasId } = self;
    const id = await vdeviceAlloc(io, viommuId, device.idevId, 0x99);
    await attach(self, device);
    await io.destroy(device.idevId, EBUSY);
    await io.destroy(device.stdevId);
    await io.destroy(id, ENOENT);
    await viommuAlloc(io, device.idevId, parent, {}, ENOENT);
    const ids = [];
    for (let i = 0; i < 2 * id; i++) ids.push(await io.ioasAlloc());
    assertTrue(ids.includes(device.stdevId), "the device's ids are free");
    assertTrue(!ids.includes(id), "the vDEVICE's id is not");
    for (const other of ids) await io.destroy(other);
    // The number is free again, and so is the virtual IOMMU.
    const next = await io.mock.domain(ioasId);
    await vdeviceAlloc(io, viommuId, next.idevId, 0x99);
  });

  f.test("tombstone_is_an_object", {
    description:
      "A context with nothing but such an id counts as one that is in use",
    rules: ["V1.9"],
  }, async (self) => {
    const { io, device, ioasId, parent, viommuId } = self;
    await vdeviceAlloc(io, viommuId, device.idevId, 1);
    for (const id of [device.stdevId, viommuId, parent, ioasId]) {
      await io.destroy(id);
    }
    const fresh = await io.reopen();
    await fresh.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, 1n);
    await io.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, 1n, EBUSY);
    assertEq(await io.process.close(fresh.fd), 0, "close the other iommufd");
  });

  f.test("tombstones_add_up", {
    description: "Each device leaves an id behind that is not used again",
    rules: ["V1.9"],
  }, async ({ io, ioasId, viommuId }) => {
    const seen = new Set<number>();
    for (let i = 0; i < 5; i++) {
      const { idevId, stdevId } = await io.mock.domain(ioasId);
      const id = await vdeviceAlloc(io, viommuId, idevId, i);
      assertTrue(!seen.has(id), "an id of its own");
      seen.add(id);
      await io.destroy(stdevId);
    }
    await io.destroy(viommuId);
  });
}
