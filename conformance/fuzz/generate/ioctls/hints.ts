// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the roles of fields do not say: which numbers mean something, which
 * objects go together, which ranges are new.
 *
 * @module
 */

import type { Named } from "../../../../impl/uapi/layout/roles.ts";
import type { Field } from "../../../../impl/uapi/layout/struct.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_DATA_NONE,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../../../impl/uapi/iommufd.ts";
import {
  IOMMU_HW_INFO_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_DEV_CACHE_DEFAULT,
  IOMMU_TEST_IOTLB_DEFAULT,
  IOMMU_TEST_PASID_RESERVED,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
} from "../../../../impl/uapi/selftest.ts";
import { PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import { type Weights, Wheel } from "../chance.ts";
import { type Filling, plain, valueOf } from "./filling.ts";
import type { Wanted } from "./making.ts";
import { newIova } from "./places.ts";
import type { Known, Thing } from "../known/world.ts";

/** A value for a field; undefined where what its role says is good. */
type Hint = (filling: Filling) => Known | undefined;

/** Chooses by weights. */
function of(...weights: Weights<number | bigint>): Hint {
  const wheel = new Wheel(weights.map(([w, value]) => [w, plain(value)]));
  return ({ maker: { chance } }) => chance.spin(wheel);
}

const FIXED = 1;
const MAP: Hint = of([75, 7], [8, 5], [4, 3], [8, 6], [2, 4], [3, 1]);
const COPY: Hint = of([60, 7], [15, 3], [15, 6], [10, 2]);

/** PASIDs: few, so that they meet again. */
const PASID = of(
  [25, 0],
  [30, 1],
  [20, 2],
  [10, 3],
  [8, IOMMU_TEST_PASID_RESERVED],
  [7, 2 ** 20 - 1],
);

/** The object that a page table is made from. */
function parentOf({ things }: Filling): Thing | undefined {
  return things.get("ptId");
}

function isNested(filling: Filling): boolean {
  const parent = parentOf(filling);
  return parent !== undefined && parent.of !== "IOAS";
}

function hwptFlags(filling: Filling): Known {
  const { chance } = filling.maker;
  if (isNested(filling)) {
    return plain(chance.weighted([
      [60, 0],
      [25, IOMMU_HWPT_FAULT_ID_VALID],
      [15, IOMMU_HWPT_ALLOC_PASID],
    ]));
  }
  const flags: [number, number][] = [
    [40, IOMMU_HWPT_ALLOC_NEST_PARENT],
    [25, IOMMU_HWPT_ALLOC_DIRTY_TRACKING],
    [15, IOMMU_HWPT_ALLOC_PASID],
    [15, IOMMU_HWPT_FAULT_ID_VALID],
  ];
  let all = 0;
  for (const [percent, flag] of flags) {
    if (chance.percent(percent)) all |= flag;
  }
  return plain(all);
}

/** A fault queue is only looked at with its flag. */
const faultId: Hint = (filling) => {
  const flags = Number(valueOf(filling, "flags"));
  if ((flags & IOMMU_HWPT_FAULT_ID_VALID) === 0) return plain(0);
  return undefined;
};

const dataType: Hint = (filling) => {
  const { chance } = filling.maker;
  const good = isNested(filling) ? 90 : 10;
  return plain(
    chance.percent(good) ? IOMMU_HWPT_DATA_SELFTEST : IOMMU_HWPT_DATA_NONE,
  );
};

/** The options and what they can be set to. */
const optionObject: Hint = (filling) => {
  const hugePages = 1n;
  return valueOf(filling, "optionId") === hugePages ? undefined : plain(0);
};

const vfioIoasId: Hint = (filling) => {
  const set = 1n;
  return valueOf(filling, "op") === set ? undefined : plain(0);
};

/** No more than one page: whether two are contiguous in memory is chance. */
const withinPage: Hint = ({ maker: { chance }, place }) => {
  if (place?.address === undefined) return plain(1);
  const left = PAGE_SIZE - place.address % PAGE_SIZE;
  return plain(chance.percent(70) ? left : chance.between(1, left));
};

/** Wrong lengths, where others would come to chance. */
export const WRONG_LENGTHS: Readonly<Record<string, readonly bigint[]>> = {
  IOMMU_HW_QUEUE_ALLOC: [0n, 2n ** 31n, 2n ** 63n, 2n ** 64n - 1n],
};

const iotlb = of([70, IOMMU_TEST_IOTLB_DEFAULT], [30, 0]);

/** Values of fields, by the C constant of the ioctl and the name of the field. */
export const HINTS: Readonly<Record<string, Hint>> = {
  "IOMMU_IOAS_MAP.flags": MAP,
  "IOMMU_IOAS_MAP_FILE.flags": MAP,
  "IOMMU_IOAS_MAP_FILE.start": ({ maker: { chance }, process, into }) => {
    const fd = process.fds.get(Number(into.values.get("fd")?.value));
    const pages = Math.ceil((fd?.file.length ?? 0) / PAGE_SIZE);
    return plain(chance.percent(60) ? 0 : PAGE_SIZE * chance.below(pages + 1));
  },
  "IOMMU_IOAS_MAP_FILE.length": ({ maker: { chance }, process, into }) => {
    const fd = process.fds.get(Number(into.values.get("fd")?.value));
    const pages = Math.ceil((fd?.file.length ?? 0) / PAGE_SIZE);
    return plain(PAGE_SIZE * chance.between(1, Math.min(16, pages || 1)));
  },
  "IOMMU_IOAS_COPY.flags": COPY,
  "IOMMU_IOAS_UNMAP.length": ({ maker: { chance } }) =>
    chance.percent(5) ? plain(2n ** 64n - 1n) : undefined,
  "IOMMU_OPTION.objectId": optionObject,
  "IOMMU_OPTION.val64": of([50, 0], [40, 1], [10, 2]),
  "IOMMU_VFIO_IOAS.ioasId": vfioIoasId,
  "IOMMU_HWPT_ALLOC.flags": hwptFlags,
  "IOMMU_HWPT_ALLOC.faultId": faultId,
  "IOMMU_HWPT_ALLOC.dataType": dataType,
  "IOMMU_GET_HW_INFO.outDataType": of(
    [60, 0],
    [30, IOMMU_HW_INFO_TYPE_SELFTEST],
    [10, 1],
  ),
  "IOMMU_GET_HW_INFO.flags": of([75, 0], [25, 1]),
  "IOMMU_VIOMMU_ALLOC.type": of([95, 0xdeadbeef], [3, 1], [2, 0]),
  "IOMMU_VDEVICE_ALLOC.virtId": of([50, 1], [20, 2], [20, 3], [10, 2n ** 32n]),
  "IOMMU_VEVENTQ_ALLOC.type": of([95, 0xbeefbeef], [5, 1]),
  "IOMMU_VEVENTQ_ALLOC.veventqDepth": of([40, 1], [40, 2], [20, 100]),
  "IOMMU_HW_QUEUE_ALLOC.type": of([95, 0xdeadbeef], [5, 1]),
  "IOMMU_HW_QUEUE_ALLOC.index": of([60, 0], [35, 1], [5, 2]),
  "IOMMU_HW_QUEUE_ALLOC.length": withinPage,
  "VFIO_IOMMU_MAP_DMA.flags": of([85, 3], [7, 1], [8, 2]),
  "VFIO_IOMMU_UNMAP_DMA.flags": of([96, 0], [4, 2]),
  "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS.devFlags": of(
    [40, 0],
    [30, MOCK_FLAGS_DEVICE_PASID],
    [15, MOCK_FLAGS_DEVICE_NO_DIRTY],
    [15, MOCK_FLAGS_DEVICE_HUGE_IOVA],
  ),
  "IOMMU_TEST_OP_MD_CHECK_REFS.refs": of([50, 0], [35, 1], [15, 2]),
  "IOMMU_TEST_OP_CREATE_ACCESS.flags": of([60, 1], [40, 0]),
  "IOMMU_TEST_OP_ACCESS_PAGES.flags": of([60, 1], [35, 0], [
    5,
    1 << 16,
  ]),
  "IOMMU_TEST_OP_ACCESS_RW.flags": of([35, 0], [35, 1], [13, 4], [12, 5], [
    5,
    1 << 16,
  ]),
  "IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT.limit": of(
    [40, 65536],
    [20, 4096],
    [20, 24],
    [20, 12],
  ),
  "IOMMU_TEST_OP_MD_CHECK_IOTLB.iotlb": iotlb,
  "IOMMU_TEST_OP_TRIGGER_IOPF.pasid": PASID,
  "IOMMU_TEST_OP_TRIGGER_IOPF.addr": ({ maker: { chance } }) =>
    plain(newIova(chance, undefined)),
  "IOMMU_TEST_OP_PASID_ATTACH.pasid": PASID,
  "IOMMU_TEST_OP_PASID_REPLACE.pasid": PASID,
  "IOMMU_TEST_OP_PASID_DETACH.pasid": PASID,
  "IOMMU_TEST_OP_PASID_CHECK_HWPT.pasid": PASID,
  "IOMMU_TEST_OP_DMABUF_GET.length": of([90, 4 * PAGE_SIZE], [10, 2 ** 21]),
  "IOMMU_TEST_OP_DMABUF_GET.openFlags": of([70, 2], [30, 0x80002]),
  "IOMMU_TEST_OP_DMABUF_REVOKE.revoked": of([50, 0], [50, 1]),
  "IOMMU_TEST_OP_DEV_CHECK_CACHE.cache": of(
    [70, IOMMU_TEST_DEV_CACHE_DEFAULT],
    [30, 0],
  ),
};

/** Values in structs that pointers point to, by the names of struct and field. */
export const DATA: Readonly<
  Record<string, (filling: Filling) => number | bigint>
> = {
  "iommu_iova_range.start": ({ maker: { chance } }) =>
    BigInt(2 ** 24 + 2 ** 20 * chance.below(8)),
  "iommu_iova_range.last": ({ maker: { chance } }) =>
    BigInt(2 ** 24 + 2 ** 20 * chance.between(8, 40)) - 1n,
  "iommu_hwpt_selftest.iotlb": ({ maker: { chance } }) =>
    chance.percent(80) ? IOMMU_TEST_IOTLB_DEFAULT : chance.below(256),
  "iommu_hwpt_selftest.pagetableType": ({ maker: { chance } }) =>
    chance.below(2),
  "iommu_hwpt_invalidate_selftest.flags": ({ maker: { chance } }) =>
    chance.weighted([[70, 0], [25, 1], [5, 2]]),
  "iommu_viommu_invalidate_selftest.flags": ({ maker: { chance } }) =>
    chance.weighted([[70, 0], [25, 1], [5, 2]]),
  "iommu_viommu_invalidate_selftest.vdevId": ({ maker: { chance } }) =>
    chance.between(1, 3),
};

/** Which objects are better than others of their type. */
interface Preferred {
  /** Of which type one is wanted; undefined for any that the field can have. */
  readonly kind?: (filling: Filling) => Named | undefined;
  readonly is?: (thing: Thing, filling: Filling) => boolean;
  /** What to make such a one with. */
  readonly make?: (filling: Filling) => Wanted;
}

function flagsOf({ made }: Thing): number {
  return Number(made.flags ?? 0);
}

function withFlag(flag: number): Preferred {
  return {
    is: (thing) => (flagsOf(thing) & flag) !== 0,
    make: () => ({ flags: plain(flag) }),
  };
}

const PARENT = withFlag(IOMMU_HWPT_ALLOC_NEST_PARENT);
const TRACKED = withFlag(IOMMU_HWPT_ALLOC_DIRTY_TRACKING);

/** A page table for a device: any, but with a fault queue often enough. */
const PAGE_TABLE: Preferred = {
  kind: ({ maker: { chance } }) =>
    chance.weighted<Named>([
      [45, "IOAS"],
      [35, "HWPT_PAGING"],
      [20, "HWPT_NESTED"],
    ]),
};

/** A device whose faults somebody waits for. */
const FAULTING: Preferred = {
  is: ({ pt }, { context }) => {
    const hwpt = context.thing(pt);
    return hwpt !== undefined &&
      (flagsOf(hwpt) & IOMMU_HWPT_FAULT_ID_VALID) !== 0;
  },
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
    make: () => ({ flags: plain(IOMMU_HWPT_ALLOC_NEST_PARENT) }),
  },
  "IOMMU_VIOMMU_ALLOC.hwptId": PARENT,
  "IOMMU_HWPT_SET_DIRTY_TRACKING.hwptId": TRACKED,
  "IOMMU_HWPT_GET_DIRTY_BITMAP.hwptId": TRACKED,
  "IOMMU_TEST_OP_DIRTY.id": TRACKED,
  "IOMMU_TEST_OP_MOCK_DOMAIN.id": PAGE_TABLE,
  "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS.id": PAGE_TABLE,
  "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE.ptId": PAGE_TABLE,
  "IOMMU_TEST_OP_PASID_ATTACH.ptId": PAGE_TABLE,
  "IOMMU_TEST_OP_PASID_REPLACE.ptId": PAGE_TABLE,
  "IOMMU_TEST_OP_TRIGGER_IOPF.devId": FAULTING,
  "IOMMU_TEST_OP_PASID_ATTACH.id": {
    is: ({ made }) =>
      (Number(made.devFlags ?? 0) & MOCK_FLAGS_DEVICE_PASID) !== 0,
    make: () => ({ devFlags: plain(MOCK_FLAGS_DEVICE_PASID) }),
  },
};

/** Ioctls that put something where nothing is. */
const NEW = new Set([
  "IOMMU_IOAS_MAP.iova",
  "IOMMU_IOAS_MAP_FILE.iova",
  "IOMMU_IOAS_COPY.dstIova",
  "VFIO_IOMMU_MAP_DMA.iova",
  "IOMMU_TEST_OP_ADD_RESERVED.start",
]);

/** Whether a range of IOVA is to be a new one. */
export function isNewPlace({ shape }: Filling, { name }: Field): boolean {
  return NEW.has(`${shape.name}.${name}`);
}

/** Whether the kernel chooses the IOVA. */
export function isChosen(filling: Filling): boolean {
  return (Number(valueOf(filling, "flags")) & FIXED) === 0;
}
