// SPDX-License-Identifier: GPL-2.0-only

/**
 * A driver that emulates a device: there is no hardware and no IOMMU, the
 * driver itself works on the memory that an IOAS maps (Linux: a mediated
 * device, such as samples/vfio-mdev/mtty.c or a graphics card's slices).
 *
 * This one adds up numbers. While it is switched on it keeps the pages of its
 * queue pinned, so that user space cannot take them from under it unnoticed:
 * an unmap asks it to let go, and waits for that.
 *
 * @module
 */

import {
  Access,
  IOMMUFD_ACCESS_RW_READ,
  IOMMUFD_ACCESS_RW_WRITE,
  iommufdCtxFromFd,
  PAGE_SIZE,
  type Process,
} from "@iommufd/kit";

/** The device: it adds 32-bit numbers of a queue of one page. */
export class EmulatedAdder {
  readonly #access: Access;
  /** Where the queue is, while the device is switched on. */
  #queue: bigint | undefined;

  /** For a process that has an iommufd: the driver got its descriptor by an ioctl of its own. */
  constructor(process: Process, iommufd: number) {
    const ctx = iommufdCtxFromFd(process, iommufd);
    this.#access = Access.create(ctx, {
      needsPinPages: true,
      unmap: (iova, length) => this.#letGo(iova, length),
    });
    // The access keeps the context from here on.
    ctx.put();
  }

  /** Whether it has a queue. */
  get isOn(): boolean {
    return this.#queue !== undefined;
  }

  /** Works on an IOAS from now on; what it had of another one it lets go. Throws ENOENT. */
  attach(ioasId: number): void {
    if (this.#access.ioas === undefined) this.#access.attach(ioasId);
    else this.#access.replace(ioasId);
  }

  /** Takes a page as its queue. Throws ENOENT where nothing is mapped, EPERM where it may not write, EINVAL within a page. */
  switchOn(queue: bigint): void {
    this.switchOff();
    const frames = new Int32Array(1);
    const flags = IOMMUFD_ACCESS_RW_WRITE;
    this.#access.pinPages(queue, BigInt(PAGE_SIZE), frames, flags);
    this.#queue = queue;
  }

  /** Lets the queue go. */
  switchOff(): void {
    if (this.#queue === undefined) return;
    this.#access.unpinPages(this.#queue, BigInt(PAGE_SIZE));
    this.#queue = undefined;
  }

  /** The doorbell: adds up as many numbers as the first one says, and writes the sum there. */
  ring(): void {
    if (this.#queue === undefined) return;
    const bytes = new Uint8Array(PAGE_SIZE);
    this.#access.rw(this.#queue, bytes, IOMMUFD_ACCESS_RW_READ);
    const numbers = new Uint32Array(bytes.buffer);
    const count = Math.min(numbers[0]!, numbers.length - 1);
    const sum = numbers.subarray(1, count + 1).reduce((a, b) => a + b, 0);
    const answer = new Uint8Array(Uint32Array.of(sum).buffer);
    this.#access.rw(this.#queue, answer, IOMMUFD_ACCESS_RW_WRITE);
  }

  /** Ends the device. */
  remove(): void {
    this.#access.release();
  }

  /** User space takes away a range, or all: see {@link AccessOps.unmap}. The queue may lie outside of it. */
  #letGo(iova: bigint, length: bigint): void {
    if (this.#queue === undefined) return;
    const last = this.#queue + BigInt(PAGE_SIZE) - 1n;
    if (last >= iova && this.#queue <= iova + length - 1n) this.switchOff();
  }
}
