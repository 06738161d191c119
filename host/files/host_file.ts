// SPDX-License-Identifier: GPL-2.0-only

/**
 * A file of the host that a program names in a call of the model's, such as a
 * memfd to be mapped, or an eventfd to be signalled.
 *
 * @module
 */

import { type Eventfd, File } from "../../impl/kernel/files/file.ts";
import type { HostMachine } from "../memory/machine.ts";
import type { HostObject } from "../memory/shared/host_object.ts";
import { O_ACCMODE } from "../../impl/uapi/mman.ts";
import type { Sys } from "../sys/sys.ts";
import type { Eventfds } from "./eventfds.ts";

const F_GETFL = 3;
const F_DUPFD_CLOEXEC = 1030;

/** What a descriptor of ours, taken from a program, is open to. */
export class HostFile extends File implements Eventfd {
  readonly #sys: Sys;
  readonly #machine: HostMachine;
  readonly #eventfds: Eventfds;
  readonly #fd: number;

  /** Takes over the descriptor. */
  constructor(sys: Sys, machine: HostMachine, eventfds: Eventfds, fd: number) {
    super(sys.call(sys.nr.fcntl, fd, F_GETFL) & O_ACCMODE);
    this.#sys = sys;
    this.#machine = machine;
    this.#eventfds = eventfds;
    this.#fd = fd;
  }

  /** Its pages, if it is a file of memory. */
  override get pinnable(): HostObject | undefined {
    const copy = this.#sys.call(
      this.#sys.nr.fcntl,
      this.#fd,
      F_DUPFD_CLOEXEC,
      0,
    );
    return copy < 0 ? undefined : this.#machine.objectOfFd(copy);
  }

  /** Itself if it is one: what follows is for eventfds alone. */
  override get eventfd(): this | undefined {
    return this.#eventfds.has(this.#fd) ? this : undefined;
  }

  override poll(): number {
    return this.#eventfds.poll(this.#fd);
  }

  override onPollChange(wake: () => void): () => void {
    return this.#eventfds.onSignal(this.#fd, wake);
  }

  signal(): void {
    this.#eventfds.signal(this.#fd);
  }

  take(): bigint {
    return this.#eventfds.take(this.#fd);
  }

  /** Closes it. */
  protected override release(): void {
    this.#sys.close(this.#fd);
  }
}
