// SPDX-License-Identifier: GPL-2.0-only

/**
 * What user space can map of an iommufd: memory that drivers registered, each
 * piece at an offset of its own and as a whole.
 *
 * A mapping is a user of the object that the memory was registered for, and
 * keeps the context: both stay until the last part of it is unmapped, in
 * whatever process it is then.
 *
 * Linux: _iommufd_alloc_mmap of driver.c, iommufd_fops_mmap of main.c.
 *
 * @module
 */

import type { FileMapping, MapRequest } from "../../kernel/files/file.ts";
import type { KernelCore } from "../../kernel/core.ts";
import type { MemoryObject } from "../../kernel/interfaces/memory_object.ts";
import { EINVAL, ENXIO, EPERM } from "../../uapi/errno.ts";
import { PAGE_SIZE, PROT_EXEC } from "../../uapi/mman.ts";
import type { IommufdObject } from "../objects/object.ts";

/** Memory at an offset (Linux: struct iommufd_mmap). */
interface Region {
  /** Where it can be mapped, bytes. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** The memory, from its first page on. */
  readonly memory: MemoryObject;
  /** Stays while it is mapped. */
  readonly owner: IommufdObject;
}

/** The regions of one context (Linux: iommufd_ctx.mt_mmap). */
export class MmapRegions {
  readonly #kernel: KernelCore;
  /** By offset. */
  readonly #regions: Region[] = [];

  /** None. */
  constructor(kernel: KernelCore) {
    this.#kernel = kernel;
  }

  /**
   * Gives memory the lowest offset, from the second page on, behind which
   * `length` bytes are free. Throws EINVAL for a length that is 0 or not of
   * whole pages, ENOMEM.
   */
  alloc(owner: IommufdObject, memory: MemoryObject, length: number): number {
    if (length <= 0 || length % PAGE_SIZE !== 0) {
      throw EINVAL.because("the memory is not of whole pages");
    }
    this.#kernel.step("mmap.region");
    let offset = PAGE_SIZE;
    let index = 0;
    for (const region of this.#regions) {
      if (region.offset - offset >= length) break;
      offset = region.offset + region.length;
      index++;
    }
    this.#regions.splice(index, 0, { offset, length, memory, owner });
    return offset;
  }

  /** Forgets the memory at an offset. A warning if it is not the owner's. */
  free(owner: IommufdObject, offset: number): void {
    const index = this.#regions.findIndex((region) => region.offset === offset);
    this.#kernel.warnings.on(
      this.#regions[index]?.owner !== owner,
      `iommufd: a driver gives back memory at ${offset} that it has not registered`,
    );
    if (index >= 0) this.#regions.splice(index, 1);
  }

  /**
   * What is mapped: a region as a whole. Throws EINVAL for a private mapping,
   * EPERM for code, ENXIO for anything but a region. (Linux: iommufd_fops_mmap.)
   */
  map({ offset, length, prot, shared }: MapRequest): FileMapping {
    if (!shared) throw EINVAL.because("memory of a device cannot be private");
    if (prot & PROT_EXEC) throw EPERM.because("it is not for code");
    const region = this.#regions.find((region) => region.offset === offset);
    if (region === undefined || region.length !== length) {
      throw ENXIO.because("no memory of that length is at that offset");
    }
    const { memory: object, owner } = region;
    return {
      object,
      pageIndex: 0,
      device: {
        open() {
          owner.ref();
          owner.ctx.get();
        },
        close() {
          owner.unref();
          owner.ctx.put();
        },
      },
    };
  }
}
