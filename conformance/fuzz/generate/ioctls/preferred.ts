// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which objects are better than others of their type for a field, and how one
 * comes to be.
 *
 * @module
 */

import type { Named } from "../../../../impl/uapi/layout/roles.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../../../impl/uapi/iommufd.ts";
import { MOCK_FLAGS_DEVICE_PASID } from "../../../../impl/uapi/selftest.ts";
import type { Context, Thing } from "../known/world.ts";
import { type Filling, plain } from "./filling.ts";
import { make, makeObject, type Wanted } from "./making.ts";

/** Which objects are better than others of their type. */
export interface Preferred {
  /** Of which type one is wanted; undefined for any that the field can have. */
  readonly kind?: (filling: Filling) => Named | undefined;
  readonly is?: (thing: Thing, filling: Filling) => boolean;
  /** With what such a page table is made. */
  readonly wanted?: Wanted;
  /** Makes one of what there is, where that takes several steps. */
  readonly prepare?: (filling: Filling) => void;
}

function flagsOf({ made }: Thing): number {
  return Number(made.flags ?? 0);
}

function withFlag(flag: number): Preferred {
  return {
    is: (thing) => (flagsOf(thing) & flag) !== 0,
    wanted: { flags: plain(flag) },
  };
}

/** What a device is attached to has a flag. */
function isAttachedWith(
  { pt }: Thing,
  context: Context,
  flag: number,
): boolean {
  const hwpt = context.thing(pt);
  return hwpt !== undefined && (flagsOf(hwpt) & flag) !== 0;
}

/** An object of a type: one that there is, or a new one. */
function some(
  filling: Filling,
  of: Named,
  wanted: Wanted = {},
): Thing | undefined {
  const { context, maker: { chance } } = filling;
  const isNew = Object.keys(wanted).length > 0;
  if (isNew || context.of(of).length === 0) makeObject(filling, of, wanted);
  return isNew ? context.of(of).at(-1) : chance.maybe(context.of(of));
}

/** A mock device, as its mock and as what is bound. */
interface Device {
  readonly mock: Thing;
  readonly bound: Thing;
  readonly ioas: Thing;
}

function someDevice(filling: Filling, wanted: Wanted = {}): Device | undefined {
  const { context } = filling;
  const ioas = some(filling, "IOAS");
  if (ioas === undefined) return undefined;
  const isNew = Object.keys(wanted).length > 0;
  const mock = some(
    filling,
    "SELFTEST",
    isNew ? { id: ioas.id, ...wanted } : {},
  );
  const bound = context.thing(mock?.made.outIdevId ?? 0);
  return mock && bound ? { mock, bound, ioas } : undefined;
}

/** A new page table for a device. */
function newHwpt(
  filling: Filling,
  { bound, ioas }: Device,
  flags: number,
  wanted: Wanted = {},
): Thing | undefined {
  const all = {
    devId: bound.id,
    ptId: ioas.id,
    flags: plain(flags),
    ...wanted,
  };
  const isMade = make(filling, "IOMMU_HWPT_ALLOC", {
    dataType: plain(0),
    ...all,
  });
  return isMade ? filling.context.things.at(-1) : undefined;
}

function replace(filling: Filling, { mock }: Device, hwpt: Thing): void {
  const wanted = { id: mock.id, ptId: hwpt.id };
  make(filling, "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE", wanted);
}

/** A device whose faults go to a queue. */
function prepareFaults(filling: Filling): void {
  const device = someDevice(filling);
  const fault = some(filling, "FAULT");
  if (device === undefined || fault === undefined) return;
  const flags = IOMMU_HWPT_FAULT_ID_VALID;
  const hwpt = newHwpt(filling, device, flags, { faultId: fault.id });
  if (hwpt) replace(filling, device, hwpt);
}

/** A device behind a virtual IOMMU that has a queue for events. */
function prepareEvents(filling: Filling): void {
  const device = someDevice(filling);
  if (device === undefined) return;
  const parent = newHwpt(filling, device, IOMMU_HWPT_ALLOC_NEST_PARENT);
  if (parent === undefined) return;
  const devId = device.bound.id;
  const viommu = some(filling, "VIOMMU", { devId, hwptId: parent.id });
  if (viommu === undefined) return;
  const { id: viommuId } = viommu;
  make(filling, "IOMMU_VDEVICE_ALLOC", { viommuId, devId });
  make(filling, "IOMMU_VEVENTQ_ALLOC", { viommuId });
  const flags = plain(0);
  const wanted = { devId, ptId: viommuId, flags, dataType: plain(0xdead) };
  if (!make(filling, "IOMMU_HWPT_ALLOC", wanted)) return;
  replace(filling, device, filling.context.things.at(-1)!);
}

/** A device with PASIDs that is attached to what leaves room for them. */
function preparePasids(filling: Filling): void {
  const wanted = { devFlags: plain(MOCK_FLAGS_DEVICE_PASID) };
  const device = someDevice(filling, wanted);
  if (device === undefined) return;
  const hwpt = newHwpt(filling, device, IOMMU_HWPT_ALLOC_PASID);
  if (hwpt) replace(filling, device, hwpt);
}

