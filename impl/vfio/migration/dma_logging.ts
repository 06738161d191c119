// SPDX-License-Identifier: GPL-2.0-only

/**
 * FEATURE of devices that note what they write.
 *
 * Linux: vfio_ioctl_device_feature_logging_start and those beside it in
 * drivers/vfio/vfio_main.c.
 *
 * @module
 */

import { IovaBitmap } from "../../iommufd/hwpt/iova_bitmap.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { U64_MAX } from "../../lib/u64.ts";
import { DmaLog, type LoggedRange } from "../../pci/dma_log.ts";
import { E2BIG, EINVAL, EOVERFLOW } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_SET,
} from "../../uapi/vfio/feature.ts";
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VfioDeviceFeatureDmaLoggingControl,
  VfioDeviceFeatureDmaLoggingRange,
  VfioDeviceFeatureDmaLoggingReport,
} from "../../uapi/vfio/migration.ts";
import type { Feature } from "../pci/features.ts";
import type { VfioPciDevice } from "../pci/pci_device.ts";
import { loadStruct } from "../pci/structs.ts";

/** Most ranges: as many as a page has room for (Linux: LOG_MAX_RANGES). */
const MAX_RANGES = PAGE_SIZE / VfioDeviceFeatureDmaLoggingRange.size;

const canLog = ({ pci }: VfioPciDevice): boolean => pci.device.logsDma;

/** Those features, by their numbers. */
export const LOGGING_FEATURES: readonly (readonly [number, Feature])[] = [
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_START, {
    ops: VFIO_DEVICE_FEATURE_SET,
    size: VfioDeviceFeatureDmaLoggingControl.size,
    exists: canLog,
    run: start,
  }],
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, {
    ops: VFIO_DEVICE_FEATURE_SET,
    size: 0,
    exists: canLog,
    run({ pci }): number {
      pci.dma.log = undefined;
      return 0;
    },
  }],
  [VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, {
    ops: VFIO_DEVICE_FEATURE_GET,
    size: VfioDeviceFeatureDmaLoggingReport.size,
    exists: canLog,
    run: report,
  }],
];

/** The device notes pages of 4 KiB, whatever was asked for. Throws EFAULT, EINVAL, E2BIG, EOVERFLOW. */
function start({ pci }: VfioPciDevice, task: Task, uaddr: number): number {
  const layout = VfioDeviceFeatureDmaLoggingControl;
  const { bytes, cmd: control } = loadStruct(task, uaddr, layout);
  const { numRanges } = control;
  if (numRanges === 0) throw EINVAL.because("there are no ranges");
  if (numRanges > MAX_RANGES) throw E2BIG.because("there are too many ranges");
  const ranges = loadRanges(task, control);
  if (pci.dma.log !== undefined) {
    throw EINVAL.because("the device notes what it writes already");
  }
  control.pageSize = BigInt(PAGE_SIZE);
  task.mm.copyToUser(uaddr, bytes);
  pci.dma.log = new DmaLog(ranges);
  return 0;
}

function loadRanges(
  task: Task,
  { ranges: from, numRanges, pageSize }: VfioDeviceFeatureDmaLoggingControl,
): LoggedRange[] {
  const { size } = VfioDeviceFeatureDmaLoggingRange;
  const ranges: LoggedRange[] = [];
  const bytes = new Uint8Array(size);
  const mask = BigInt.asUintN(64, pageSize - 1n);
  for (let i = 0; i < numRanges; i++) {
    task.mm.copyFromUser(bytes, Number(from) + i * size);
    const range = VfioDeviceFeatureDmaLoggingRange.decode(bytes);
    const { iova, length } = range;
    if ((iova & mask) !== 0n || (length & mask) !== 0n) {
      throw EINVAL.because("a range is not of whole pages");
    }
    checkEnd(range);
    const overlaps = ranges.some((other) =>
      iova < other.iova + other.length && other.iova < iova + length
    );
    if (overlaps) throw EINVAL.because("two ranges overlap");
    ranges.push(range);
  }
  return ranges;
}

/** Sets the bits of pages that were written, which are forgotten. Throws EFAULT, EINVAL, EOVERFLOW. */
function report(
  { pci, kernel }: VfioPciDevice,
  task: Task,
  uaddr: number,
): number {
  const layout = VfioDeviceFeatureDmaLoggingReport;
  const { cmd } = loadStruct(task, uaddr, layout);
  const { iova, length, pageSize, bitmap: data } = cmd;
  const isPower = (pageSize & (pageSize - 1n)) === 0n;
  if (pageSize < BigInt(PAGE_SIZE) || !isPower) {
    throw EINVAL.because("a bit stands for no size of pages");
  }
  checkEnd({ iova, length });
  const { log } = pci.dma;
  if (log === undefined) {
    throw EINVAL.because("the device does not note what it writes");
  }
  if (length === 0n) return 0;
  const range = { iova, length, pageSize, data };
  using bitmap = new IovaBitmap(kernel, task.mm, range);
  for (const at of log.take({ iova, length })) {
    bitmap.record(Math.max(at, Number(iova)), PAGE_SIZE);
  }
  return 0;
}

function checkEnd({ iova, length }: LoggedRange): void {
  if (iova + length > U64_MAX) {
    throw EOVERFLOW.because("the range ends beyond 2^64");
  }
}
