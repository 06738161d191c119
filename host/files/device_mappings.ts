// SPDX-License-Identifier: GPL-2.0-only

/**
 * What programs have mapped of the memory of devices.
 *
 * The host does not tell when a mapping is gone. But each is made of an opening
 * of its own of the memory's file, with a lock of its own that goes when the
 * opening does: with the last part that is mapped anywhere, also in a child.
 *
 * Nor does it tell what programs store there: the devices look for that.
 *
 * @module
 */

import type { DeviceMapping, Polled } from "../../impl/kernel/files/file.ts";
import { O_CLOEXEC, O_RDWR } from "../../impl/uapi/mman.ts";
import type { HostObject } from "../memory/shared/host_object.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import { type Block, must, type Sys } from "../sys/sys.ts";

/** Commands of fcntl: locks of an opening, not of a process. */
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** struct flock. */
const FLOCK = { size: 32, type: 0, start: 8, length: 16 } as const;

interface Mapped {
  readonly object: HostObject;
  readonly device: DeviceMapping;
  /** What is to be done when it is gone. */
  readonly gone: () => void;
}

/** Those that are there, by the byte that is locked. */
export class DeviceMappings {
  readonly #sys: Sys;
  readonly #lock: Block;
  readonly #mapped = new Map<number, Mapped>();
  /** What has to look for stores, each once. */
  #polled: readonly Polled[] = [];
  #lastByte = 0;

  /** None yet. */
  constructor(sys: Sys) {
    this.#sys = sys;
    this.#lock = sys.alloc(FLOCK.size);
  }

  /** An opening of the memory, for one mapping: as long as anybody has it, it counts as mapped. `gone` is called when it is gone. Throws a SysError. */
  open(
    object: HostObject,
    device: DeviceMapping | undefined,
    gone: () => void = () => {},
  ): number {
    const path = `/proc/self/fd/${object.fd}`;
    const fd = must(
      this.#sys.openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC),
      "opening the memory of a device",
    );
    if (device === undefined) return fd;
    const byte = ++this.#lastByte;
    must(this.#fcntl(fd, F_OFD_SETLK, byte), "locking it");
    device.open();
    object.device = device;
    this.#mapped.set(byte, { object, device, gone });
    this.#changed();
    return fd;
  }

  /** Whether there is a device that has to look for stores. */
  get arePolled(): boolean {
    return this.#polled.length > 0;
  }

  /** Has the devices look for stores; returns whether there was one. */
  poll(): boolean {
    let found = false;
    for (const device of this.#polled) if (device.poll()) found = true;
    return found;
  }

  /** Looks which are gone. */
  settle(): void {
    if (this.#mapped.size === 0) return;
    const before = this.#mapped.size;
    for (const [byte, { object, device, gone }] of this.#mapped) {
      must(this.#fcntl(object.fd, F_OFD_GETLK, byte), "looking for a lock");
      if (this.#lock.view.getInt16(FLOCK.type, true) !== F_UNLCK) continue;
      this.#mapped.delete(byte);
      gone();
      device.close();
    }
    if (this.#mapped.size < before) this.#changed();
  }

  /** All are gone: there are no programs any more. */
  releaseAll(): void {
    for (const { device, gone } of this.#mapped.values()) {
      gone();
      device.close();
    }
    this.#mapped.clear();
    this.#changed();
  }

  #changed(): void {
    const polled = new Set<Polled>();
    for (const { device } of this.#mapped.values()) {
      if (device.polled !== undefined) polled.add(device.polled);
    }
    this.#polled = [...polled];
  }

  #fcntl(fd: number, command: number, byte: number): number {
    const { bytes, view, address } = this.#lock;
    bytes.fill(0);
    view.setInt16(FLOCK.type, F_WRLCK, true);
    view.setBigInt64(FLOCK.start, BigInt(byte), true);
    view.setBigInt64(FLOCK.length, 1n, true);
    return this.#sys.call(this.#sys.nr.fcntl, fd, command, address);
  }
}
