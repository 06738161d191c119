// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is behind some pages: the memory of a process, a file, a DMA buffer
 * (Linux: enum iopt_address_type).
 *
 * @module
 */

import type { Domain } from "../../iommu/domain.ts";
import type { FrameList } from "../../lib/frame_list.ts";
import type { IoptArea } from "./area.ts";
import type { IoptPages } from "./pages.ts";
import type { PfnReader } from "./pfn_reader.ts";
import type { Unmapper } from "./unmapper.ts";

/** Access flag: read. */
export const IOMMUFD_ACCESS_RW_READ = 0;
/** Access flag: write. */
export const IOMMUFD_ACCESS_RW_WRITE = 1 << 0;
/** Access flag: the caller is a kernel thread and may borrow the source's memory map. */
export const IOMMUFD_ACCESS_RW_KTHREAD = 1 << 1;
/** Access flag for selftests: go through the pages even where a plain copy would do. */
export const IOMMUFD_ACCESS_RW_SLOW_PATH = 1 << 2;

/**
 * What is behind some pages, which are a part of it: its own pages are numbered
 * from its start on, see {@link IoptPages.firstPage}.
 */
export interface PagesSource {
  /** Where its frames are pinned; undefined for what is no memory of the CPU: only domains get it. */
  readonly frames: FrameSource | undefined;
  /** How domains get it. */
  readonly filling: Filling;
  /** Whether it was taken back for good: nothing of it is in any domain. */
  readonly revoked: boolean;
  /** What has a page that is not pinned, for a drawing. */
  readonly place: string;
  /** What it is, for a drawing: pages that an owner has from byte `start` on. */
  describe(owner: string, start: string): string;
  /** Gives up what it is a part of: the last one who used it is gone. */
  release(): void;
}

/** A source whose frames are pinned, page by page. */
export interface FrameSource {
  /** Whether another process may become the owner: the frames do not come from the owner's address space. */
  readonly ownerMayChange: boolean;
  /** Whether pins find folios first, which are listed in a buffer of their own (Linux: pfn_reader_user.ufolios). */
  readonly listsFolios: boolean;

  /**
   * Pins at most `npages` pages from page `first` of the source on, and adds
   * their frames to `list`, which is empty and has room for so many runs;
   * returns how many, at least 1. Throws EFAULT for bad or vanished memory,
   * EOVERFLOW for the last page of all, EINVAL for a part of a file that has no
   * pages, ENOMEM.
   */
  pin(first: number, npages: number, list: FrameList): number;

  /**
   * Copies between `data` and the source without a look at pinned frames, from
   * byte `offset` of page `page` of the source on; `flags` are `IOMMUFD_ACCESS_RW_*`. False,
   * with nothing done, where only the frames will do. Throws EFAULT, ENOMEM.
   */
  copy(
    page: number,
    offset: number,
    data: Uint8Array,
    flags: number,
  ): boolean;
}

/**
 * How the pages of areas get into domains and out again. Filling throws
 * EFAULT, EINVAL, ENOMEM or what the driver throws, and the domains are then as
 * before; nothing else fails. What a call does it with is the caller's: it has
 * one for all areas that it goes over.
 */
export interface Filling {
  /** What a domain is told of the protection `prot` of an area. */
  domainProt(prot: number): number;
  /** Fills a domain that joins the IO page table of an area. */
  fillDomain(area: IoptArea, domain: Domain, reader: PfnReader): void;
  /** Fills all domains of its IO page table, of which there are some, with a new area. */
  fillDomains(area: IoptArea, pages: IoptPages, reader: PfnReader): void;
  /** Empties a domain while others keep the pages. */
  unmapDomain(area: IoptArea, domain: Domain): void;
  /** Empties the last domain; the area is out of `domainsTree`. */
  unfillDomain(
    area: IoptArea,
    pages: IoptPages,
    domain: Domain,
    unmapper: Unmapper,
  ): void;
}
