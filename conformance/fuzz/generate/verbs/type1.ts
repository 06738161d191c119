// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO's own container: groups are put into it, it gets a type, and what it has
 * mapped is unmapped with its dirty pages, or loses its address for a while.
 *
 * @module
 */

import { O_RDWR, PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import {
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
} from "../../../../impl/uapi/vfio.ts";
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
  VfioBitmap,
  VfioIommuType1DirtyBitmap,
  VfioIommuType1DirtyRange,
} from "../../../../impl/uapi/vfio/type1.ts";
import type { Area, Fd, Proc } from "../known/world.ts";
import type { Maker } from "../maker.ts";
import { placeForData, someRange } from "./arena.ts";
import type { Action } from "./files.ts";
import { needGroup, setContainer } from "./vfio.ts";

/** The bytes of a container's structs, one behind the other. */
type Bytes = Uint8Array<ArrayBuffer>;

/** Ioctls that a container without a type takes. */
const UNTYPED = new Set([
  "VFIO_GET_API_VERSION",
  "VFIO_CHECK_EXTENSION",
  "VFIO_SET_IOMMU",
]);

/** Puts a group into a container, and gives it its type. */
function giveType(maker: Maker, process: Proc, { fd }: Fd): void {
  needGroup(maker, process);
  setContainer(maker, process);
  const type = maker.chance.percent(80) ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU;
  const number = Number(fd.value);
  maker.addOn(process, { fd }, [], "ioctlarg", number, VFIO_SET_IOMMU, type);
}

/** A container for an ioctl: mostly one that has what it needs. */
function someContainer(
  maker: Maker,
  process: Proc,
  ioctl: string,
): Fd | undefined {
  const { chance } = maker;
  const all = () => process.open("type1 container");
  const typed = () => all().filter(({ file }) => file.pt !== 0);
  if (all().length === 0) {
    maker.add(process, [], "open", "/dev/vfio/vfio", O_RDWR);
  }
  if (UNTYPED.has(ioctl)) {
    if (chance.percent(50)) setContainer(maker, process);
    return chance.maybe(all());
  }
  const [first] = all();
  if (first !== undefined && typed().length === 0 && chance.percent(90)) {
    giveType(maker, process, first);
  }
  return chance.maybe(chance.percent(95) ? typed() : []) ?? chance.maybe(all());
}

/** What is mapped in a container. */
function areasOf({ file: { context } }: Fd): readonly Area[] {
  return context?.thing(context.compat)?.areas ?? [];
}

/** A range that a container has mapped: all of it mostly, or from the first mapping to the last. */
function rangeOf({ chance }: Maker, on: Fd): { iova: bigint; length: bigint } {
  const areas = areasOf(on);
  const area = chance.maybe(areas);
  if (area === undefined || chance.percent(5)) {
    return { iova: 2n ** 24n, length: BigInt(PAGE_SIZE * chance.below(64)) };
  }
  const iova = BigInt(area.iova.value);
  return chance.weighted<() => { iova: bigint; length: bigint }>([
    [70, () => ({ iova, length: area.length })],
    [20, () => ({ iova: 2n ** 24n, length: 2n ** 21n })],
    [7, () => ({ iova, length: area.length >> 1n })],
    [3, () => ({ iova: 2n ** 64n - 4096n, length: 4096n * 2n })],
  ])();
}

/** A bitmap that fits a range, or one that does not. */
function bitmapFor(maker: Maker, process: Proc, length: bigint): Bytes {
  const { chance } = maker;
  const fits = (length / BigInt(PAGE_SIZE) + 63n) / 64n * 8n;
  const bytes = chance.weighted([[88, fits], [4, 0n], [4, 8n], [4, fits + 8n]]);
  const place = placeForData(maker, process, Number(fits));
  return VfioBitmap.encode({
    pgsize: chance.weighted([[92, 4096n], [4, 0n], [4, 8192n]]),
    length: bytes,
    data: chance.percent(95) ? BigInt(place) : 8n,
  });
}

