// SPDX-License-Identifier: GPL-2.0-only

/**
 * Eventfds that the kernel signals, or waits for, on behalf of a device.
 *
 * Linux: eventfd_ctx_fdget, drivers/vfio/virqfd.c.
 *
 * @module
 */

import type { Eventfd } from "../../kernel/files/file.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { EBUSY, EINVAL } from "../../uapi/errno.ts";
import { POLLIN } from "../../uapi/mman.ts";

/** The eventfd behind a descriptor, with a reference. Throws EBADF, EINVAL for another file. */
export function eventfdOf(task: Task, fd: number): Eventfd {
  const { eventfd } = task.files.lookup(fd);
  if (eventfd === undefined) {
    throw EINVAL.because("the descriptor is no eventfd");
  }
  return eventfd.get();
}

/** A place for one eventfd that is signalled. */
export class Trigger {
  #eventfd: Eventfd | undefined;

  /** Whether there is one. */
  get isSet(): boolean {
    return this.#eventfd !== undefined;
  }

  /** Puts another one there, or none; takes over its reference. */
  replace(eventfd: Eventfd | undefined): void {
    this.#eventfd?.put();
    this.#eventfd = eventfd;
  }

  /** Adds 1 to it, if there is one. */
  signal(): void {
    this.#eventfd?.signal();
  }
}

/**
 * A place for one eventfd that is waited for: whenever it is signalled, `act`
 * is called and it is 0 again. What it has counted before stays there until
 * then, though `act` is called for it. What `act` itself brings it to count
 * stays there too: it might go on for ever. (Linux: struct virqfd;
 * eventfd_signal does not recurse either.)
 */
export class Waiter {
  readonly #act: () => void;
  #eventfd: Eventfd | undefined;
  #stop = () => {};
  #isActing = false;

  /** None yet. */
  constructor(act: () => void) {
    this.#act = act;
  }

  /** Waits for the eventfd, whose reference it takes over; it may have been signalled before. Throws EBUSY if there is one, the reference dropped. */
  enable(eventfd: Eventfd): void {
    if (this.#eventfd !== undefined) {
      eventfd.put();
      throw EBUSY.because("another eventfd has the place");
    }
    this.#eventfd = eventfd;
    const counts = () => (eventfd.poll() & POLLIN) !== 0;
    this.#stop = eventfd.onPollChange(() => {
      if (this.#isActing || !counts()) return;
      eventfd.take();
      this.#actOnce();
    });
    if (counts()) this.#actOnce();
  }

  #actOnce(): void {
    this.#isActing = true;
    try {
      this.#act();
    } finally {
      this.#isActing = false;
    }
  }

  /** Waits no more. */
  disable(): void {
    this.#stop();
    this.#eventfd?.put();
    this.#eventfd = undefined;
  }
}
