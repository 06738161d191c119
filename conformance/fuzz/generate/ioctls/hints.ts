// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the roles of fields do not say: which numbers mean something, which
 * objects go together, which ranges are new.
 *
 * @module
 */

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
import { REVISIONS } from "../../../../impl/uapi/revision.ts";
import { PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import { VFIO_DMA_UNMAP_FLAG_ALL } from "../../../../impl/uapi/vfio.ts";
import { type Weights, Wheel } from "../chance.ts";
import { type Filling, plain, valueOf } from "./filling.ts";
import { newIova } from "./places.ts";
import { storeData } from "../verbs/arena.ts";
import { someToken } from "../verbs/tokens.ts";
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
const ANY_PASID = of(
  [25, 0],
  [30, 1],
  [20, 2],
  [10, 3],
  [8, IOMMU_TEST_PASID_RESERVED],
  [7, 2 ** 20 - 1],
);

/** One that the device has something attached for. */
const usedPasid: Hint = (filling) => {
  const { maker: { chance }, things } = filling;
  const used = chance.maybe([...things.get("id")?.pasids.keys() ?? []]);
  if (used === undefined || chance.percent(20)) return ANY_PASID(filling);
  return plain(used);
};

/** What is attached for the PASID. */
const attachedHwpt: Hint = (filling) => {
  const { maker: { chance }, things, context } = filling;
  const pasid = Number(valueOf(filling, "pasid"));
  const used = things.get("id")?.pasids.get(pasid) ?? 0;
  if (chance.percent(20)) return undefined;
  return context.thing(used)?.id ?? plain(0);
};

/** The first queue that the virtual IOMMU does not have. */
const nextQueue: Hint = ({ maker: { chance }, things, context }) => {
  const viommu = things.get("viommuId")?.id.value;
  const queues = context.of("HW_QUEUE").filter(({ made }) =>
    made.viommuId === viommu
  );
  return plain(chance.percent(85) ? queues.length : chance.below(3));
};

/** The object that a page table is made from. */
function parentOf({ things }: Filling): Thing | undefined {
  return things.get("ptId");
}

function isNested(filling: Filling): boolean {
  const parent = parentOf(filling);
  return parent !== undefined && parent.of !== "IOAS";
}

function hwptFlags(filling: Filling): Known {
  const { chance, shapes } = filling.maker;
  const hasPasids = shapes.named("IOMMU_TEST_OP_PASID_ATTACH") !== undefined;
  const pasid = hasPasids ? IOMMU_HWPT_ALLOC_PASID : 0;
  if (isNested(filling)) {
    return plain(chance.weighted([
      [60, 0],
      [25, IOMMU_HWPT_FAULT_ID_VALID],
      [15, pasid],
    ]));
  }
  const flags: [number, number][] = [
    [40, IOMMU_HWPT_ALLOC_NEST_PARENT],
    [25, IOMMU_HWPT_ALLOC_DIRTY_TRACKING],
    [15, pasid],
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

/** All that is mapped is no range. */
const ofAll: Hint = (filling) => {
  const isAll = Number(valueOf(filling, "flags")) === VFIO_DMA_UNMAP_FLAG_ALL;
  return isAll && filling.maker.chance.percent(90) ? plain(0) : undefined;
};

/** No more than one page: whether two are contiguous in memory is chance. */
const withinPage: Hint = ({ maker: { chance }, place }) => {
  if (place?.address === undefined) return plain(1);
  const left = PAGE_SIZE - place.address % PAGE_SIZE;
  return plain(chance.percent(70) ? left : chance.between(1, left));
};

/** Wrong lengths, where others would come to chance. */
export const WRONG_LENGTHS: Readonly<Record<string, readonly bigint[]>> = {
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT: [0n, 1n, 7n],
  IOMMU_HW_QUEUE_ALLOC: [0n, 2n ** 31n, 2n ** 63n, 2n ** 64n - 1n],
};

const WITH_TOKEN = 1;

/** A token is only looked at with its flag. */
const token: Hint = (filling) => {
  const { maker, process } = filling;
  if (valueOf(filling, "flags") !== BigInt(WITH_TOKEN)) return plain(0);
  return plain(storeData(maker, process, someToken(maker)));
};

/** Those that the revision knows. */
const anyDeviceFlags = of(
  [40, 0],
  [30, MOCK_FLAGS_DEVICE_PASID],
  [15, MOCK_FLAGS_DEVICE_NO_DIRTY],
  [15, MOCK_FLAGS_DEVICE_HUGE_IOVA],
);
const deviceFlags: Hint = (filling) => {
  const { uapi } = filling.maker.shapes;
  const { deviceFlags } = REVISIONS[uapi].mock;
  const { value } = anyDeviceFlags(filling)!;
  return plain(Number(value) & deviceFlags);
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
  "IOMMU_IOAS_MAP_FILE.length": ({ maker, process, into }) => {
    const fd = process.fds.get(Number(into.values.get("fd")?.value));
    const pages = Math.ceil((fd?.file.length ?? 0) / PAGE_SIZE);
    const most = Math.min(maker.longest, pages || 1);
    return plain(PAGE_SIZE * maker.chance.between(1, most));
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
  "IOMMU_HW_QUEUE_ALLOC.index": nextQueue,
  "IOMMU_HW_QUEUE_ALLOC.length": withinPage,
  "VFIO_DEVICE_BIND_IOMMUFD.flags": ({ maker: { chance, devices } }) =>
    plain(chance.percent(devices.areVirtual ? 50 : 4) ? WITH_TOKEN : 0),
  "VFIO_DEVICE_BIND_IOMMUFD.tokenUuidPtr": token,
  "VFIO_DEVICE_ATTACH_IOMMUFD_PT.flags": of([90, 0], [10, 1]),
  "VFIO_DEVICE_DETACH_IOMMUFD_PT.flags": of([90, 0], [10, 1]),
  "VFIO_DEVICE_GET_REGION_INFO.index": ({ maker: { chance } }) =>
    plain(chance.below(10)),
  "VFIO_DEVICE_PCI_HOT_RESET.count": of([70, 0], [20, 1], [10, 2]),
  "VFIO_DEVICE_IOEVENTFD.offset": of([60, 0], [20, 8], [20, 2 ** 40 * 7]),
  "VFIO_DEVICE_IOEVENTFD.flags": of([10, 1], [10, 2], [50, 4], [20, 8], [5, 0]),
  "VFIO_DEVICE_IOEVENTFD.data": of([60, 0], [40, 1]),
  "VFIO_DEVICE_IOEVENTFD.fd": ({ process, maker: { chance } }) =>
    chance.percent(15)
      ? plain(-1)
      : chance.maybe(process.open("eventfd"))?.fd ?? plain(-1),
  "VFIO_IOMMU_MAP_DMA.flags": of([83, 3], [7, 1], [8, 2], [2, 0]),
  "VFIO_IOMMU_UNMAP_DMA.flags": of([96, 0], [4, VFIO_DMA_UNMAP_FLAG_ALL]),
  "VFIO_IOMMU_UNMAP_DMA.iova": ofAll,
  "VFIO_IOMMU_UNMAP_DMA.length": ofAll,
  "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS.devFlags": deviceFlags,
  "IOMMU_TEST_OP_MD_CHECK_REFS.refs": of([50, 0], [35, 1], [15, 2]),
  "IOMMU_TEST_OP_CREATE_ACCESS.flags": of([80, 1], [20, 0]),
  "IOMMU_TEST_OP_ACCESS_PAGES.flags": of([60, 1], [35, 0], [
    5,
    1 << 16,
  ]),
  "IOMMU_TEST_OP_ACCESS_RW.flags": of([35, 0], [35, 1], [13, 4], [12, 5], [
    5,
    1 << 16,
  ]),
  "IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT.limit": ({ maker }) => {
    // It stays for the programs that come after on the same kernel.
    const isLow = maker.chance.percent(60) && maker.isAlone;
    return plain(isLow ? 8 * maker.chance.between(1, 8) : 65536);
  },
  "IOMMU_TEST_OP_MD_CHECK_IOTLB.iotlb": iotlb,
  "IOMMU_TEST_OP_TRIGGER_IOPF.pasid": ANY_PASID,
  "IOMMU_TEST_OP_TRIGGER_IOPF.addr": ({ maker: { chance } }) =>
    plain(newIova(chance, undefined)),
  "IOMMU_TEST_OP_PASID_ATTACH.pasid": ANY_PASID,
  "IOMMU_TEST_OP_PASID_REPLACE.pasid": usedPasid,
  "IOMMU_TEST_OP_PASID_DETACH.pasid": usedPasid,
  "IOMMU_TEST_OP_PASID_CHECK_HWPT.pasid": usedPasid,
  "IOMMU_TEST_OP_PASID_CHECK_HWPT.hwptId": attachedHwpt,
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
  Record<string, (filling: Filling, index: number) => number | bigint>
> = {
  "iommu_iova_range.start": ({ maker: { chance } }, index) =>
    BigInt(2 ** 24 + 2 ** 18 * (2 * index + chance.below(2))),
  "iommu_iova_range.last": ({ maker: { chance } }, index) =>
    BigInt(2 ** 24 + 2 ** 18 * (2 * index + chance.between(2, 2))) - 1n,
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
