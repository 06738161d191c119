// SPDX-License-Identifier: GPL-2.0-only

/**
 * What descriptors are open to, and what ids name there: as much as the calls
 * themselves tell.
 *
 * @module
 */

import { VFIO_GROUP_GET_DEVICE_FD } from "../../impl/uapi/vfio/device.ts";
import type { FileKind, Named } from "../../impl/uapi/layout/roles.ts";
import type { Call } from "../../selftests/target/verbs.ts";

/** What a descriptor is open to. */
export type Kind =
  | FileKind
  /** A container of VFIO's own. */
  | "container"
  /** A group of VFIO's devices. */
  | "group"
  /** A VFIO device. */
  | "device"
  /** Nothing that has ioctls of these. */
  | "other";

/** An open file: descriptors that are copies of each other have one. */
export interface OpenFile {
  /** What it is. */
  readonly kind: Kind;
  /** What its ids name; of a device those of the iommufd that it is bound to. */
  objects: Map<number, Named>;
}

/** A file that was opened just now. */
export function opened(kind: Kind): OpenFile {
  return { kind, objects: new Map() };
}

/** The descriptors of all processes of a target, until it is reset. */
export class OpenFiles {
  readonly #container: Kind;
  readonly #processes = new Map<number, Map<number, OpenFile>>();

  /** `container` is what `/dev/vfio/vfio` opens. */
  constructor(container: Kind) {
    this.#container = container;
  }

  /** What a descriptor is open to; undefined for nothing that is known. */
  get(process: number, fd: number): OpenFile | undefined {
    return this.#processes.get(process)?.get(fd);
  }

  /** A descriptor is open to something from now on. */
  set(process: number, fd: number, file: OpenFile): void {
    this.#of(process).set(fd, file);
  }

  /** Follows a call that came to `result`; of ioctls the one that returns a descriptor. */
  follow(process: number, { verb, args }: Call, result: number): void {
    const [first, second] = args as number[];
    if (result < 0) return;
    switch (verb.name) {
      case "open":
        return this.set(process, result, opened(this.#kindOf(String(first))));
      case "memfd":
      case "eventfd":
        return this.set(process, result, opened("other"));
      case "pipe":
        for (const fd of args[0] as number[]) {
          this.set(process, fd, opened("other"));
        }
        return;
      case "dup":
      case "dup2":
      case "dup3":
        return this.#copy(process, first!, process, result);
      case "passfd":
        return this.#copy(process, first!, second!, result);
      case "close":
        this.#of(process).delete(first!);
        return;
      case "ioctl":
      case "ioctlarg":
        if (second !== VFIO_GROUP_GET_DEVICE_FD) return;
        return this.set(process, result, opened("device"));
      case "fork":
        this.#processes.set(result, new Map(this.#of(process)));
    }
  }

  #kindOf(path: string): Kind {
    if (path === "/dev/iommu") return "iommufd";
    if (path === "/dev/vfio/vfio") return this.#container;
    if (path.startsWith("/dev/vfio/devices/")) return "device";
    return path.startsWith("/dev/vfio/") ? "group" : "other";
  }

  #copy(process: number, fd: number, to: number, copy: number): void {
    this.set(to, copy, this.get(process, fd) ?? opened("other"));
  }

  #of(process: number): Map<number, OpenFile> {
    let descriptors = this.#processes.get(process);
    if (!descriptors) {
      this.#processes.set(process, descriptors = new Map());
    }
    return descriptors;
  }
}
