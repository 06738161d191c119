// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where what a program comes to is the machine's choice, such as which frames
 * its allocator hands out.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_MAP,
  IommuHwQueueAlloc,
} from "../../../impl/uapi/iommufd.ts";
import {
  AddressSpace,
  MMAP_MIN_ADDR,
} from "../../../impl/kernel/simulated/mappings/address_space.ts";
import { MemoryFile } from "../../../impl/kernel/files/memory_file.ts";
import {
  MADV_DOFORK,
  MREMAP_FIXED,
  PAGE_SHIFT,
  PAGE_SIZE,
  PROT_WRITE,
} from "../../../impl/uapi/mman.ts";
import {
  IOMMU_TEST_CMD,
  TestAccessPages,
  TestCheckMap,
  TestCheckRefs,
} from "../../../impl/uapi/selftest.ts";
import { VFIO_IOMMU_MAP_DMA } from "../../../impl/uapi/vfio.ts";
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VfioDeviceFeature,
} from "../../../impl/uapi/vfio/feature.ts";
import { VfioDeviceFile } from "../../../impl/vfio/device_file.ts";
import { REGION_STRIDE } from "../../../impl/vfio/pci/regions.ts";
import { fields, type Here, testOp } from "./here.ts";

/** What the name of the model behind this machine's Linux begins with. */
export const LINUX_HERE = "linux-here:";

/** What the name of real Linux in a virtual machine begins with, whose card is QEMU's. */
export const LINUX_VM = "linux-vm:";

/** Whether a row of a table is for a target, by its name. */
export function isFor(
  { only = "" }: { readonly only?: string },
  target: string,
): boolean {
  return target.startsWith(only);
}

/** A queue in more than one page: its frames must be neighbours. */
export function needsNeighbours(here: Here): boolean {
  const { ioctl } = IommuHwQueueAlloc;
  if (here.command !== ioctl.number) return false;
  const { nestingParentIova: iova, length } = fields(here, IommuHwQueueAlloc);
  const shift = BigInt(PAGE_SHIFT);
  return iova >> shift !== iova + length - 1n >> shift;
}

/**
 * Memory moves that is not in one mapping, or to where nobody may map. What has
 * happened by the time that it fails is up to the kernel.
 */
export function movesSeveralMappings({ process, call }: Here): boolean {
  const { verb, args } = call;
  if (verb.name !== "mremap" || (Number(args[3]) & MREMAP_FIXED) === 0) {
    return false;
  }
  const [from, oldLength, , , to] = args.map(Number);
  const { mm } = process;
  if (!(mm instanceof AddressSpace)) return false;
  const vma = mm.vmas.lookup(from!);
  return vma === undefined || from! + oldLength! > vma.end ||
    to! < MMAP_MIN_ADDR;
}

/** Ioctls that may fill a domain. */
const FILLING: readonly number[] = [
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_COPY,
  IOMMU_HWPT_ALLOC,
  IOMMU_TEST_CMD,
  VFIO_IOMMU_MAP_DMA,
];

/** A domain of a flat page table is filled, in which each run of neighbouring frames is a step that may be made to fail. */
export function failsByRuns({ process, command, ctx }: Here): boolean {
  return ctx?.kernel.revision.mock.pageTable === "flat" &&
    process.faults.nth > 0 && FILLING.includes(command);
}

/** Verbs of files whose bytes or length are seen, and which argument is the descriptor. */
const LOOKING: Readonly<Record<string, number>> = {
  read: 0,
  pread: 0,
  lseek: 0,
  mmap: 4,
};

/** The program is looked at that processes run: each implementation has one of its own. */
export function looksAtProgram(
  { process, call: { verb, args } }: Here,
): boolean {
  const argument = LOOKING[verb.name];
  if (argument === undefined) return false;
  const file = process.files.get(Number(args[argument]));
  return file instanceof MemoryFile && file.pinnable === undefined;
}

/** Bytes are stored up to where there is no memory: how many, and which first, is up to the machine. */
export function storesPartly({ process, call: { verb, args } }: Here): boolean {
  const { mm } = process;
  if (verb.name !== "poke" || !(mm instanceof AddressSpace)) return false;
  const isWritable = (at: number) =>
    ((mm.vmas.lookup(at)?.prot ?? 0) & PROT_WRITE) !== 0;
  const start = Number(args[0]);
  const end = start + (args[1] as Uint8Array).length;
  if (!isWritable(start)) return false;
  for (let at = start - start % PAGE_SIZE; at < end; at += PAGE_SIZE) {
    if (!isWritable(at)) return true;
  }
  return false;
}

/** Advice that huge pages be forked again, of which kernels have thought differently. */
export function forksHugePages({ process, call }: Here): boolean {
  const { verb, args } = call;
  const { mm } = process;
  return verb.name === "madvise" && args[2] === MADV_DOFORK &&
    mm instanceof AddressSpace &&
    mm.vmas.lookup(Number(args[0]))?.huge === true;
}

/** BARs are a device's first regions. */
const BARS = 6;

/** Registers of a device are read: the model's card has those that drivers use, another one more. */
export function readsRegisters(
  { process, call: { verb, args } }: Here,
): boolean {
  switch (verb.name) {
    case "read":
    case "pread": {
      const file = process.files.get(Number(args[0]));
      return file instanceof VfioDeviceFile &&
        regionOf(Number(args[2] ?? 0)) < BARS;
    }
    case "peek": {
      const { mm } = process;
      const start = Number(args[0]);
      const end = start + (args[1] as Uint8Array).length;
      return mm instanceof AddressSpace &&
        mm.vmas.overlapping(start, end).some(({ device }) => device);
    }
    default:
      return false;
  }
}

function regionOf(offset: number): number {
  return Math.floor(offset / REGION_STRIDE);
}

/** A device may sleep until it is used, and signals that then: whether it slept by then is a matter of time, as Linux suspends it later. */
export function fallsAsleep(here: Here): boolean {
  return here.device !== undefined &&
    here.command === VFIO_DEVICE_FEATURE &&
    (fields(here, VfioDeviceFeature).flags & 0xffff) ===
      VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
}

/** Operations that compare pages with those of a process. */
const COMPARING = [TestCheckMap, TestCheckRefs, TestAccessPages];

/** It is asked which page is behind a private mapping of a file: of one that was never written a host does not say that it is the file's. */
export function asksForPrivatePage(here: Here): boolean {
  const asked = testOp(here);
  const layout = COMPARING.find(({ op }) => op.number === asked);
  const { mm } = here.process;
  if (layout === undefined || !(mm instanceof AddressSpace)) return false;
  const { uptr, length } = fields<{ uptr: bigint; length: bigint }>(
    here,
    layout,
  );
  return mm.vmas.overlapping(Number(uptr), Number(uptr + length))
    .some(({ shared, object }) => !shared && object !== null);
}
