// SPDX-License-Identifier: GPL-2.0-only

/**
 * The PCI bus of a machine: which functions there are, and where their BARs
 * are in the address space that devices see.
 *
 * The machine's memory has no hole for BARs. So their addresses, as DMA sees
 * them, lie above all memory, at {@link MMIO_BASE} plus what the BAR says.
 *
 * @module
 */

import { IOMMU_NO_PASID } from "../iommu/group.ts";
import { probeDevice, releaseDevice } from "../iommu/probe.ts";
import type { Iommu } from "../iommu/iommu.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { Bar } from "./bar.ts";
import { numberOf } from "./bytes.ts";
import {
  type ConfigSpace,
  PCI_BASE_ADDRESS_0,
  PCI_COMMAND,
  PCI_COMMAND_SERR,
  PCI_EXT_CAP_ID_SRIOV,
  PCI_INTERRUPT_LINE,
  PCI_ROM_ADDRESS,
} from "./config_space.ts";
import type { PciDevice } from "./device.ts";
import { type FunctionPlace, nameOf, PciFunction } from "./function.ts";
import { PassthroughDomain, PciIommuOps, type VtdRegisters } from "./iommu.ts";
import {
  makeVirtual,
  PCI_SRIOV_BAR,
  Sriov,
  VF_OFFSET,
  VF_STRIDE,
} from "./sriov.ts";

/** Where the addresses of BARs begin, as DMA sees them. */
export const MMIO_BASE: number = 2 ** 42;
/** Where the BARs of each kind are placed, as their registers say. */
const PLACES = { ports: 0xc000, low: 0xc0000000, high: 2 ** 32 };
/** A BAR above 4 GiB is so long at least. */
const HIGH_SIZE = 2 ** 28;

/** Where a device is to be put. */
export interface PciPlace {
  /** Its name, as `0000:00:04.0`; default the next free device number from 4 on. */
  readonly address?: string;
  /** The IOMMU cannot tell it from this one, so that they share a group. */
  readonly groupWith?: PciFunction;
  /** Whether it is behind the IOMMU; default true. Without, its DMA has addresses of memory. */
  readonly iommu?: boolean;
  /** Configuration space as firmware leaves it: where BARs are, the interrupt line, whether errors are told; default what the bus chooses. */
  readonly firmware?: Uint8Array | undefined;
}

/** All buses of one machine. */
export class PciBus {
  /** The IOMMU core. */
  readonly iommu: Iommu;
  /** Its functions, by name, oldest first. */
  readonly functions: Map<string, PciFunction> = new Map();
  readonly #ops: PciIommuOps;
  readonly #bars: Set<{ readonly address: number; readonly bar: Bar }> =
    new Set();
  /** Names that virtual functions have when there are any. */
  readonly #reserved: Set<string> = new Set();
  readonly #ends = { ...PLACES };

  /** Without devices; the hardware of its IOMMU says this of itself. */
  constructor(iommu: Iommu, registers?: VtdRegisters) {
    this.iommu = iommu;
    this.#ops = new PciIommuOps(iommu, registers);
  }

