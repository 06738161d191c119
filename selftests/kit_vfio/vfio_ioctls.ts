// SPDX-License-Identifier: GPL-2.0-only

/**
 * A VFIO device that is opened by its own path, with its ioctls as typed,
 * asserting calls.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  type TargetProcess,
} from "../harness/harness.ts";
import { cStruct } from "../ioctls/c_struct.ts";
import { assertResult, type Iommufd } from "../ioctls/ioctls.ts";

/** Where the device is. */
export const VFIO_DEVICE_PATH = "/dev/vfio/devices/vfio0";

/** The names that the device may have. */
export const DEVICE_NAMES: readonly string[] = [
  "0000:00:04.0",
  "0000:00:05.0",
  "0000:01:00.0",
];

/** Numbers of the ioctls. */
export const VFIO = {
  GET_INFO: 0x3b6b,
  GET_REGION_INFO: 0x3b6c,
  GET_IRQ_INFO: 0x3b6d,
  SET_IRQS: 0x3b6e,
  RESET: 0x3b6f,
  FEATURE: 0x3b75,
  BIND: 0x3b76,
  ATTACH: 0x3b77,
  DETACH: 0x3b78,
} as const;

/** Indexes of regions. */
export const REGION = { BAR0: 0, ROM: 6, CONFIG: 7, VGA: 8 } as const;
/** Kinds of interrupts. */
export const IRQ = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 } as const;
/** What SET_IRQS has as data, and does. */
export const SET = {
  NONE: 1,
  BOOL: 2,
  EVENTFD: 4,
  MASK: 8,
  UNMASK: 16,
  TRIGGER: 32,
} as const;

/** Linux: `struct vfio_device_bind_iommufd`. */
export interface Bind {
  argsz: number;
  flags: number;
  iommufd: number;
  outDevid: number;
  tokenUuidPtr: bigint;
}
/** Layout of {@link Bind}. */
export const Bind: Struct<Bind> = cStruct("vfio_device_bind_iommufd", {
  argsz: "u32",
  flags: "u32",
  iommufd: "s32",
  outDevid: "u32",
  tokenUuidPtr: "u64",
});

/** Linux: `struct vfio_device_attach_iommufd_pt`. */
export interface Attach {
  argsz: number;
  flags: number;
  ptId: number;
  pasid: number;
}
/** Layout of {@link Attach}. */
export const Attach: Struct<Attach> = cStruct("vfio_device_attach_iommufd_pt", {
  argsz: "u32",
  flags: "u32",
  ptId: "u32",
  pasid: "u32",
});

/** Linux: `struct vfio_device_detach_iommufd_pt`. */
export interface Detach {
  argsz: number;
  flags: number;
  pasid: number;
}
/** Layout of {@link Detach}. */
export const Detach: Struct<Detach> = cStruct("vfio_device_detach_iommufd_pt", {
  argsz: "u32",
  flags: "u32",
  pasid: "u32",
});

/** Linux: `struct vfio_device_info`. */
export interface Info {
  argsz: number;
  flags: number;
  numRegions: number;
  numIrqs: number;
  capOffset: number;
  pad: number;
}
/** Layout of {@link Info}. */
export const Info: Struct<Info> = cStruct("vfio_device_info", {
  argsz: "u32",
  flags: "u32",
  numRegions: "u32",
  numIrqs: "u32",
  capOffset: "u32",
  pad: "u32",
});

/** Linux: `struct vfio_region_info`, and the header of a capability behind it. */
export interface RegionInfo {
  argsz: number;
  flags: number;
  index: number;
  capOffset: number;
  /** C: `size`. */
  length: bigint;
  offset: bigint;
  capId: number;
  capVersion: number;
  capNext: number;
}
/** Layout of {@link RegionInfo}. */
export const RegionInfo: Struct<RegionInfo> = cStruct("vfio_region_info", {
  argsz: "u32",
  flags: "u32",
  index: "u32",
  capOffset: "u32",
  length: "u64",
  offset: "u64",
  capId: "u16",
  capVersion: "u16",
  capNext: "u32",
});

/** Linux: `struct vfio_irq_info`. */
export interface IrqInfo {
  argsz: number;
  flags: number;
  index: number;
  count: number;
}
/** Layout of {@link IrqInfo}. */
export const IrqInfo: Struct<IrqInfo> = cStruct("vfio_irq_info", {
  argsz: "u32",
  flags: "u32",
  index: "u32",
  count: "u32",
});

/** Linux: `struct vfio_irq_set`. */
export interface IrqSet {
  argsz: number;
  flags: number;
  index: number;
  start: number;
  count: number;
}
/** Layout of {@link IrqSet}. */
export const IrqSet: Struct<IrqSet> = cStruct("vfio_irq_set", {
  argsz: "u32",
  flags: "u32",
  index: "u32",
  start: "u32",
  count: "u32",
});

/** An open device. */
export class VfioFile {
  /** The process that has it open. */
  readonly process: TargetProcess;
  /** The descriptor. */
  readonly fd: number;

  /** For {@link VfioFile.open}. */
  constructor(process: TargetProcess, fd: number) {
    this.process = process;
    this.fd = fd;
  }

  /** Opens the device. */
  static async open(process: TargetProcess): Promise<VfioFile> {
    const fd = await process.open(VFIO_DEVICE_PATH, O_RDWR);
    return new VfioFile(process, assertOk(fd, `open ${VFIO_DEVICE_PATH}`));
  }

  /** Closes it. */
  async close(): Promise<void> {
    assertEq(await this.process.close(this.fd), 0, "close the device");
  }