/** Makes an ioctl with some structs, the first of which says how long they are. */
function send(
  maker: Maker,
  process: Proc,
  on: Fd,
  cmd: number,
  ...structs: readonly Bytes[]
): void {
  const bytes = new Uint8Array(structs.flatMap((struct) => [...struct]));
  const argsz = maker.chance.percent(96) ? bytes.length : bytes.length - 8;
  new DataView(bytes.buffer).setUint32(0, Math.max(0, argsz), true);
  maker.addOn(process, on, [], "ioctl", Number(on.fd.value), cmd, bytes);
}

/** Begins to note what is written, ends it, asks for it. */
function dirtyPages(maker: Maker, process: Proc, on: Fd): void {
  const { chance } = maker;
  const flags = chance.weighted([
    [35, VFIO_IOMMU_DIRTY_PAGES_FLAG_START],
    [10, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP],
    [50, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP],
    [3, 3],
    [2, 8],
  ]);
  const head = VfioIommuType1DirtyBitmap.encode({ flags });
  if (flags !== VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) {
    return send(maker, process, on, VFIO_IOMMU_DIRTY_PAGES, head);
  }
  const range = rangeOf(maker, on);
  const bitmap = bitmapFor(maker, process, range.length);
  const asked = VfioIommuType1DirtyRange.encode(range);
  send(maker, process, on, VFIO_IOMMU_DIRTY_PAGES, head, asked, bitmap);
}

/** Unmaps with a bitmap, or takes addresses from memory: what needs more than the struct. */
function unmapDma(maker: Maker, process: Proc, on: Fd): void {
  const flags = maker.chance.weighted([
    [55, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP],
    [30, VFIO_DMA_UNMAP_FLAG_VADDR],
    [10, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL],
    [5, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP],
  ]);
  const isAll = (flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
  const range = isAll ? { iova: 0n, length: 0n } : rangeOf(maker, on);
  const bitmap = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0
    ? [bitmapFor(maker, process, range.length)]
    : [];
  const head = VfioIommuType1DmaUnmap.encode({ flags, ...range });
  send(maker, process, on, VFIO_IOMMU_UNMAP_DMA, head, ...bitmap);
}

/** Memory that is mapped loses its address, and has one again: its own, or another. */
function changeAddress(maker: Maker, process: Proc, on: Fd): void {
  const { chance } = maker;
  const area = chance.maybe(areasOf(on));
  if (area === undefined) return;
  const { length } = area;
  const iova = BigInt(area.iova.value);
  if (chance.percent(60)) {
    const flags = VFIO_DMA_UNMAP_FLAG_VADDR;
    const lost = VfioIommuType1DmaUnmap.encode({ flags, iova, length });
    send(maker, process, on, VFIO_IOMMU_UNMAP_DMA, lost);
  }
  const vaddr = chance.percent(70)
    ? area.address
    : someRange(maker, process).address;
  const head = VfioIommuType1DmaMap.encode({
    flags: VFIO_DMA_MAP_FLAG_VADDR | (chance.percent(8) ? 1 : 0),
    vaddr: BigInt(vaddr ?? 0),
    iova,
    length,
  });
  send(maker, process, on, VFIO_IOMMU_MAP_DMA, head);
}

/** Makes an ioctl on a container. */
type Make = (maker: Maker, process: Proc, on: Fd) => void;

/** Of a hundred ioctls with a name, in how many there is something else in their place. */
const SPECIAL: Readonly<Record<string, readonly [percent: number, Make]>> = {
  VFIO_IOMMU_MAP_DMA: [12, changeAddress],
  VFIO_IOMMU_UNMAP_DMA: [50, unmapDma],
  VFIO_IOMMU_DIRTY_PAGES: [95, dirtyPages],
};

/** What is made of an ioctl in a container; `plain` where its struct says all. */
export function ofType1(ioctl: string, plain: Make): Action {
  const [percent, special] = SPECIAL[ioctl] ?? [0, plain];
  return (maker, process) => {
    const on = someContainer(maker, process, ioctl);
    if (on === undefined) return;
    const isSpecial = maker.chance.percent(percent);
    (isSpecial ? special : plain)(maker, process, on);
  };
}
