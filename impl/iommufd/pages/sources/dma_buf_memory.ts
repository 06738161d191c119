// SPDX-License-Identifier: GPL-2.0-only

/**
 * A DMA buffer as a source of pages (Linux: IOPT_ADDRESS_DMABUF). It is the
 * memory of a device: mapped as such, never pinned, charged to nobody, and its
 * driver may take it back at any moment.
 *
 * Invariant: what is in {@link DmaBufMemory.mapped} is what is mapped. So
 * nothing needs to know whether the buffer was taken back: it is in no domain
 * then, and gets into none.
 *
 * @module
 */

import { type Domain, IOMMU_CACHE, IOMMU_MMIO } from "../../../iommu/domain.ts";
import type { KernelCore } from "../../../kernel/core.ts";
import type {
  DmaBuf,
  DmaBufImporter,
  PhysicalRange,
} from "../../../kernel/files/dma_buf.ts";
import { PAGE_SIZE } from "../../../uapi/mman.ts";
import type { IoptArea } from "../area.ts";
import type { IoptPages } from "../pages.ts";
import { iommuUnmapNofail, PfnBatch } from "../pfn_batch.ts";
import type { Filling, PagesSource } from "../source.ts";

/** A DMA buffer, as some pages have it. */
export class DmaBufMemory implements PagesSource, Filling, DmaBufImporter {
  /** The domains that map it, by area (Linux: tracker). */
  readonly mapped: Map<IoptArea, Set<Domain>> = new Map();
  readonly #kernel: KernelCore;
  readonly #dmaBuf: DmaBuf;
  /** Where it is; undefined once it was taken back, for good. */
  #range: PhysicalRange | undefined;

  /**
   * Imports a buffer. Throws ENODEV while it is taken back, EOPNOTSUPP if its
   * driver does not share it, ENOMEM. (Linux: iopt_map_dmabuf.)
   */
  constructor(kernel: KernelCore, dmaBuf: DmaBuf) {
    kernel.step("dmabuf.attach");
    this.#kernel = kernel;
    this.#range = dmaBuf.attach(this);
    this.#dmaBuf = dmaBuf.get();
  }

  /** The CPU has none. */
  get frames(): undefined {
    return undefined;
  }

  /** Itself. */
  get filling(): this {
    return this;
  }

  /** True once its driver took it back. */
  get revoked(): boolean {
    return this.#range === undefined;
  }

  /** For a drawing: the device, or nothing. */
  get place(): string {
    return this.revoked ? "taken back" : "a device";
  }

  /** Where it is in the buffer. */
  describe(owner: string, start: string): string {
    return `of a DMA buffer, mapped by ${owner}, at ${start}`;
  }

  /** Lets the buffer go. */
  release(): void {
    this.#kernel.warnings.on(
      this.mapped.size > 0,
      "iopt_release_pages: a DMA buffer is mapped",
    );
    this.#dmaBuf.detach(this);
    this.#dmaBuf.put();
  }

  /** The memory of a device is not cached (Linux: batch_to_domain, BATCH_MMIO). */
  domainProt(prot: number): number {
    return (prot & ~IOMMU_CACHE) | IOMMU_MMIO;
  }

  /** Linux: iopt_dmabuf_track_domain, iopt_area_fill_domain. */
  fillDomain(area: IoptArea, domain: Domain): void {
    this.#map(area, area.pages!, [domain]);
  }

  /** Linux: iopt_dmabuf_track_all_domains, iopt_area_fill_domains. */
  fillDomains(area: IoptArea, pages: IoptPages): void {
    this.#map(area, pages, area.iopt.domains);
  }

  /** Linux: iopt_area_unmap_domain, iopt_dmabuf_untrack_domain. */
  unmapDomain(area: IoptArea, domain: Domain): void {
    const domains = this.mapped.get(area);
    if (!domains?.delete(domain)) return;
    if (domains.size === 0) this.mapped.delete(area);
    const iova = area.indexToIova(area.index);
    const end = area.indexToIovaEnd(area.lastIndex);
    iommuUnmapNofail(domain, iova, end - iova);
  }

  /** The last domain is as any other. */
  unfillDomain(area: IoptArea, _pages: IoptPages, domain: Domain): void {
    this.unmapDomain(area, domain);
  }

  /** The driver takes the buffer back (Linux: iopt_revoke_notify). */
  invalidate(): void {
    for (const [area, domains] of this.mapped) {
      for (const domain of domains) this.unmapDomain(area, domain);
    }
    this.#range = undefined;
  }

  #map(
    area: IoptArea,
    pages: IoptPages,
    domains: readonly Domain[],
  ): void {
    for (const _ of domains) this.#kernel.step("dmabuf.track");
    if (this.#range === undefined) return;
    const npages = area.lastIndex - area.index + 1;
    using batch = new PfnBatch(this.#kernel);
    batch.alloc(npages);
    const first = this.#range.paddr / PAGE_SIZE + pages.firstPage;
    batch.setRun(first + area.index, npages);
    try {
      for (const domain of domains) {
        batch.toDomain(domain, area, area.index);
        this.#note(area, domain);
      }
    } catch (error) {
      for (const domain of domains) this.unmapDomain(area, domain);
      throw error;
    }
  }

  #note(area: IoptArea, domain: Domain): void {
    const domains = this.mapped.get(area);
    if (domains) domains.add(domain);
    else this.mapped.set(area, new Set([domain]));
  }
}
