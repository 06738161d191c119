// SPDX-License-Identifier: GPL-2.0-only

/**
 * A file of the host that a program names in a call of the model's, such as a
 * memfd to be mapped.
 *
 * @module
 */

import { File } from "../../impl/kernel/files/file.ts";
import type { HostMachine } from "../memory/machine.ts";
import type { HostObject } from "../memory/shared/host_object.ts";
import { O_ACCMODE } from "../../impl/uapi/mman.ts";
import type { Sys } from "../sys/sys.ts";

const F_GETFL = 3;
const F_DUPFD_CLOEXEC = 1030;

/** What a descriptor of ours, taken from a program, is open to. */
export class HostFile extends File {
  readonly #sys: Sys;
  readonly #machine: HostMachine;
  readonly #fd: number;

  /** Takes over the descriptor. */
  constructor(sys: Sys, machine: HostMachine, fd: number) {
    super(sys.call(sys.nr.fcntl, fd, F_GETFL) & O_ACCMODE);
    this.#sys = sys;
    this.#machine = machine;
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

  /** Closes it. */
  protected override release(): void {
    this.#sys.close(this.#fd);
  }
}
