// SPDX-License-Identifier: GPL-2.0-only

/**
 * A device that does what its program asks for: to read and write it at an
 * offset is DMA at that IOVA, of the first mock device.
 *
 * @module
 */

import type { Kernel } from "../../impl/kernel.ts";
import { File } from "../../impl/kernel/files/file.ts";
import type { Task } from "../../impl/kernel/interfaces/task.ts";
import { iommuIovaToPhys } from "../../impl/iommu/map.ts";
import type { Pfn } from "../../impl/lib/brands.ts";
import { EFAULT } from "../../impl/uapi/errno.ts";
import { PAGE_SIZE } from "../../impl/uapi/mman.ts";

/** Where programs find it. */
const DMA_PATH = "/dev/dma";

/** An opening of it. */
export class DmaFile extends File {
  readonly #kernel: Kernel;

  /** For the devices of a kernel. */
  constructor(kernel: Kernel) {
    super();
    this.#kernel = kernel;
  }

  /** Lets programs open it. */
  static register(kernel: Kernel): void {
    kernel.registerDevice(DMA_PATH, () => new DmaFile(kernel));
  }

  override get hasOffsets(): boolean {
    return true;
  }

  override read(task: Task, uaddr: number, count: number, iova = 0): number {
    const { frames } = this.#kernel;
    const bytes = new Uint8Array(count);
    this.#eachPage(iova, bytes, (pfn, at, part) => frames.read(pfn, at, part));
    task.mm.putUser(uaddr, bytes);
    return count;
  }

  override write(task: Task, uaddr: number, count: number, iova = 0): number {
    const { frames } = this.#kernel;
    const bytes = new Uint8Array(count);
    task.mm.getUser(bytes, uaddr);
    this.#eachPage(iova, bytes, (pfn, at, part) => frames.write(pfn, at, part));
    return count;
  }

  /** Throws EFAULT where the device's domain maps nothing. */
  #eachPage(
    iova: number,
    bytes: Uint8Array,
    visit: (pfn: Pfn, offset: number, part: Uint8Array) => void,
  ): void {
    const [first] = this.#kernel.mock.devices;
    const domain = first?.[1].group?.domain;
    for (let done = 0; done < bytes.length;) {
      const at = iova + done;
      const paddr = domain && iommuIovaToPhys(domain, BigInt(at));
      if (!paddr) {
        throw EFAULT.because("the device's domain maps nothing there");
      }
      const offset = paddr % PAGE_SIZE;
      const end = Math.min(bytes.length, done + PAGE_SIZE - offset);
      const pfn = (paddr - offset) / PAGE_SIZE as Pfn;
      visit(pfn, offset, bytes.subarray(done, end));
      done = end;
    }
  }
}
