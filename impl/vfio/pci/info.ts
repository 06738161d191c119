// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a device says of itself: GET_INFO, GET_REGION_INFO, GET_IRQ_INFO; and
 * SET_IRQS up to where interrupts begin.
 *
 * Linux: drivers/vfio/pci/vfio_pci_core.c, and
 * vfio_set_irqs_validate_and_prepare of vfio_main.c.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { EINVAL } from "../../uapi/errno.ts";
import {
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_IRQ_INFO_AUTOMASKED,
  VFIO_IRQ_INFO_EVENTFD,
  VFIO_IRQ_INFO_MASKABLE,
  VFIO_IRQ_INFO_NORESIZE,
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
  VFIO_REGION_INFO_FLAG_CAPS,
  VFIO_REGION_INFO_FLAG_MMAP,
  VFIO_REGION_INFO_FLAG_READ,
  VFIO_REGION_INFO_FLAG_WRITE,
  VfioDeviceInfo,
  VfioIrqInfo,
  VfioIrqSet,
  VfioRegionInfo,
} from "../../uapi/vfio/device.ts";
import { VfioInfoCapHeader } from "../../uapi/vfio.ts";
import type { VfioPciDevice } from "./pci_device.ts";
import { isMappable, REGION_STRIDE } from "./regions.ts";
import { checkSize, load } from "./structs.ts";

const DATA_TYPES = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL |
  VFIO_IRQ_SET_DATA_EVENTFD;
const ACTIONS = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK |
  VFIO_IRQ_SET_ACTION_TRIGGER;

/** GET_INFO: as much of the struct goes back as the caller has. Throws EFAULT, EINVAL. */
export function getInfo(
  { canReset }: VfioPciDevice,
  task: Task,
  uaddr: number,
): void {
  const least = VfioDeviceInfo.minSizeIn("7.3");
  const { bytes, cmd } = load(task, uaddr, VfioDeviceInfo, least);
  cmd.flags = VFIO_DEVICE_FLAGS_PCI | (canReset ? VFIO_DEVICE_FLAGS_RESET : 0);
  cmd.numRegions = VFIO_PCI_NUM_REGIONS;
  cmd.numIrqs = VFIO_PCI_NUM_IRQS;
  task.mm.copyToUser(uaddr, bytes.subarray(0, cmd.argsz));
}

/** GET_REGION_INFO. A capability that does not fit is announced, and argsz says what is needed; where there is none, `capOffset` stays as it was sent. Throws EFAULT, EINVAL. */
export function getRegionInfo(
  device: VfioPciDevice,
  task: Task,
  uaddr: number,
): void {
  const { bytes, cmd } = load(task, uaddr, VfioRegionInfo);
  const { length, flags } = regionOf(device, cmd.index);
  cmd.length = BigInt(length);
  cmd.offset = BigInt(cmd.index) * BigInt(REGION_STRIDE);
  cmd.flags = flags;
  if (flags & VFIO_REGION_INFO_FLAG_CAPS) {
    const cap = VfioInfoCapHeader.encode({
      id: VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
      version: 1,
    });
    if (cmd.argsz < bytes.length + cap.length) {
      cmd.argsz = bytes.length + cap.length;
      cmd.capOffset = 0;
    } else {
      cmd.capOffset = bytes.length;
      task.mm.copyToUser(uaddr + bytes.length, cap);
    }
  }
  task.mm.copyToUser(uaddr, bytes);
}

/** How long a region is and what can be done with it. Throws EINVAL where there is none. */
function regionOf(
  { pci }: VfioPciDevice,
  index: number,
): { length: number; flags: number } {
  const accessible = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  const { bars, config, msix, rom } = pci.device;
  if (index === VFIO_PCI_CONFIG_REGION_INDEX) {
    return { length: config.size, flags: accessible };
  }
  if (index > VFIO_PCI_ROM_REGION_INDEX) {
    throw EINVAL.because("there is no such region");
  }
  if (index === VFIO_PCI_ROM_REGION_INDEX) {
    return rom === undefined || rom.length === 0
      ? { length: 0, flags: 0 }
      : { length: rom.size, flags: VFIO_REGION_INFO_FLAG_READ };
  }
  const bar = bars[index];
  if (bar === undefined) return { length: 0, flags: 0 };
  if (!isMappable(bar)) return { length: bar.size, flags: accessible };
  const flags = accessible | VFIO_REGION_INFO_FLAG_MMAP |
    (msix?.bar === index ? VFIO_REGION_INFO_FLAG_CAPS : 0);
  return { length: bar.size, flags };
}

/** GET_IRQ_INFO. Throws EFAULT, EINVAL. */
export function getIrqInfo(
  device: VfioPciDevice,
  task: Task,
  uaddr: number,
): void {
  const { bytes, cmd } = load(task, uaddr, VfioIrqInfo);
  if (cmd.index >= VFIO_PCI_NUM_IRQS) throw NO_IRQS;
  cmd.count = device.irqCount(cmd.index);
  cmd.flags = VFIO_IRQ_INFO_EVENTFD | irqFlags(cmd.index);
  task.mm.copyToUser(uaddr, bytes);
}

const NO_IRQS = EINVAL.because("there are no interrupts of this kind");

function irqFlags(index: number): number {
  if (index === VFIO_PCI_INTX_IRQ_INDEX) {
    return VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
  }
  return index === VFIO_PCI_MSIX_IRQ_INDEX ? 0 : VFIO_IRQ_INFO_NORESIZE;
}

/** SET_IRQS. Throws EFAULT, EINVAL, and as `Irqs.set`. */
export function setIrqs(
  device: VfioPciDevice,
  task: Task,
  uaddr: number,
): number {
  const { cmd } = load(task, uaddr, VfioIrqSet);
  const { argsz, flags, index, start, count } = cmd;
  if (
    index >= VFIO_PCI_NUM_IRQS || count >= 0xffffffff - start ||
    (flags & ~(DATA_TYPES | ACTIONS)) !== 0
  ) throw EINVAL.because("the index, the range or a flag is unknown");
  const max = device.irqCount(index);
  if (start >= max || start + count > max) throw NO_IRQS;
  const type = flags & DATA_TYPES;
  const width = WIDTHS.get(type);
  if (width === undefined) {
    throw EINVAL.because("there must be one type of data");
  }
  checkSize(argsz - VfioIrqSet.size, count * width);
  const bytes = new Uint8Array(count * width);
  if (bytes.length > 0) {
    task.mm.copyFromUser(bytes, uaddr + VfioIrqSet.size);
  }
  const data = width === 4 ? [...new Int32Array(bytes.buffer)] : [...bytes];
  const action = flags & ACTIONS;
  return device.irqs.set(task, { index, action, type, start, count, data });
}

/** Bytes for each interrupt, by the type of data. */
const WIDTHS: ReadonlyMap<number, number> = new Map([
  [VFIO_IRQ_SET_DATA_NONE, 0],
  [VFIO_IRQ_SET_DATA_BOOL, 1],
  [VFIO_IRQ_SET_DATA_EVENTFD, 4],
]);
