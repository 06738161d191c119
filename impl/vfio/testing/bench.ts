// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the tests of devices share: a machine with one device, a process that
 * has it bound and attached, and memory that it reaches.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import type { PciDevice } from "../../pci/device.ts";
import {
  IommuHwptAlloc,
  IommuIoasAlloc,
  IommuIoasMap,
} from "../../uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_SET_IRQS,
  VfioDeviceAttachIommufdPt,
  VfioDeviceBindIommufd,
  VfioIrqSet,
} from "../../uapi/vfio/device.ts";
import type { VfioDevice } from "../device.ts";
import { REGION_STRIDE } from "../pci/regions.ts";

/** Where memory is mapped. */
export const IOVA = 0x100000;
/** Bytes of it. */
export const LENGTH = 0x10000;

/** A device in use. */
export class Bench {
  /** The machine. */
  readonly kernel: Kernel = new Kernel();
  /** The device of VFIO. */
  readonly device: VfioDevice;
  /** The program. */
  readonly process: Process;
  /** Its iommufd. */
  readonly iommufd: number;
  /** Its device. */
  readonly fd: number;
  /** Its IOAS. */
  readonly ioasId: number;
  /** The device's id. */
  readonly devId: number;
  /** Memory that is mapped at {@link IOVA}. */
  readonly memory: number;
  readonly #scratch: number;

  /** Binds and attaches the device, or one that is plugged in otherwise, and lets it do DMA. */
  constructor(device: PciDevice | ((kernel: Kernel) => VfioDevice)) {
    this.device = typeof device === "function"
      ? device(this.kernel)
      : this.kernel.addPciDevice(device);
    const process = this.process = this.kernel.spawn();
    this.iommufd = process.open("/dev/iommu");
    this.fd = process.open(`/dev/vfio/devices/vfio${this.device.index}`);
    const bind = VfioDeviceBindIommufd.encode({ iommufd: this.iommufd });
    this.call(this.fd, VFIO_DEVICE_BIND_IOMMUFD, bind);
    this.devId = VfioDeviceBindIommufd.decode(bind).outDevid;
    const ioas = IommuIoasAlloc.encode();
    this.call(this.iommufd, IommuIoasAlloc.ioctl.number, ioas);
    this.ioasId = IommuIoasAlloc.decode(ioas).outIoasId;
    this.attach(this.ioasId);
    this.memory = this.mmap(LENGTH);
    this.#scratch = this.mmap(4096);
    const map = IommuIoasMap.encode({
      flags: 7,
      ioasId: this.ioasId,
      userVa: BigInt(this.memory),
      length: BigInt(LENGTH),
      iova: BigInt(IOVA),
    });
    this.call(this.iommufd, IommuIoasMap.ioctl.number, map);
    this.store(7, 4, 2, 7);
  }

  /** Attaches the device to an IOAS or a HWPT. */
  attach(ptId: number): void {
    const attach = VfioDeviceAttachIommufdPt.encode({ ptId });
    this.call(this.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach);
  }

  /** A HWPT of the IOAS. */
  hwpt(flags: number): number {
    const { devId, ioasId: ptId } = this;
    const alloc = IommuHwptAlloc.encode({ flags, devId, ptId });
    this.call(this.iommufd, IommuHwptAlloc.ioctl.number, alloc);
    return IommuHwptAlloc.decode(alloc).outHwptId;
  }

  /** Makes an ioctl that succeeds. */
  call(fd: number, cmd: number, bytes: Uint8Array): void {
    assertEquals(this.process.ioctlStruct(fd, cmd, bytes), 0);
  }

  /** Fresh memory. */
  mmap(length: number): number {
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    const address = this.process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
    assert(address > 0);
    return address;
  }

  /** Maps a region. */
  map(index: number, length: number): number {
    const prot = PROT_READ | PROT_WRITE;
    const offset = index * REGION_STRIDE;
    const { process, fd } = this;
    const address = process.mmap(0, length, prot, MAP_SHARED, fd, offset);
    assert(address > 0);
    return address;
  }

  /** A number in a region. */
  load(index: number, at: number, count = 4): number {
    const offset = index * REGION_STRIDE + at;
    const { process, fd } = this;
    assertEquals(process.readTo(fd, this.#scratch, count, offset), count);
    return numberFrom(process.peek(this.#scratch, count));
  }

  /** Stores a number in a region. */
  store(index: number, at: number, count: number, value: number): void {
    const offset = index * REGION_STRIDE + at;
    const { process, fd } = this;
    process.poke(this.#scratch, bytesOf(value, count));
    assertEquals(process.writeFrom(fd, this.#scratch, count, offset), count);
  }

  /** Sends interrupts of a kind, from number 0 on, to eventfds. */
  connect(index: number, eventfds: readonly number[]): void {
    const argsz = VfioIrqSet.size + 4 * eventfds.length;
    const bytes = new Uint8Array(argsz);
    bytes.set(VfioIrqSet.encode({
      argsz,
      flags: 0x24,
      index,
      count: eventfds.length,
    }));
    bytes.set(
      new Uint8Array(Int32Array.from(eventfds).buffer),
      VfioIrqSet.size,
    );
    this.call(this.fd, VFIO_DEVICE_SET_IRQS, bytes);
  }

  /** An eventfd. */
  eventfd(): number {
    return this.process.eventfd(0, 0);
  }

  /** What an eventfd counted since it was asked last. */
  counted(eventfd: number): number {
    const { process } = this;
    if (process.readTo(eventfd, this.#scratch, 8) !== 8) return 0;
    return numberFrom(process.peek(this.#scratch, 8));
  }

  /** The program ends; nothing is left. */
  end(): void {
    this.process.exit();
    assertEquals(this.kernel.audit(), []);
  }
}

/** A number in bytes. */
export function bytesOf(value: number, count = 4): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes.subarray(0, count);
}

/** The number of bytes. */
export function numberFrom(bytes: Uint8Array): number {
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}
