// SPDX-License-Identifier: GPL-2.0-only

/**
 * Regions: the parts of a device's file. Each begins at its index shifted by 40
 * bits.
 *
 * Linux: drivers/vfio/pci/vfio_pci_rdwr.c, and vfio_pci_core_mmap of
 * vfio_pci_core.c.
 *
 * @module
 */

import type { FileMapping, MapRequest } from "../../kernel/files/file.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import type { Bar } from "../../pci/bar.ts";
import { numberOf, store } from "../../pci/bytes.ts";
import { EFAULT, EINVAL, EIO, ENOMEM } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import {
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_OFFSET_SHIFT,
  VFIO_PCI_ROM_REGION_INDEX,
} from "../../uapi/vfio/device.ts";
import type { VfioPciDevice } from "./pci_device.ts";

/** Bytes from the beginning of one region to that of the next. */
export const REGION_STRIDE: number = 2 ** VFIO_PCI_OFFSET_SHIFT;

const NO_REGION = EINVAL.because("there is no such region");

/** Bytes of an entry of MSI-X's table. */
const MSIX_ENTRY = 16;

/** A way that bytes go between a region and memory at `uaddr`. */
interface Transfer {
  readonly task: Task;
  readonly uaddr: number;
  readonly count: number;
  readonly writes: boolean;
}

/** Reads or writes at an offset of a device's file; returns how many bytes. Throws EINVAL, EFAULT, EIO. (Linux: vfio_pci_rw.) */
export function accessRegion(
  device: VfioPciDevice,
  offset: number,
  transfer: Transfer,
): number {
  if (transfer.count === 0) return 0;
  const index = Math.floor(offset / REGION_STRIDE);
  const at = offset % REGION_STRIDE;
  if (index === VFIO_PCI_CONFIG_REGION_INDEX) {
    return accessConfig(device, at, transfer);
  }
  if (index === VFIO_PCI_ROM_REGION_INDEX) {
    return accessRom(device, at, transfer);
  }
  return accessBar(device, index, at, transfer);
}

/** The ROM is read while memory answers, and ones behind its images at any time (Linux: vfio_pci_bar_rw). */
function accessRom(
  device: VfioPciDevice,
  at: number,
  { task, uaddr, count, writes }: Transfer,
): number {
  const { rom } = device.pci.device;
  if (rom === undefined || writes) throw NO_REGION;
  if (at >= rom.size) throw EINVAL.because("it is beyond the end of the ROM");
  if (rom.length === 0) throw ENOMEM.because("the ROM has no image");
  if (at < rom.length && !device.memoryEnabled) {
    throw EIO.because("the device's memory is off");
  }
  const bytes = new Uint8Array(Math.min(count, rom.size - at));
  rom.read(at, bytes);
  task.mm.copyToUser(uaddr, bytes);
  return bytes.length;
}

/** In chunks that lie in one capability each (Linux: vfio_pci_config_rw). */
function accessConfig(
  device: VfioPciDevice,
  at: number,
  { task, uaddr, count, writes }: Transfer,
): number {
  const { config } = device;
  const { size } = device.pci.device.config;
  const bytes = new Uint8Array(4);
  for (let done = 0; done < count;) {
    // Each chunk is asked for with all that is left.
    if (at + count > size) {
      throw EFAULT.because("it is beyond the end of configuration space");
    }
    const length = config.chunk(at + done, count - done);
    const chunk = bytes.subarray(0, length);
    if (writes) {
      task.mm.copyFromUser(chunk, uaddr + done);
      config.write(at + done, length, numberOf(chunk, 0, length));
    } else {
      store(chunk, 0, length, config.read(at + done, length));
      task.mm.copyToUser(uaddr + done, chunk);
    }
    done += length;
  }
  return count;
}

/** In the largest aligned units of 8 bytes and less, around the table of MSI-X (Linux: vfio_pci_bar_rw). */
function accessBar(
  device: VfioPciDevice,
  index: number,
  at: number,
  { task, uaddr, count, writes }: Transfer,
): number {
  const bar = device.pci.device.bars[index];
  if (bar === undefined) throw NO_REGION;
  if (at >= bar.size) throw EINVAL.because("it is beyond the end of the BAR");
  const total = Math.min(count, bar.size - at);
  const [tableStart, tableEnd] = msixTable(device, index);
  const unit = new Uint8Array(8);
  device.pci.device.poll();
  for (let done = 0; done < total;) {
    const from = at + done;
    const hidden = from >= tableStart && from < tableEnd;
    const limit = hidden ? tableEnd : from < tableStart ? tableStart : Infinity;
    const length = unitAt(from, Math.min(total - done, limit - from));
    const part = unit.subarray(0, length);
    if (!hidden && !bar.isIo && !device.memoryEnabled) {
      throw EIO.because("the device's memory is off");
    }
    if (writes) {
      task.mm.copyFromUser(part, uaddr + done);
      if (!hidden) bar.store(from, part);
    } else {
      if (hidden) part.fill(0xff);
      else bar.read(from, part);
      task.mm.copyToUser(uaddr + done, part);
    }
    done += length;
  }
  return total;
}

/** The bytes of the table of MSI-X in a BAR, none where it is in another. */
export function msixTable(
  device: VfioPciDevice,
  index: number,
): readonly [number, number] {
  const { msix } = device.pci.device;
  if (msix?.bar !== index) return [Infinity, Infinity];
  return [msix.table, msix.table + msix.vectors * MSIX_ENTRY];
}

/** The largest aligned unit of at most `count` bytes. */
function unitAt(at: number, count: number): number {
  for (const unit of [8, 4, 2]) {
    if (count >= unit && at % unit === 0) return unit;
  }
  return 1;
}

/**
 * What of a BAR is mapped, and that `hold` is told how many mappings there are.
 * Throws EINVAL for what cannot be mapped. (Linux: vfio_pci_core_mmap.)
 */
export function mapRegion(
  device: VfioPciDevice,
  { offset, length, shared }: MapRequest,
  hold: { get(): unknown; put(): void },
): FileMapping {
  const index = Math.floor(offset / REGION_STRIDE);
  const at = offset % REGION_STRIDE;
  const bar = device.pci.device.bars[index];
  if (bar === undefined || !isMappable(bar)) {
    throw EINVAL.because("the region cannot be mapped");
  }
  if (!shared) throw EINVAL.because("memory of a device cannot be private");
  const end = Math.ceil(bar.size / PAGE_SIZE) * PAGE_SIZE;
  if (at + length > end) {
    throw EINVAL.because("it is beyond the end of the BAR");
  }
  return {
    object: bar.memory!,
    pageIndex: at / PAGE_SIZE,
    device: {
      open: () => void hold.get(),
      close: () => hold.put(),
      physical: (at) =>
        device.memoryEnabled ? device.pci.barAddresses[index]! + at : undefined,
      stored: (at, length) => bar.stored(at, length),
      polled: device.pci.device,
      seesStores: device.pci.device.seesStores,
      touched: (at) => bar.touched(at),
    },
  };
}

/** Whether a BAR can be mapped: memory of whole pages, or that has its page for itself, as all here do. */
export function isMappable(bar: Bar): boolean {
  return !bar.isIo;
}
