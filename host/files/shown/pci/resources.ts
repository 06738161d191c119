// SPDX-License-Identifier: GPL-2.0-only

/**
 * The BARs of a PCI device in sysfs: where they are, and a file for each.
 *
 * Linux: drivers/pci/pci-sysfs.c.
 *
 * @module
 */

import type { Bar } from "../../../../impl/pci/bar.ts";
import {
  PCI_ROM_ADDRESS,
  PCI_ROM_ADDRESS_ENABLE,
} from "../../../../impl/pci/config_space.ts";
import { MMIO_BASE } from "../../../../impl/pci/bus.ts";
import type { PciFunction } from "../../../../impl/pci/function.ts";
import {
  File,
  type FileMapping,
  type MapRequest,
} from "../../../../impl/kernel/files/file.ts";
import type { Task } from "../../../../impl/kernel/interfaces/task.ts";
import { EINVAL, EIO, ENODEV } from "../../../../impl/uapi/errno.ts";
import type { VfioPciDevice } from "../../../../impl/vfio/pci/pci_device.ts";
import { mapRegion, REGION_STRIDE } from "../../../../impl/vfio/pci/regions.ts";
import type { Showing } from "../node.ts";

/** Flags of what a BAR is (Linux: IORESOURCE_*). */
const RESOURCE = {
  io: 0x40101,
  memory: 0x40200,
  wide: 0x100004,
  prefetchable: 0x2008,
  rom: 0x46200,
} as const;
/** Lines of `resource`: six BARs, the ROM, six BARs of virtual functions. */
const RESOURCES = 13;
/** That of the ROM. */
const ROM_RESOURCE = 6;
/** The first of those of virtual functions. */
const VIRTUAL_RESOURCES = 7;
/** Bits of a BAR's register. */
const IS_IO = 1;
const IS_PREFETCHABLE = 8;

/** Shows a file for each BAR. */
export function showBars(
  tree: Showing,
  directory: string,
  device: VfioPciDevice,
): void {
  for (const [index, bar] of device.pci.device.bars.entries()) {
    if (bar === undefined) continue;
    const name = `${directory}/resource${index}`;
    const open = (_task: Task, access: number) =>
      new BarFile(device, index, bar, access);
    const node = { kind: "served", mode: 0o600, size: bar.size, open } as const;
    tree.add(name, node);
    if ((flagsOf(bar) & IS_PREFETCHABLE) !== 0) tree.add(`${name}_wc`, node);
  }
}

/** A BAR as a file: ports are read and written, memory is mapped. */
class BarFile extends File {
  readonly #device: VfioPciDevice;
  readonly #index: number;
  readonly #bar: Bar;
  #position = 0;

  constructor(
    device: VfioPciDevice,
    index: number,
    bar: Bar,
    access: number,
  ) {
    super(access);
    this.#device = device;
    this.#index = index;
    this.#bar = bar;
  }

  override get hasOffsets(): boolean {
    return true;
  }

  override read(
    task: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    return this.#access(count, offset, (at, bytes) => {
      this.#bar.read(at, bytes);
      task.mm.copyToUser(uaddr, bytes);
    });
  }

  override write(
    task: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    return this.#access(count, offset, (at, bytes) => {
      task.mm.copyFromUser(bytes, uaddr);
      this.#bar.store(at, bytes);
    });
  }

  /** Maps memory while somebody has the device open: at other times it does not answer, ENODEV. */
  override mmap(request: MapRequest): FileMapping {
    if (!this.#device.isOpen) throw ENODEV.because("the device is not open");
    const offset = this.#index * REGION_STRIDE + request.offset;
    return mapRegion(this.#device, { ...request, offset }, this);
  }

  /** One port, of 1, 2 or 4 bytes. Throws EINVAL for other sizes, EIO for memory. (Linux: pci_resource_io.) */
  #access(
    count: number,
    offset: number | undefined,
    move: (at: number, bytes: Uint8Array) => void,
  ): number {
    if (!this.#bar.isIo) throw EIO.because("memory can be mapped only");
    const at = offset ?? this.#position;
    if (at >= this.#bar.size) return 0;
    if (![1, 2, 4].includes(count) || at + count > this.#bar.size) throw EINVAL;
    move(at, new Uint8Array(count));
    if (offset === undefined) this.#position += count;
    return count;
  }
}

/** `resource`: a line for each BAR: where it begins, its last byte, what it is. */
export function resourcesOf(pci: PciFunction): string {
  const lines = new Array<string>(RESOURCES).fill(resource(0, 0, 0));
  const add = (from: number, { bars, barAddresses }: Ranges, count: number) => {
    for (const [index, bar] of bars.entries()) {
      if (bar === undefined) continue;
      const start = barAddresses[index]! - MMIO_BASE;
      const end = start + bar.size * count - 1;
      lines[from + index] = resource(start, end, flagsOf(bar));
    }
  };
  const { device: { bars, config, rom }, barAddresses, sriov } = pci;
  add(0, { bars, barAddresses }, 1);
  if (rom !== undefined && pci.physFn === undefined) {
    const start = config.read(PCI_ROM_ADDRESS, 4) & ~PCI_ROM_ADDRESS_ENABLE;
    const end = (start >>> 0) + rom.size - 1;
    lines[ROM_RESOURCE] = resource(start >>> 0, end, RESOURCE.rom);
  }
  if (sriov !== undefined) add(VIRTUAL_RESOURCES, sriov, sriov.totalVfs);
  return lines.join("");
}

/** BARs, and where they are. */
interface Ranges {
  readonly bars: readonly (Bar | undefined)[];
  readonly barAddresses: readonly number[];
}

function resource(start: number, end: number, flags: number): string {
  const words = [start, end, flags]
    .map((word) => `0x${word.toString(16).padStart(16, "0")}`);
  return `${words.join(" ")}\n`;
}

function flagsOf({ flags, isWide }: Bar): number {
  if ((flags & IS_IO) !== 0) return RESOURCE.io;
  return RESOURCE.memory | (isWide ? RESOURCE.wide : 0) |
    ((flags & IS_PREFETCHABLE) !== 0 ? RESOURCE.prefetchable : 0);
}
