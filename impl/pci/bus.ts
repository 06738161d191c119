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

import { probeDevice } from "../iommu/probe.ts";
import type { Iommu } from "../iommu/iommu.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import type { Bar } from "./bar.ts";
import { PCI_BASE_ADDRESS_0 } from "./config_space.ts";
import type { PciDevice } from "./device.ts";
import { nameOf, PciFunction } from "./function.ts";
import { PciIommuOps } from "./iommu.ts";

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
}

/** All buses of one machine. */
export class PciBus {
  /** The IOMMU core. */
  readonly iommu: Iommu;
  /** Its functions, by name, oldest first. */
  readonly functions: Map<string, PciFunction> = new Map();
  readonly #ops: PciIommuOps;
  readonly #bars: { readonly address: number; readonly bar: Bar }[] = [];
  readonly #ends = { ...PLACES };

  /** Without devices. */
  constructor(iommu: Iommu) {
    this.iommu = iommu;
    this.#ops = new PciIommuOps(iommu);
  }

  /**
   * Puts a device into the machine: its BARs get addresses, it gets a group.
   * Throws a RangeError for a place that is taken or no place, an Error for a
   * device that is in a machine already, ENOMEM.
   */
  add(device: PciDevice, place: PciPlace = {}): PciFunction {
    const { busNumber, devfn } = this.#placeOf(place.address);
    const { groupWith } = place;
    const pci = new PciFunction(this, this.#ops, device, {
      busNumber,
      devfn,
      ...groupWith && { groupWith },
    });
    device.plug(pci);
    this.#assignBars(pci);
    this.functions.set(pci.name, pci);
    probeDevice(pci);
    return pci;
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
    return this.#bars.find(({ address, bar }) =>
      paddr >= address && paddr < address + bar.size
    );
  }

  #placeOf(address: string | undefined): { busNumber: number; devfn: number } {
    if (address === undefined) {
      let slot = 4;
      while (this.functions.has(nameOf(0, slot << 3))) slot++;
      return { busNumber: 0, devfn: slot << 3 };
    }
    const parts = /^0000:([\da-f]{2}):([01][\da-f])\.([0-7])$/.exec(address);
    if (parts === null) {
      throw new RangeError(`${address} is no address of a PCI device`);
    }
    if (this.functions.has(address)) {
      throw new RangeError(`There is a PCI device at ${address} already`);
    }
    const [, bus, slot, fn] = parts.map((part) => parseInt(part, 16));
    return { busNumber: bus!, devfn: slot! << 3 | fn! };
  }

  /** Gives each BAR an address that is a multiple of its size, as firmware does. */
  #assignBars(pci: PciFunction): void {
    const { bars, config } = pci.device;
    for (const [index, bar] of bars.entries()) {
      if (bar === undefined) continue;
      const at = PCI_BASE_ADDRESS_0 + 4 * index;
      const address = this.#allocate(bar);
      const low = address % 2 ** 32;
      config.set(at, 4, low + bar.flags);
      if (bar.isWide) config.set(at + 4, 4, (address - low) / 2 ** 32);
      pci.barAddresses[index] = MMIO_BASE + address;
      if (!bar.isIo) this.#bars.push({ address: MMIO_BASE + address, bar });
    }
    config.finish();
  }

  #allocate(bar: Bar): number {
    const size = bar.isIo ? bar.size : Math.max(bar.size, PAGE_SIZE);
    const isHigh = bar.isWide && bar.size >= HIGH_SIZE;
    const kind = bar.isIo ? "ports" : isHigh ? "high" : "low";
    const address = Math.ceil(this.#ends[kind] / size) * size;
    this.#ends[kind] = address + size;
    return address;
  }
}
