// SPDX-License-Identifier: GPL-2.0-only

/**
 * DMA buffers of BARs, for an iommufd to map: another device reaches the BAR
 * then. They are taken back whenever the device's memory does not answer.
 *
 * Linux: drivers/vfio/pci/vfio_pci_dmabuf.c.
 *
 * @module
 */

import {
  DmaBuf,
  type DmaBufExporter,
  type PhysicalRange,
} from "../../kernel/files/dma_buf.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { EINVAL, ENODEV, EOPNOTSUPP, EOVERFLOW } from "../../uapi/errno.ts";
import {
  O_ACCMODE,
  O_CLOEXEC,
  PAGE_SIZE,
  RLIMIT_NOFILE,
} from "../../uapi/mman.ts";
import { U64_MAX } from "../../lib/u64.ts";
import {
  VfioDeviceFeatureDmaBuf,
  VfioRegionDmaRange,
} from "../../uapi/vfio/feature.ts";
import type { VfioPciDevice } from "./pci_device.ts";
import { loadStruct } from "./structs.ts";

/** The buffer is longer than any address space that the DMA API hands out. */
const TOO_LONG = 2n ** 63n;

/** Ranges of a BAR that are shared. */
export class BarExporter implements DmaBufExporter {
  /** Bytes. */
  readonly size: number;
  readonly #ranges: readonly PhysicalRange[];
  readonly #forget: (exporter: BarExporter) => void;
  /** It is taken back (Linux: revoked). */
  #revoked: boolean;
  #buffer: DmaBuf | undefined;

  /** Taken back from the beginning where memory does not answer. */
  constructor(
    ranges: readonly PhysicalRange[],
    revoked: boolean,
    forget: (exporter: BarExporter) => void,
  ) {
    this.#ranges = ranges;
    this.#revoked = revoked;
    this.#forget = forget;
    this.size = ranges.reduce((sum, { length }) => sum + length, 0);
  }

  /** The file. */
  open(access: number): DmaBuf {
    return this.#buffer = new DmaBuf(this, access);
  }

  /** Its one range. Throws ENODEV while it is taken back, EOPNOTSUPP for several. (Linux: vfio_pci_dma_buf_iommufd_map.) */
  physicalRange(): PhysicalRange {
    if (this.#revoked) throw ENODEV.because("the device's memory is off");
    const [range, more] = this.#ranges;
    if (more !== undefined) {
      throw EOPNOTSUPP.because("the buffer has several ranges");
    }
    return range!;
  }

  /** Takes it back from all who use it, or lets others use it (Linux: vfio_pci_dma_buf_move). */
  move(revoked: boolean): void {
    if (revoked === this.#revoked) return;
    this.#revoked = revoked;
    this.#buffer?.invalidate();
  }

  /** Nobody uses it any more. */
  release(): void {
    this.#forget(this);
  }
}

/** FEATURE_DMA_BUF. Returns a descriptor. Throws EFAULT, EINVAL, ENODEV, EOVERFLOW, EMFILE. */
export function exportDmaBuf(
  device: VfioPciDevice,
  task: Task,
  uaddr: number,
): number {
  const layout = VfioDeviceFeatureDmaBuf;
  const { cmd } = loadStruct(task, uaddr, layout);
  const { regionIndex, openFlags, flags, nrRanges } = cmd;
  if (nrRanges === 0 || flags !== 0) {
    throw EINVAL.because("there are no ranges, or flags");
  }
  const bar = device.pci.device.bars[regionIndex];
  if (bar === undefined) throw ENODEV.because("the device has no such BAR");
  const ranges = loadRanges(task, uaddr + layout.size, nrRanges);
  checkRanges(ranges);
  if (bar.isIo) throw EINVAL.because("ports cannot be shared");
  const base = device.pci.barAddresses[regionIndex]!;
  const physical = ranges.map(({ offset, length }) => {
    if (BigInt(base) + offset + length > U64_MAX) {
      throw EOVERFLOW.because("the range ends beyond 2^64");
    }
    if (offset + length > BigInt(bar.size)) {
      throw EINVAL.because("the range ends beyond the BAR");
    }
    return { paddr: base + Number(offset), length: Number(length) };
  });
  const limit = task.rlimit(RLIMIT_NOFILE);
  const file = device.share(physical).open(openFlags & O_ACCMODE);
  try {
    return task.files.install(file, limit, (openFlags & O_CLOEXEC) !== 0);
  } catch (error) {
    file.put();
    throw error;
  }
}

function loadRanges(
  task: Task,
  uaddr: number,
  count: number,
): VfioRegionDmaRange[] {
  const { size } = VfioRegionDmaRange;
  const bytes = new Uint8Array(size);
  const ranges: VfioRegionDmaRange[] = [];
  for (let i = 0; i < count; i++) {
    task.mm.copyFromUser(bytes, uaddr + i * size);
    ranges.push(VfioRegionDmaRange.decode(bytes));
  }
  return ranges;
}

/** Linux: validate_dmabuf_input. */
function checkRanges(ranges: readonly VfioRegionDmaRange[]): void {
  const page = BigInt(PAGE_SIZE);
  let total = 0n;
  for (const { offset, length } of ranges) {
    if (length === 0n || offset % page !== 0n || length % page !== 0n) {
      throw EINVAL.because("a range is empty, or not of whole pages");
    }
    total += length;
  }
  if (total >= TOO_LONG) throw EINVAL.because("the ranges are too long");
}
