// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a queue of page faults and a queue of a virtual IOMMU's events have in
 * common: an object with a descriptor that user space reads from.
 *
 * The descriptor is a user of the object and keeps the context: closing
 * `/dev/iommu` ends nothing while it is open, and the object cannot be
 * destroyed before it is closed.
 *
 * Linux: struct iommufd_eventq, and the end of drivers/iommu/iommufd/eventq.c.
 *
 * @module
 */

import { File } from "../../kernel/files/file.ts";
import { POLLIN, POLLRDNORM, RLIMIT_NOFILE } from "../../uapi/mman.ts";
import { IommufdObject } from "../objects/object.ts";
import type { CommandBuffer } from "../objects/ucmd.ts";

/** A queue that user space reads (Linux: struct iommufd_eventq). */
export abstract class EventQueue extends IommufdObject {
  /** Its descriptor, while it is open. */
  file: File | undefined;

  /** For a message. */
  override get user(): string {
    return "its descriptor";
  }

  /** Whether there is something to read. */
  abstract get isReadable(): boolean;

  /** Closes its descriptor, which nobody has got, and destroys it. */
  override abort(): void {
    this.file?.put();
    super.abort();
  }
}

/** An event queue as an open file. */
export abstract class EventQueueFile extends File {
  readonly #queue: EventQueue;

  /** Takes its references. */
  constructor(queue: EventQueue) {
    super();
    this.#queue = queue;
    queue.file = this;
    queue.ref();
    queue.ctx.get();
  }

  /** Readable while there is something to read (Linux: iommufd_eventq_fops_poll). */
  override poll(): number {
    return this.#queue.isReadable ? POLLIN | POLLRDNORM : 0;
  }

  /** Linux: iommufd_eventq_fops_release. */
  protected override release(): void {
    // The context may go with the last reference, and the queue with it.
    const { ctx } = this.#queue;
    this.#queue.file = undefined;
    this.#queue.unref();
    ctx.put();
  }
}

/**
 * Gives a new queue its descriptor, which exists only when nothing can fail any
 * more: `makeFile` makes the file, `answer` gets its number, which goes back to
 * the caller with the struct. Throws ENOMEM, EMFILE, EFAULT.
 * (Linux: iommufd_eventq_init.)
 */
export function openEventQueue(
  ucmd: CommandBuffer,
  makeFile: () => EventQueueFile,
  answer: (fd: number) => void,
): void {
  const { ctx, process } = ucmd;
  ctx.kernel.step("file.anonymous");
  const file = makeFile();
  const limit = process.rlimit(RLIMIT_NOFILE);
  process.files.answerAndInstall(file, limit, (fd) => {
    answer(fd);
    ucmd.respond();
  });
}
