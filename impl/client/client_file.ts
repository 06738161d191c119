// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the typed clients have in common: an open file of a process.
 *
 * @module
 */

import type { Process } from "../kernel/simulated/process.ts";
import type { IoctlStruct } from "../uapi/ioctl.ts";
import { O_CLOEXEC, O_RDWR } from "../uapi/mman.ts";
import type { Values } from "../uapi/layout/struct.ts";
import { toU32 } from "./arguments.ts";
import { check, Descriptor } from "./descriptor.ts";

/** The descriptor of a client's file, for the calls of its own. */
export let descriptorOf: (file: ClientFile) => Descriptor;

/** An open file of a process. */
export class ClientFile implements Disposable {
  /** The process that makes the calls. */
  readonly process: Process;
  /** The descriptor, for calls that have no method here. */
  readonly fd: number;
  readonly #descriptor: Descriptor;

  static {
    descriptorOf = (file) => file.#descriptor;
  }

  /** Takes over an open descriptor. */
  constructor(process: Process, fd: number) {
    this.process = process;
    this.fd = toU32("fd", fd);
    this.#descriptor = new Descriptor(process, fd);
  }

  /** Closes the descriptor. Idempotent. */
  close(): void {
    this.#descriptor.close();
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * An ioctl that has no method here, such as one that you add; returns the
   * struct as the kernel left it. What has no default must be given.
   */
  call<T extends object>(layout: IoctlStruct<T>, values: Values<T>): T {
    return this.#descriptor.call(layout, values);
  }
}

/** Opens a path for reading and writing; returns the descriptor. Throws what opening throws. */
export function openPath(process: Process, path: string): number {
  return check(process, process.open(path, O_RDWR | O_CLOEXEC), "open", {
    path,
  });
}