function preparePasid(filling: Filling): void {
  const { context, shape } = filling;
  if (shape.name === "IOMMU_TEST_OP_PASID_ATTACH") return;
  if (!context.of("SELFTEST").some(takesPasids(context))) {
    preparePasids(filling);
  }
  make(filling, "IOMMU_TEST_OP_PASID_ATTACH", {});
}

function takesPasids(context: Context): (mock: Thing) => boolean {
  return (mock) =>
    (Number(mock.made.devFlags ?? 0) & MOCK_FLAGS_DEVICE_PASID) !== 0 &&
    isAttachedWith(mock, context, IOMMU_HWPT_ALLOC_PASID);
}

/** A page table whose dirty bits are kept. */
function prepareTracking(filling: Filling): void {
  const hwpt = some(filling, "HWPT_PAGING", {
    flags: plain(IOMMU_HWPT_ALLOC_DIRTY_TRACKING),
  });
  if (hwpt === undefined) return;
  const wanted = { hwptId: hwpt.id, flags: plain(1) };
  make(filling, "IOMMU_HWPT_SET_DIRTY_TRACKING", wanted);
}

const PARENT = withFlag(IOMMU_HWPT_ALLOC_NEST_PARENT);
const TRACKED: Preferred = {
  is: ({ tracks }) => tracks,
  prepare: prepareTracking,
};

/** A page table for a device. */
const PAGE_TABLE: Preferred = {
  kind: ({ maker: { chance }, context }) =>
    // A page table wants a device itself.
    context.of("DEVICE").length === 0 ? "IOAS" : chance.weighted<Named>([
      [45, "IOAS"],
      [35, "HWPT_PAGING"],
      [20, "HWPT_NESTED"],
    ]),
};

/** A page table that can be attached for a PASID. */
const WITH_PASID: Preferred = {
  kind: ({ maker: { chance } }) =>
    chance.percent(85) ? "HWPT_PAGING" : undefined,
  ...withFlag(IOMMU_HWPT_ALLOC_PASID),
};

/** A device that has something attached for a PASID. */
const USES_PASIDS: Preferred = {
  is: ({ pasids }) => pasids.size > 0,
  prepare: preparePasid,
};

const FAULTING: Preferred = {
  is: (thing, { context }) =>
    isAttachedWith(thing, context, IOMMU_HWPT_FAULT_ID_VALID),
  prepare: prepareFaults,
};

const REPORTING: Preferred = {
  is: ({ id, pt }, { context }) =>
    context.thing(context.thing(pt)?.made.ptId ?? 0)?.of === "VIOMMU" &&
    context.of("VDEVICE").some(({ made }) => made.devId === id.value),
  prepare: prepareEvents,
};

/** The preferences, by the C constant of the ioctl and the name of the field. */
export const PREFERRED: Readonly<Record<string, Preferred>> = {
  "IOMMU_HWPT_ALLOC.ptId": {
    kind: ({ maker: { chance } }) =>
      chance.weighted<Named>([
        [60, "IOAS"],
        [28, "HWPT_PAGING"],
        [12, "VIOMMU"],
      ]),
    is: (thing) =>
      thing.of !== "HWPT_PAGING" ||
      (flagsOf(thing) & IOMMU_HWPT_ALLOC_NEST_PARENT) !== 0,
    wanted: { flags: plain(IOMMU_HWPT_ALLOC_NEST_PARENT) },
  },
  "IOMMU_VIOMMU_ALLOC.hwptId": PARENT,
  "IOMMU_HWPT_SET_DIRTY_TRACKING.hwptId": withFlag(
    IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  ),
  "IOMMU_HWPT_GET_DIRTY_BITMAP.hwptId": TRACKED,
  "IOMMU_TEST_OP_DIRTY.id": TRACKED,
  "IOMMU_TEST_OP_MOCK_DOMAIN.id": PAGE_TABLE,
  "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS.id": PAGE_TABLE,
  "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE.ptId": PAGE_TABLE,
  "VFIO_DEVICE_ATTACH_IOMMUFD_PT.ptId": PAGE_TABLE,
  "IOMMU_TEST_OP_TRIGGER_IOPF.devId": FAULTING,
  "IOMMU_TEST_OP_TRIGGER_VEVENT.devId": REPORTING,
  "IOMMU_TEST_OP_PASID_ATTACH.id": {
    is: (thing, { context }) => takesPasids(context)(thing),
    prepare: preparePasids,
  },
  "IOMMU_TEST_OP_PASID_ATTACH.ptId": WITH_PASID,
  "IOMMU_TEST_OP_PASID_REPLACE.ptId": WITH_PASID,
  "IOMMU_TEST_OP_PASID_REPLACE.id": USES_PASIDS,
  "IOMMU_TEST_OP_PASID_DETACH.id": USES_PASIDS,
  "IOMMU_TEST_OP_PASID_CHECK_HWPT.id": USES_PASIDS,
};