  /**
   * Puts a device into the machine: its BARs get addresses, it gets a group.
   * Throws a RangeError for a place that is taken or no place, an Error for a
   * device that is in a machine already, ENOMEM.
   */
  add(device: PciDevice, place: PciPlace = {}): PciFunction {
    const { busNumber, devfn } = this.#placeOf(place.address);
    const { groupWith, iommu = true, firmware } = place;
    const pci = new PciFunction(this, iommu ? this.#ops : null, device, {
      busNumber,
      devfn,
      groupWith,
    });
    device.plug(pci);
    this.#assignBars(pci, firmware);
    if (device.sriov !== undefined) this.#reserveVirtual(pci, firmware);
    if (firmware !== undefined) setUp(device.config, firmware);
    device.config.finish();
    this.#connect(pci);
    return pci;
  }

  /** Makes a virtual function of one, by its number. Throws ENOMEM, and what making the device throws. (Linux: pci_iov_add_virtfn.) */
  addVirtual(physFn: PciFunction, index: number): PciFunction {
    const { bars, barAddresses, offset } = physFn.sriov!;
    const device = physFn.device.sriov!.make(index);
    const place = { ...virtualPlace(physFn, offset, index), physFn };
    const pci = new PciFunction(this, physFn.ops, device, place);
    makeVirtual(device.config);
    device.plug(pci);
    for (const [number, bar] of device.bars.entries()) {
      if (bar === undefined) continue;
      const first = barAddresses[number]! + index * bars[number]!.size;
      this.#placeBar(pci, number, first);
    }
    this.#connect(pci);
    return pci;
  }

  /** Takes a function out of the machine, which nobody uses. */
  remove(pci: PciFunction): void {
    releaseDevice(pci);
    this.functions.delete(pci.name);
    for (const place of this.#bars) {
      if (pci.device.bars.includes(place.bar)) this.#bars.delete(place);
    }
  }

  /** Whether a physical address is that of memory. */
  isMemory(paddr: number): boolean {
    return paddr < MMIO_BASE;
  }

  /** Fills `to` from the BAR at an address, within a page; ones where none is. */
  read(paddr: number, to: Uint8Array): void {
    const found = this.#barAt(paddr);
    if (found === undefined) to.fill(0xff);
    else found.bar.read(paddr - found.address, to);
  }

  /** Writes `from` to the BAR at an address, within a page. */
  write(paddr: number, from: Uint8Array): void {
    const found = this.#barAt(paddr);
    found?.bar.store(paddr - found.address, from);
  }

  #barAt(paddr: number) {
    for (const place of this.#bars) {
      const { address, bar } = place;
      if (paddr >= address && paddr < address + bar.size) return place;
    }
    return undefined;
  }

  #placeOf(address: string | undefined): { busNumber: number; devfn: number } {
    if (address === undefined) {
      let slot = 4;
      while (this.#isTaken(nameOf(0, slot << 3))) slot++;
      return { busNumber: 0, devfn: slot << 3 };
    }
    const parts = /^0000:([\da-f]{2}):([01][\da-f])\.([0-7])$/.exec(address);
    if (parts === null) {
      throw new RangeError(`${address} is no address of a PCI device`);
    }
    if (this.#isTaken(address)) {
      throw new RangeError(`There is a PCI device at ${address} already`);
    }
    const [, bus, slot, fn] = parts.map((part) => parseInt(part, 16));
    return { busNumber: bus!, devfn: slot! << 3 | fn! };
  }

  /** It is on the bus, behind the IOMMU or without one. */
  #connect(pci: PciFunction): void {
    this.functions.set(pci.name, pci);
    if (pci.ops !== null) probeDevice(pci);
    else pci.translations.set(IOMMU_NO_PASID, new PassthroughDomain(this.#ops));
  }

  #isTaken(name: string): boolean {
    return this.functions.has(name) || this.#reserved.has(name);
  }

  /** Gives each BAR an address that is a multiple of its size, as firmware does. */
  #assignBars(pci: PciFunction, firmware?: Uint8Array): void {
    const { bars, config, rom } = pci.device;
    for (const [index, bar] of bars.entries()) {
      if (bar === undefined) continue;
      const at = PCI_BASE_ADDRESS_0 + 4 * index;
      const address = firmware
        ? addressIn(firmware, at, bar)
        : this.#allocate(bar);
      setAddress(config, at, bar, address);
      this.#placeBar(pci, index, MMIO_BASE + address);
    }
    if (rom !== undefined) {
      const address = Math.ceil(this.#ends.low / rom.size) * rom.size;
      this.#ends.low = address + rom.size;
      config.set(PCI_ROM_ADDRESS, 4, address);
    }
  }

  #placeBar(pci: PciFunction, index: number, address: number): void {
    const bar = pci.device.bars[index]!;
    pci.barAddresses[index] = address;
    if (!bar.isIo) this.#bars.add({ address, bar });
  }

  /** Keeps the names and the addresses of the virtual functions that there may be. */
  #reserveVirtual(pci: PciFunction, firmware?: Uint8Array): void {
    const { config, sriov } = pci.device;
    const { bars, vfs } = sriov!;
    const namesAt = (offset: number) =>
      Array.from({ length: vfs }, (_, index) => {
        const { busNumber, devfn } = virtualPlace(pci, offset, index);
        return nameOf(busNumber, devfn);
      });
    let offset = VF_OFFSET;
    while (namesAt(offset).some((name) => this.#isTaken(name))) offset++;
    for (const name of namesAt(offset)) this.#reserved.add(name);
    const addresses: number[] = [];
    const capability = config.findExtended(PCI_EXT_CAP_ID_SRIOV);
    for (const [index, bar] of bars.entries()) {
      if (bar === undefined) continue;
      const at = capability + PCI_SRIOV_BAR + 4 * index;
      const address = firmware
        ? addressIn(firmware, at, bar)
        : this.#allocate(bar, vfs);
      setAddress(config, at, bar, address);
      addresses[index] = MMIO_BASE + address;
    }
    pci.sriov = new Sriov(pci, offset, addresses);
  }

  /** Room for so many equal BARs, one behind the other. */
  #allocate(bar: Bar, count = 1): number {
    const size = bar.isIo ? bar.size : Math.max(bar.size, PAGE_SIZE);
    const isHigh = bar.isWide && bar.size * count >= HIGH_SIZE;
    const kind = bar.isIo ? "ports" : isHigh ? "high" : "low";
    const address = Math.ceil(this.#ends[kind] / size) * size;
    this.#ends[kind] = address + size * count;
    return address;
  }
}

/** Where a virtual function is, by its number: places go on over the ends of buses. */
function virtualPlace(
  { busNumber, devfn }: FunctionPlace,
  offset: number,
  index: number,
): { busNumber: number; devfn: number } {
  const id = busNumber * 256 + devfn + offset + VF_STRIDE * index;
  return { busNumber: id >> 8, devfn: id & 0xff };
}

/** The address that a BAR has in configuration space. */
function addressIn(bytes: Uint8Array, at: number, bar: Bar): number {
  const low = numberOf(bytes, at, 4) - bar.flags;
  return bar.isWide ? low + numberOf(bytes, at + 4, 4) * 2 ** 32 : low;
}

/** Writes what else firmware does. */
function setUp(config: ConfigSpace, firmware: Uint8Array): void {
  const command = numberOf(firmware, PCI_COMMAND, 2);
  config.write(PCI_COMMAND, 2, command & PCI_COMMAND_SERR);
  config.write(PCI_INTERRUPT_LINE, 1, firmware[PCI_INTERRUPT_LINE]!);
}

function setAddress(
  config: ConfigSpace,
  at: number,
  bar: Bar,
  address: number,
): void {
  const low = address % 2 ** 32;
  config.set(at, 4, low + bar.flags);
  if (bar.isWide) config.set(at + 4, 4, (address - low) / 2 ** 32);
}
