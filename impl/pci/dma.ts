// SPDX-License-Identifier: GPL-2.0-only

/**
 * DMA: what a device reads and writes by itself, through the domain that it is
 * attached to.
 *
 * @module
 */

import { IOMMU_READ, IOMMU_WRITE } from "../iommu/domain.ts";
import { IOMMU_NO_PASID } from "../iommu/group.ts";
import type { Pfn } from "../lib/brands.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER } from "./config_space.ts";
import type { PciFunction } from "./function.ts";

/** DMA was blocked: the device saw an error on the bus. What comes before the address has been done. */
export class DmaFault extends Error {
  /** Name of the class. */
  override name = "DmaFault";
  /** The first IOVA that could not be reached. */
  readonly iova: number;

  /** For {@link Dma}. */
  constructor(access: number, iova: number, why: string) {
    const verb = access === IOMMU_WRITE ? "write" : "read";
    super(`The device cannot ${verb} IOVA 0x${iova.toString(16)}: ${why}`);
    this.iova = iova;
  }
}

/** The DMA of one function. */
export class Dma {
  readonly #pci: PciFunction;
  readonly #page = new Uint8Array(PAGE_SIZE);

  /** For {@link PciFunction}. */
  constructor(pci: PciFunction) {
    this.#pci = pci;
  }

  /** Fills `to` from an IOVA on. Throws {@link DmaFault}. */
  read(iova: number, to: Uint8Array, pasid: number = IOMMU_NO_PASID): void {
    this.#eachPage(
      IOMMU_READ,
      iova,
      to.length,
      pasid,
      (paddr, from, end) => this.#load(paddr, to.subarray(from, end)),
    );
  }

  /** Writes `from` from an IOVA on. Throws {@link DmaFault}. */
  write(iova: number, from: Uint8Array, pasid: number = IOMMU_NO_PASID): void {
    this.#eachPage(
      IOMMU_WRITE,
      iova,
      from.length,
      pasid,
      (paddr, first, end) => this.#store(paddr, from.subarray(first, end)),
    );
  }

  /** Copies `length` bytes from one IOVA to another, as much at a time as a page has. Throws {@link DmaFault}. */
  copy(
    source: number,
    target: number,
    length: number,
    pasid: number = IOMMU_NO_PASID,
  ): void {
    for (let done = 0; done < length;) {
      const count = Math.min(
        length - done,
        PAGE_SIZE - (target + done) % PAGE_SIZE,
      );
      const part = this.#page.subarray(0, count);
      this.read(source + done, part, pasid);
      this.write(target + done, part, pasid);
      done += count;
    }
  }

  /** Calls `access` for the part of each page with its physical address, and where in the whole it is. */
  #eachPage(
    access: number,
    iova: number,
    length: number,
    pasid: number,
    move: (paddr: number, from: number, end: number) => void,
  ): void {
    const { config } = this.#pci.device;
    if ((config.read(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) === 0) {
      throw new DmaFault(access, iova, "bus mastering is off");
    }
    const domain = this.#pci.translations.get(pasid);
    for (let done = 0; done < length;) {
      const at = iova + done;
      const paddr = domain?.translate(at, access);
      if (paddr === undefined) {
        throw new DmaFault(access, at, "the IOMMU blocks it");
      }
      const end = Math.min(length, done + PAGE_SIZE - at % PAGE_SIZE);
      move(paddr, done, end);
      done = end;
    }
  }

  #load(paddr: number, to: Uint8Array): void {
    const { bus, iommu } = this.#pci;
    const offset = paddr % PAGE_SIZE;
    if (bus.isMemory(paddr)) {
      const pfn = (paddr - offset) / PAGE_SIZE as Pfn;
      iommu.kernel.frames.read(pfn, offset, to);
    } else bus.read(paddr, to);
  }

  #store(paddr: number, from: Uint8Array): void {
    const { bus, iommu } = this.#pci;
    const offset = paddr % PAGE_SIZE;
    if (bus.isMemory(paddr)) {
      const pfn = (paddr - offset) / PAGE_SIZE as Pfn;
      iommu.kernel.frames.write(pfn, offset, from);
    } else bus.write(paddr, from);
  }
}
