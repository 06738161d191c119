// SPDX-License-Identifier: GPL-2.0-only

/**
 * Test operations on DMA buffers, and the driver behind them.
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import {
  DmaBuf,
  type DmaBufExporter,
  type PhysicalRange,
} from "../../kernel/files/dma_buf.ts";
import type { MemoryObject } from "../../kernel/interfaces/memory_object.ts";
import { EBADF, EINVAL, ENODEV, EOPNOTSUPP } from "../../uapi/errno.ts";
import {
  HPAGE_SIZE,
  O_ACCMODE,
  O_CLOEXEC,
  PAGE_SIZE,
  RLIMIT_NOFILE,
} from "../../uapi/mman.ts";
import type { TestDmabufGet, TestDmabufRevoke } from "../../uapi/selftest.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

/** Longest buffer, bytes: what is contiguous for certain. */
const MAX_LENGTH = HPAGE_SIZE;

/** A buffer of the selftest module (Linux: struct iommufd_test_dma_buf). */
class TestDmaBuf implements DmaBufExporter {
  readonly size: number;
  /** Whether nobody may have it. */
  revoked = false;
  /** A huge page, of which it is the first part. */
  readonly #memory: MemoryObject;

  /** Throws ENOMEM. */
  constructor({ machine }: KernelCore, size: number) {
    this.size = size;
    this.#memory = machine.createObject(HPAGE_SIZE);
    this.#memory.extend(MAX_LENGTH);
    this.#memory.frameAt(0);
  }

  physicalRange(): PhysicalRange {
    if (this.revoked) throw ENODEV.because("the DMA buffer was taken back");
    const paddr = this.#memory.frameAt(0) * PAGE_SIZE;
    return { paddr, length: this.size };
  }

  release(): void {
    this.#memory.put();
  }
}

/** DMABUF_GET. */
export function testDmabufGet(
  ucmd: CommandBuffer,
  { length, openFlags }: TestDmabufGet,
): void {
  const { process } = ucmd;
  const { kernel } = ucmd.ctx;
  const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (size === 0 || size > MAX_LENGTH) {
    throw EINVAL.because("the length is 0 or above 2 MiB");
  }
  kernel.step("selftest.dmabuf");
  kernel.step("dmabuf.alloc");
  const exporter = new TestDmaBuf(kernel, size);
  const file = new DmaBuf(exporter, openFlags & O_ACCMODE);
  try {
    const limit = process.rlimit(RLIMIT_NOFILE);
    const closes = (openFlags & O_CLOEXEC) !== 0;
    ucmd.result = process.files.install(file, limit, closes);
  } catch (error) {
    file.put();
    throw error;
  }
}

/** DMABUF_REVOKE. */
export function testDmabufRevoke(
  { process }: CommandBuffer,
  { dmabufFd, revoked }: TestDmabufRevoke,
): void {
  const file = process.files.get(dmabufFd);
  if (file === undefined) throw EBADF.because("the descriptor is not open");
  if (!(file instanceof DmaBuf)) throw EINVAL.because("it is no DMA buffer");
  const { exporter } = file;
  if (!(exporter instanceof TestDmaBuf)) {
    throw EOPNOTSUPP.because("the DMA buffer is of another driver");
  }
  exporter.revoked = revoked !== 0;
  file.invalidate();
}