  /** An ioctl with raw bytes. */
  async ioctl(cmd: number, bytes: Uint8Array, errno?: Errno): Promise<void> {
    const what = `ioctl 0x${cmd.toString(16)}`;
    assertResult(
      await this.process.ioctl(this.fd, cmd, bytes),
      errno,
      what,
    );
  }

  /** An ioctl with a struct, whose argsz is its length unless given; returns the struct as the kernel left it. */
  async call<T extends { argsz: number }>(
    layout: Struct<T>,
    cmd: number,
    values: Partial<T>,
    errno?: Errno,
  ): Promise<T> {
    const bytes = layout.encode({ argsz: layout.size, ...values });
    await this.ioctl(cmd, bytes, errno);
    return layout.decode(bytes);
  }

  /** BIND_IOMMUFD; returns the id of the device. */
  async bind(
    iommufd: number,
    errno?: Errno,
    values: Partial<Bind> = {},
  ): Promise<number> {
    const all = { argsz: 16, iommufd, ...values };
    return (await this.call(Bind, VFIO.BIND, all, errno)).outDevid;
  }

  /** ATTACH_IOMMUFD_PT; returns the id that the kernel left there. */
  async attach(
    ptId: number,
    errno?: Errno,
    values: Partial<Attach> = {},
  ): Promise<number> {
    const all = { argsz: 12, ptId, ...values };
    return (await this.call(Attach, VFIO.ATTACH, all, errno)).ptId;
  }

  /** DETACH_IOMMUFD_PT. */
  async detach(errno?: Errno, values: Partial<Detach> = {}): Promise<void> {
    await this.call(Detach, VFIO.DETACH, { argsz: 8, ...values }, errno);
  }

  /** GET_REGION_INFO with room for the struct only. */
  region(index: number, errno?: Errno): Promise<RegionInfo> {
    const values = { argsz: 32, index };
    return this.call(RegionInfo, VFIO.GET_REGION_INFO, values, errno);
  }

  /** GET_IRQ_INFO. */
  irq(index: number, errno?: Errno): Promise<IrqInfo> {
    return this.call(IrqInfo, VFIO.GET_IRQ_INFO, { index }, errno);
  }

  /** SET_IRQS with 32-bit words as data. `values` may say another argsz. */
  async setIrqs(
    values: Partial<IrqSet>,
    data: readonly number[] = [],
    errno?: Errno,
  ): Promise<void> {
    const isBytes = ((values.flags ?? 0) & SET.BOOL) !== 0;
    const words = isBytes
      ? Uint8Array.from(data)
      : new Uint8Array(Int32Array.from(data).buffer);
    const argsz = IrqSet.size + words.length;
    const bytes = new Uint8Array(argsz);
    bytes.set(IrqSet.encode({ argsz, ...values }));
    bytes.set(words, IrqSet.size);
    await this.ioctl(VFIO.SET_IRQS, bytes, errno);
  }

  /** Reads from a region; returns the result. */
  pread(index: number, offset: number, into: Uint8Array): Promise<number> {
    return this.process.pread(this.fd, into, index * 2 ** 40 + offset);
  }

  /** Writes to a region; returns the result. */
  pwrite(index: number, offset: number, bytes: Uint8Array): Promise<number> {
    return this.process.pwrite(this.fd, bytes, index * 2 ** 40 + offset);
  }

  /** A number in configuration space. */
  async config(offset: number, count: number): Promise<number> {
    return await this.load(REGION.CONFIG, offset, count);
  }

  /** Writes a number to configuration space. */
  async setConfig(
    offset: number,
    count: number,
    value: number,
  ): Promise<void> {
    await this.store(REGION.CONFIG, offset, count, value);
  }

  /** A number of up to 4 bytes in a region. */
  async load(index: number, offset: number, count: number): Promise<number> {
    const bytes = new Uint8Array(4);
    const ret = await this.pread(index, offset, bytes.subarray(0, count));
    assertEq(ret, count, `pread of region ${index} at ${offset}`);
    return new DataView(bytes.buffer).getUint32(0, true);
  }

  /** Stores a number of up to 4 bytes in a region. */
  async store(
    index: number,
    offset: number,
    count: number,
    value: number,
  ): Promise<void> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    const ret = await this.pwrite(index, offset, bytes.subarray(0, count));
    assertEq(ret, count, `pwrite of region ${index} at ${offset}`);
  }

  /** Reading or writing `count` bytes fails with an errno. */
  async noAccess(
    index: number,
    offset: number,
    count: number,
    errno: Errno,
  ): Promise<void> {
    const bytes = new Uint8Array(count);
    const what = `region ${index} at ${offset}`;
    assertErrno(await this.pread(index, offset, bytes), errno, `read ${what}`);
    assertErrno(
      await this.pwrite(index, offset, bytes),
      errno,
      `write ${what}`,
    );
  }

  /** Where a capability is in configuration space; 0 if it is not in the list. */
  async capability(id: number): Promise<number> {
    let at = await this.config(0x34, 1);
    while (at !== 0 && await this.config(at, 1) !== id) {
      at = await this.config(at + 1, 1);
    }
    return at;
  }
}

/** An iommufd and a device that is bound to it. */
export async function bound(
  io: Iommufd,
): Promise<{ device: VfioFile; devId: number }> {
  const device = await VfioFile.open(io.process);
  const devId = await device.bind(io.fd);
  return { device, devId };
}

/** FEATURE with data; returns the data as they came back, also with an error. */
export async function feature(
  { process, fd }: VfioFile,
  flags: number,
  data: Uint8Array,
  errno?: Errno,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(8 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, flags, true);
  bytes.set(data, 8);
  const ret = await process.ioctl(fd, VFIO.FEATURE, bytes);
  assertResult(ret, errno, `FEATURE 0x${flags.toString(16)}`);
  return bytes.subarray(8);
}
