// SPDX-License-Identifier: GPL-2.0-only

/**
 * The file of a group, with its ioctls, and the devices that it opens.
 *
 * @module
 */

import { ENODEV } from "../../impl/uapi/errno.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  AssertionFailure,
  assertOk,
  type TargetProcess,
} from "../harness/harness.ts";
import { cStruct } from "../ioctls/c_struct.ts";
import { DEVICE_NAMES, VfioFile } from "./vfio_ioctls.ts";

/** Numbers of a group's ioctls. */
export const GROUP = {
  GET_STATUS: 0x3b67,
  SET_CONTAINER: 0x3b68,
  UNSET_CONTAINER: 0x3b69,
  GET_DEVICE_FD: 0x3b6a,
} as const;

/** Groups that are tried. */
const MAX_GROUPS = 64;
/** Bytes of the memory for names: more than GET_DEVICE_FD takes. */
const SCRATCH = 8192;

/** Linux: `struct vfio_group_status`. */
export interface Status {
  argsz: number;
  flags: number;
}
/** Layout of {@link Status}. */
export const Status: Struct<Status> = cStruct("vfio_group_status", {
  argsz: "u32",
  flags: "u32",
});

/** An open group. */
export class GroupFile {
  /** The process that has it. */
  readonly process: TargetProcess;
  /** The descriptor. */
  readonly fd: number;
  /** Its number, as in its path. */
  readonly number: number;
  readonly #scratch: number;

  private constructor(
    process: TargetProcess,
    { fd, number, scratch }: { fd: number; number: number; scratch: number },
  ) {
    this.process = process;
    this.fd = fd;
    this.number = number;
    this.#scratch = scratch;
  }

  /** Opens the first group that there is, of those whose numbers are above one. */
  static async open(process: TargetProcess, above = -1): Promise<GroupFile> {
    // A machine may show its card when it is opened first.
    await (await VfioFile.open(process)).close();
    for (let number = above + 1; number < MAX_GROUPS; number++) {
      const fd = await process.open(`/dev/vfio/${number}`);
      if (fd < 0) continue;
      const prot = PROT_READ | PROT_WRITE;
      const flags = MAP_PRIVATE | MAP_ANONYMOUS;
      const scratch = await process.mmap(0, SCRATCH, prot, flags);
      assertOk(scratch, "mmap");
      return new GroupFile(process, { fd, number, scratch });
    }
    throw new AssertionFailure("a group", `below ${MAX_GROUPS}`, "none");
  }

  /** Its path. */
  get path(): string {
    return `/dev/vfio/${this.number}`;
  }

  /** Closes it. */
  async close(): Promise<void> {
    assertEq(await this.process.close(this.fd), 0, "close the group");
    assertEq(await this.process.munmap(this.#scratch, SCRATCH), 0, "munmap");
  }

  /** The flags of GET_STATUS. */
  async status(): Promise<number> {
    const bytes = Status.encode({ argsz: Status.size });
    const ret = await this.process.ioctl(this.fd, GROUP.GET_STATUS, bytes);
    assertEq(ret, 0, "GET_STATUS");
    return Status.decode(bytes).flags;
  }

  /** SET_CONTAINER with a descriptor; the result. */
  async setContainer(fd: number): Promise<number> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, fd, true);
    return await this.#at(GROUP.SET_CONTAINER, bytes);
  }

  /** UNSET_CONTAINER; the result. */
  unsetContainer(): Promise<number> {
    return this.process.ioctlArg(this.fd, GROUP.UNSET_CONTAINER, 0);
  }

  /** GET_DEVICE_FD with a name; the result. */
  deviceFd(name: string): Promise<number> {
    const bytes = new TextEncoder().encode(`${name}\0`);
    return this.#at(GROUP.GET_DEVICE_FD, bytes);
  }

  /** The name of its device, which is opened for that. The group must be in a container. */
  async name(): Promise<string> {
    const [name, device] = await this.#find();
    await device.close();
    return name;
  }

  /** Opens its device, once more if it is open. */
  async device(): Promise<VfioFile> {
    const [, device] = await this.#find();
    return device;
  }

  async #find(): Promise<[name: string, device: VfioFile]> {
    for (const name of DEVICE_NAMES) {
      const fd = await this.deviceFd(name);
      if (fd === -ENODEV.code) continue;
      assertOk(fd, `GET_DEVICE_FD of ${name}`);
      return [name, new VfioFile(this.process, fd)];
    }
    throw new AssertionFailure("a device", DEVICE_NAMES.join(), "none");
  }

  /** An ioctl with the address of bytes. */
  async #at(cmd: number, bytes: Uint8Array): Promise<number> {
    await this.process.poke(this.#scratch, bytes);
    return await this.process.ioctlArg(this.fd, cmd, this.#scratch);
  }
}
