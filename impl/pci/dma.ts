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
import type { DmaLog } from "./dma_log.ts";
import type { PciFunction } from "./function.ts";

/** DMA was blocked: the device saw an error on the bus. What comes before the address has been done. */
export class DmaFault extends Error {
  /** Name of the class. */
  override name = "DmaFault";
  /** `IOMMU_READ` or `IOMMU_WRITE`. */
  readonly access: number;
  /** The first IOVA that could not be reached. */
  readonly iova: number;
  /** The PASID of the DMA, or IOMMU_NO_PASID. */
  readonly pasid: number;
  /** The IOMMU lets it not through, so that a page can be asked for; else bus mastering is off. */
  readonly isMissing: boolean;

  /** For {@link Dma}. */
  constructor(access: number, iova: number, pasid: number, isMissing: boolean) {
    const verb = access === IOMMU_WRITE ? "write" : "read";
    const why = isMissing ? "the IOMMU blocks it" : "bus mastering is off";
    super(`The device cannot ${verb} IOVA 0x${iova.toString(16)}: ${why}`);
    this.access = access;
    this.iova = iova;
    this.pasid = pasid;
    this.isMissing = isMissing;
  }
}

/** Most bytes that are copied at a time. */
const CHUNK = 65536;

/** The DMA of one function. */
export class Dma {
  /** Where what is written is noted, while somebody wants to know. */
  log: DmaLog | undefined;
  readonly #pci: PciFunction;
  #chunk: Uint8Array | undefined;
  /** Bytes of the run that {@link #run} found last. */
  #length = 0;

  /** For {@link PciFunction}. */
  constructor(pci: PciFunction) {
    this.#pci = pci;
  }

  /** Fills `to` from an IOVA on. Throws {@link DmaFault}. */
  read(iova: number, to: Uint8Array, pasid: number = IOMMU_NO_PASID): void {
    for (let done = 0; done < to.length;) {
      const left = to.length - done;
      const paddr = this.#run(IOMMU_READ, iova + done, left, pasid);
      const end = done + this.#length;
      const whole = this.#length === to.length;
      this.#load(paddr, whole ? to : to.subarray(done, end));
      done = end;
    }
  }

  /** Writes `from` from an IOVA on. Throws {@link DmaFault}. */
  write(iova: number, from: Uint8Array, pasid: number = IOMMU_NO_PASID): void {
    for (let done = 0; done < from.length;) {
      const left = from.length - done;
      const paddr = this.#run(IOMMU_WRITE, iova + done, left, pasid);
      const end = done + this.#length;
      const whole = this.#length === from.length;
      this.#store(paddr, whole ? from : from.subarray(done, end));
      done = end;
    }
  }

  /** Copies `length` bytes from one IOVA to another, in pieces, from the lowest address up. Throws {@link DmaFault}. */
  copy(
    source: number,
    target: number,
    length: number,
    pasid: number = IOMMU_NO_PASID,
  ): void {
    const chunk = this.#chunk ??= new Uint8Array(CHUNK);
    for (let done = 0; done < length;) {
      const most = Math.min(length - done, CHUNK);
      const from = this.#run(IOMMU_READ, source + done, most, pasid);
      const to = this.#run(IOMMU_WRITE, target + done, this.#length, pasid);
      const part = chunk.subarray(0, this.#length);
      this.#load(from, part);
      this.#store(to, part);
      done += part.length;
    }
  }

  /**
   * Where an IOVA is in memory, or in a BAR. As many bytes, of at most `most`,
   * follow it there as the run is long. Throws {@link DmaFault}.
   */
  #run(access: number, iova: number, most: number, pasid: number): number {
    const { device: { config }, bus, translations } = this.#pci;
    if ((config.read(PCI_COMMAND, 2) & PCI_COMMAND_MASTER) === 0) {
      throw new DmaFault(access, iova, pasid, false);
    }
    const domain = translations.get(pasid);
    const start = domain?.translate(iova, access);
    if (start === undefined) {
      throw new DmaFault(access, iova, pasid, true);
    }
    let length = PAGE_SIZE - iova % PAGE_SIZE;
    while (length < most && bus.isMemory(start)) {
      if (domain!.translate(iova + length, access) !== start + length) break;
      length += PAGE_SIZE;
    }
    this.#length = Math.min(length, most);
    if (access === IOMMU_WRITE) this.log?.wrote(iova, this.#length);
    return start;
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
