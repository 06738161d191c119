// SPDX-License-Identifier: GPL-2.0-only

/**
 * DMA: what a device reads and writes by itself, through the domain that it is
 * attached to. `device.dma` is for those who play the hardware.
 *
 * @module
 */

import type { Pfn } from "../../lib/brands.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { Device } from "../device.ts";
import { type Domain, IOMMU_READ, IOMMU_WRITE } from "../domain.ts";
import { IOMMU_NO_PASID } from "../group.ts";
import type { Iommu } from "../iommu.ts";

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

/** The DMA of one device, or what an IOMMU itself reads: tables of user space's. */
export class Dma {
  readonly #iommu: Iommu;
  readonly #translation: (pasid: number) => Domain | undefined;
  readonly #dev: Device | undefined;
  #chunk: Uint8Array | undefined;
  /** Bytes of the run that {@link #run} found last. */
  #length = 0;

  /** DMA through what `translation` has for each PASID; who is blocked is told with the device whose DMA it is. */
  constructor(
    iommu: Iommu,
    translation: (pasid: number) => Domain | undefined,
    dev?: Device,
  ) {
    this.#iommu = iommu;
    this.#translation = translation;
    this.#dev = dev;
  }

  /** What an IOMMU reads and writes through a domain, such as the table of a nested one through its parent. */
  static through(domain: Domain): Dma {
    return new Dma(domain.owner.iommu, () => domain);
  }

  /** Fills `to` from an IOVA on. Throws {@link DmaFault}. */
  read(iova: number, to: Uint8Array, pasid: number = IOMMU_NO_PASID): void {
    for (let done = 0; done < to.length;) {
      const left = to.length - done;
      const paddr = this.#run(IOMMU_READ, iova + done, left, pasid);
      const end = done + this.#length;
      const whole = this.#length === to.length;
      this.load(paddr, whole ? to : to.subarray(done, end));
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
      this.store(paddr, whole ? from : from.subarray(done, end));
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
      this.load(from, part);
      this.store(to, part);
      done += part.length;
    }
  }

  /** Throws {@link DmaFault} where the device may do no DMA at all. */
  protected checkEnabled(_access: number, _iova: number, _pasid: number) {}

  /** Whether memory is at a physical address; else it is a device's. */
  protected isMemory(_paddr: number): boolean {
    return true;
  }

  /** Reads memory, within a page or a run of pages. */
  protected load(paddr: number, to: Uint8Array): void {
    const offset = paddr % PAGE_SIZE;
    const pfn = (paddr - offset) / PAGE_SIZE as Pfn;
    this.#iommu.kernel.frames.read(pfn, offset, to);
  }

  /** Writes memory, within a page or a run of pages. */
  protected store(paddr: number, from: Uint8Array): void {
    const offset = paddr % PAGE_SIZE;
    const pfn = (paddr - offset) / PAGE_SIZE as Pfn;
    this.#iommu.kernel.frames.write(pfn, offset, from);
  }

  /** So many bytes from an IOVA on are about to be written. */
  protected willWrite(_iova: number, _length: number): void {}

  /**
   * Where an IOVA is in memory, or in a device's. As many bytes, of at most
   * `most`, follow it there as the run is long. Throws {@link DmaFault}.
   */
  #run(access: number, iova: number, most: number, pasid: number): number {
    this.checkEnabled(access, iova, pasid);
    const domain = this.#translation(pasid);
    const start = domain?.translate(iova, access);
    if (start === undefined) throw this.#blocked(domain, access, iova, pasid);
    const granule = Math.min(domain!.pageSizes[0] ?? PAGE_SIZE, PAGE_SIZE);
    let length = granule - iova % granule;
    while (length < most && this.isMemory(start)) {
      if (domain!.translate(iova + length, access) !== start + length) break;
      length += granule;
    }
    this.#length = Math.min(length, most);
    if (access === IOMMU_WRITE) this.willWrite(iova, this.#length);
    return start;
  }

  #blocked(
    domain: Domain | undefined,
    access: number,
    iova: number,
    pasid: number,
  ): DmaFault {
    const fault = new DmaFault(access, iova, pasid, true);
    if (this.#dev !== undefined) domain?.blocked(this.#dev, fault);
    return fault;
  }
}
