// SPDX-License-Identifier: GPL-2.0-only

/**
 * A typed client of a VFIO device: bind, attach, regions, interrupts.
 *
 * @module
 */

import type { Process } from "../kernel/simulated/process.ts";
import { MAP_SHARED, PROT_READ, PROT_WRITE } from "../uapi/mman.ts";
import * as uapi from "../uapi/vfio/device.ts";
import {
  VfioDeviceIoeventfd,
  VfioPciDependentDevice,
  VfioPciHotReset,
  VfioPciHotResetInfo,
} from "../uapi/vfio/feature.ts";
import type { U64, Values } from "../uapi/layout/struct.ts";
import { decodeArray, pass } from "./arguments.ts";
import type { IommufdClient } from "./client.ts";
import { ClientFile, descriptorOf, openPath } from "./client_file.ts";
import { check, type Descriptor, ScratchMemory } from "./descriptor.ts";
import { tokenBytes, VfioFeatures } from "./vfio_features.ts";

/** Bytes from one region to the next. */
const REGION_STRIDE = 2 ** uapi.VFIO_PCI_OFFSET_SHIFT;
/** The command register in configuration space, and its bit that allows DMA. */
const COMMAND = 4;
const COMMAND_MASTER = 4;

/** A region of a device. */
export interface VfioRegion {
  /** `VFIO_REGION_INFO_FLAG_*`. */
  readonly flags: number;
  /** Bytes; 0 where there is none. */
  readonly length: number;
  /** Where it begins in the device's file. */
  readonly offset: number;
}

/** Interrupts of a kind. */
export interface VfioIrqs {
  /** `VFIO_IRQ_INFO_*`. */
  readonly flags: number;
  /** How many there are. */
  readonly count: number;
}

/** Interrupts that are to be connected, or fired. */
export interface IrqRange {
  /** `VFIO_PCI_*_IRQ_INDEX`. */
  readonly index: number;
  /** The first one; default 0. */
  readonly start?: number;
}

/** A number that is written to a BAR. */
export interface BarStore {
  /** The BAR. */
  readonly index: number;
  /** Where. */
  readonly offset: number;
  /** What. */
  readonly value: U64;
  /** Bytes: 1, 2, 4 or 8; default 4. */
  readonly count?: number;
}

/** Devices that a bus can have. */
const MAX_DEVICES = 256;

/**
 * An open VFIO device of a process. A call that fails throws an
 * `IommufdError`, which says why.
 *
 * @example
 * ```ts
 * import { CopyEngine, IommufdClient, Kernel, VfioDevice } from "@iommufd/kit";
 *
 * const kernel = new Kernel();
 * kernel.addPciDevice(new CopyEngine());
 * const process = kernel.spawn();
 * using iommufd = IommufdClient.open(process);
 * using device = VfioDevice.open(process);
 * device.bind(iommufd);
 * device.attach({ ptId: iommufd.ioasAlloc().ioasId });
 * console.log(device.load(0, 0)); // 826363204: "DMA1"
 * ```
 */
export class VfioDevice extends ClientFile {
  /** VFIO_DEVICE_FEATURE. */
  readonly features: VfioFeatures;
  readonly #descriptor: Descriptor;

  /** Takes over an open descriptor; {@link VfioDevice.open} opens one. */
  constructor(process: Process, fd: number) {
    super(process, fd);
    this.#descriptor = descriptorOf(this);
    this.features = new VfioFeatures(this.#descriptor);
  }

  /** Opens a device by its path. When that, and the last mapping, is closed, the device is detached and unbound. Throws ENOENT without such a device, EMFILE. */
  static open(
    process: Process,
    path = "/dev/vfio/devices/vfio0",
  ): VfioDevice {
    return new VfioDevice(process, openPath(process, path));
  }

  /**
   * VFIO_DEVICE_BIND_IOMMUFD: nothing else can be done before. A virtual
   * function, and the device of open ones, needs their token. Throws EINVAL for
   * a device that is bound, EBUSY while its group is open, EPERM if somebody
   * else has that, EACCES for another token.
   */
  bind(
    iommufd: Pick<IommufdClient, "fd">,
    options: { readonly token?: string } = {},
  ): { devId: number } {
    const layout = uapi.VfioDeviceBindIommufd;
    const { token } = options;
    if (token === undefined) {
      const argsz = layout.offsetofend("outDevid");
      return this.#bind({ argsz, iommufd: iommufd.fd });
    }
    const bytes = tokenBytes(token);
    using scratch = new ScratchMemory(this.process, bytes.length);
    scratch.store(bytes);
    return this.#bind({
      argsz: layout.size,
      flags: uapi.VFIO_DEVICE_BIND_FLAG_TOKEN,
      iommufd: iommufd.fd,
      tokenUuidPtr: BigInt(scratch.address),
    });
  }

  #bind(values: Values<uapi.VfioDeviceBindIommufd>): { devId: number } {
    const layout = uapi.VfioDeviceBindIommufd;
    return { devId: this.#descriptor.call(layout, values).outDevid };
  }

  /** VFIO_DEVICE_ATTACH_IOMMUFD_PT: to an IOAS or a HWPT, or to another one; returns the HWPT. Throws ENOENT, EINVAL, EADDRINUSE, and what attaching throws. */
  attach(
    options: { readonly ptId: number; readonly pasid?: number },
  ): { hwptId: number } {
    const layout = uapi.VfioDeviceAttachIommufdPt;
    const { ptId } = this.#descriptor.call(layout, {
      ...options,
      ...withPasid(options, layout.offsetofend("ptId")),
    });
    return { hwptId: ptId };
  }

  /** VFIO_DEVICE_DETACH_IOMMUFD_PT: its DMA is blocked. Does nothing if it is not attached. */
  detach(options: { readonly pasid?: number } = {}): void {
    const layout = uapi.VfioDeviceDetachIommufdPt;
    this.#descriptor.call(layout, {
      ...options,
      ...withPasid(options, layout.offsetofend("flags")),
    });
  }

  /** VFIO_DEVICE_GET_INFO. */
  info(): { flags: number; numRegions: number; numIrqs: number } {
    const { flags, numRegions, numIrqs } = this.#descriptor.call(
      uapi.VfioDeviceInfo,
      {},
    );
    return { flags, numRegions, numIrqs };
  }

  /** VFIO_DEVICE_GET_REGION_INFO: 0 to 5 are the BARs. Throws EINVAL where there is no such region. */
  region(index: number): VfioRegion {
    const { flags, length, offset } = this.#descriptor.call(
      uapi.VfioRegionInfo,
      { index },
    );
    return { flags, length: Number(length), offset: Number(offset) };
  }

  /** VFIO_DEVICE_GET_IRQ_INFO. Throws EINVAL where there are none of the kind. */
  irqs(index: number): VfioIrqs {
    const { flags, count } = this.#descriptor.call(uapi.VfioIrqInfo, { index });
    return { flags, count };
  }

  /** VFIO_DEVICE_SET_IRQS: interrupts go to eventfds from now on, -1 for none. Throws EINVAL while another kind is on, EBADF. */
  connect(range: IrqRange, eventfds: readonly number[]): void {
    const data = new Uint8Array(Int32Array.from(eventfds).buffer);
    const type = uapi.VFIO_IRQ_SET_DATA_EVENTFD;
    this.#setIrqs(
      range,
      type | uapi.VFIO_IRQ_SET_ACTION_TRIGGER,
      eventfds.length,
      data,
    );
  }

  /** VFIO_DEVICE_SET_IRQS: turns interrupts of a kind off. Throws EINVAL if they are off. */
  disconnect(index: number): void {
    this.#setIrqs({ index }, NONE | uapi.VFIO_IRQ_SET_ACTION_TRIGGER, 0);
  }

  /** VFIO_DEVICE_SET_IRQS: fires interrupts as the device would. Throws EINVAL if they are off. */
  trigger(range: IrqRange, count = 1): void {
    this.#setIrqs(range, NONE | uapi.VFIO_IRQ_SET_ACTION_TRIGGER, count);
  }

  /** VFIO_DEVICE_SET_IRQS: masks the legacy interrupt. Throws EINVAL if it is off. */
  mask(): void {
    const index = uapi.VFIO_PCI_INTX_IRQ_INDEX;
    this.#setIrqs({ index }, NONE | uapi.VFIO_IRQ_SET_ACTION_MASK, 1);
  }

  /** VFIO_DEVICE_SET_IRQS: unmasks it, as is needed after each. Throws EINVAL if it is off. */
  unmask(): void {
    const index = uapi.VFIO_PCI_INTX_IRQ_INDEX;
    this.#setIrqs({ index }, NONE | uapi.VFIO_IRQ_SET_ACTION_UNMASK, 1);
  }

  /** VFIO_DEVICE_SET_IRQS: an eventfd unmasks it from now on, -1 for none. Throws EINVAL if it is off, EBUSY if there is one. */
  unmaskBy(eventfd: number): void {
    const flags = uapi.VFIO_IRQ_SET_DATA_EVENTFD |
      uapi.VFIO_IRQ_SET_ACTION_UNMASK;
    const data = new Uint8Array(Int32Array.of(eventfd).buffer);
    this.#setIrqs({ index: uapi.VFIO_PCI_INTX_IRQ_INDEX }, flags, 1, data);
  }

  /**
   * VFIO_DEVICE_IOEVENTFD: an eventfd that is signalled writes `value` to a
   * BAR; -1 ends that. Throws EINVAL for what is in no BAR or in the table of
   * MSI-X, EEXIST if there is one that writes the same, ENODEV if there is none
   * to end.
   */
  ioeventfd(
    { index, offset, value, count = 4 }: BarStore,
    eventfd: number,
  ): void {
    this.#descriptor.call(VfioDeviceIoeventfd, {
      flags: count,
      offset: BigInt(index * REGION_STRIDE + offset),
      data: BigInt(value),
      fd: eventfd,
    });
  }

  /** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: what a reset of the bus would reset, and whether it is all the caller's. Throws ENODEV on a bus without a bridge. */
  hotResetInfo(): { flags: number; devices: VfioPciDependentDevice[] } {
    const layout = VfioPciHotResetInfo;
    const entry = VfioPciDependentDevice;
    const argsz = layout.size + MAX_DEVICES * entry.size;
    const bytes = new Uint8Array(argsz);
    const passed = pass(layout, { argsz });
    bytes.set(layout.encode(passed.values));
    this.#descriptor.send(layout.ioctl, bytes, passed);
    const { flags, count } = layout.decode(bytes);
    const devices = decodeArray(entry, bytes.subarray(layout.size), count);
    return { flags, devices };
  }

  /** VFIO_DEVICE_PCI_HOT_RESET: resets all devices of the bus; a device of a group names the groups that have them. Throws EINVAL if one is somebody else's, ENODEV. */
  hotReset(groups: readonly { readonly fd: number }[] = []): void {
    const layout = VfioPciHotReset;
    const fds = Int32Array.from(groups, ({ fd }) => fd);
    const argsz = layout.size + fds.byteLength;
    const passed = pass(layout, { argsz, count: fds.length });
    const bytes = new Uint8Array(argsz);
    bytes.set(layout.encode(passed.values));
    bytes.set(new Uint8Array(fds.buffer), layout.size);
    this.#descriptor.send(layout.ioctl, bytes, passed);
  }

  /** VFIO_DEVICE_RESET. Throws EINVAL for a device that cannot be reset. */
  reset(): void {
    this.#descriptor.callNumber(uapi.VfioDeviceReset, "arg", 0);
  }

  /** Reads bytes of a region. Throws EINVAL where there is nothing, EIO while memory is off. */
  read(index: number, offset: number, length: number): Uint8Array {
    const { process, fd } = this;
    const bytes = new Uint8Array(length);
    const ret = process.read(fd, bytes, index * REGION_STRIDE + offset);
    const done = check(process, ret, "pread", { index, offset, length });
    return bytes.subarray(0, done);
  }

  /** Writes bytes of a region; returns how many. Throws as {@link read}. */
  write(index: number, offset: number, bytes: Uint8Array): number {
    const { process, fd } = this;
    const ret = process.write(fd, bytes, index * REGION_STRIDE + offset);
    const { length } = bytes;
    return check(process, ret, "pwrite", { index, offset, length });
  }

  /** A number of `count` bytes, up to 4, in a region: a register. Throws as {@link read}. */
  load(index: number, offset: number, count = 4): number {
    const bytes = this.read(index, offset, count);
    return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
  }

  /** Stores a number of up to 8 bytes in a region. Throws as {@link read}. */
  store(index: number, offset: number, value: U64, count = 4): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    this.write(index, offset, bytes.subarray(0, count));
  }

  /** Allows the device to do DMA and to send messages, or not: it may not at first. */
  setBusMaster(enabled: boolean): void {
    const index = uapi.VFIO_PCI_CONFIG_REGION_INDEX;
    const command = this.load(index, COMMAND, 2) & ~COMMAND_MASTER;
    this.store(index, COMMAND, command | (enabled ? COMMAND_MASTER : 0), 2);
  }

  /** Maps a BAR, or a part of it; returns the address. Throws EINVAL for what cannot be mapped. */
  map(
    index: number,
    options: { readonly offset?: number; readonly length?: number } = {},
  ): number {
    const { process, fd } = this;
    const { offset = 0 } = options;
    const length = options.length ?? this.region(index).length - offset;
    const prot = PROT_READ | PROT_WRITE;
    const at = index * REGION_STRIDE + offset;
    const ret = process.mmap(0, length, prot, MAP_SHARED, fd, at);
    return check(process, ret, "mmap", { index, offset, length });
  }

  #setIrqs(
    { index, start = 0 }: IrqRange,
    flags: number,
    count: number,
    data: Uint8Array = new Uint8Array(0),
  ): void {
    const layout = uapi.VfioIrqSet;
    const argsz = layout.size + data.length;
    const passed = pass(layout, { argsz, flags, index, start, count });
    const bytes = new Uint8Array(argsz);
    bytes.set(layout.encode(passed.values));
    bytes.set(data, layout.size);
    this.#descriptor.send(layout.ioctl, bytes, passed);
  }
}

/** No data: the interrupts are meant that are named. */
const NONE = uapi.VFIO_IRQ_SET_DATA_NONE;

/** How long a struct with a PASID is, and its flag; `short` is its length without. */
function withPasid(
  { pasid }: { readonly pasid?: number },
  short: number,
): { argsz: number; flags: number } {
  return pasid === undefined
    ? { argsz: short, flags: 0 }
    : { argsz: short + 4, flags: uapi.VFIO_DEVICE_ATTACH_PASID };
}
