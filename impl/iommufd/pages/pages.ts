// SPDX-License-Identifier: GPL-2.0-only

/**
 * `IoptPages`: the memory behind one or more areas, and where its list of
 * frames is kept.
 *
 * The frames of a page index are found, in this order, in
 *  1. `pinnedPfns`, while an access covers the index,
 *  2. the IOPTEs of a domain, while an area of `domainsTree` covers it,
 *  3. the source, a user's memory or a file, from where they are pinned exactly
 *     once.
 *
 * An index that neither tree covers is not pinned. Taking a domain or an
 * access away never needs memory and never fails. Linux: pages.c, struct
 * iopt_pages.
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import type { PageIndex } from "../../lib/brands.ts";
import { IntervalNode, IntervalTree } from "../../lib/interval_tree.ts";
import { DoubleSpanIterator } from "../../lib/span_iterator.ts";
import { SparseUint32Array } from "../../lib/sparse_array.ts";
import { CAP_IPC_LOCK, PAGE_SHIFT } from "../../uapi/mman.ts";
import {
  ACCOUNT_NONE,
  ACCOUNT_USER,
  type AccountMode,
  type PagesOwner,
} from "./accounting.ts";
import type { IoptArea } from "./area.ts";
import type { PagesSource } from "./source.ts";

/**
 * A range of page indexes that in-kernel accesses use: it keeps their frames
 * pinned and in `pinnedPfns`. Linux: struct iopt_pages_access.
 */
export class PagesAccess extends IntervalNode<PageIndex> {
  /** Pins of exactly this range. */
  users = 1;
}

/** What {@link IoptPages.spans} says of pages that accesses use. */
export const IN_ACCESS = 1;
/** What it says of pages that no access uses, but a domain holds. */
export const IN_DOMAIN = 2;

/** What no access uses. */
const NO_ACCESSES: IntervalTree<PageIndex, PagesAccess> = new IntervalTree();

/** Which pages of a source some pages are. */
export interface PagesPlace {
  /** The page of the source that has index 0. */
  readonly firstPage: number;
  /** How many they are. */
  readonly npages: number;
  /** Whether a device may write them. */
  readonly writable: boolean;
}

/** A linear piece of memory; several areas may share it. There may be very many, so what few need is made when it is. */
export class IoptPages extends IntervalTree<PageIndex, IoptArea> {
  /** The kernel that it lives in. */
  readonly kernel: KernelCore;
  /** Pages that there are. */
  readonly npages: number;
  /** Pages that are pinned now. */
  npinned = 0;
  /** Pages that were pinned when they were last charged. */
  lastNpinned = 0;
  /** What is behind it. */
  readonly source: PagesSource;
  /** The page of the source that has index 0. */
  readonly firstPage: number;
  /** Who is charged for it. */
  owner: PagesOwner;
  /** Whether a device may write it. */
  readonly writable: boolean;
  /** How pinned pages are charged. */
  accountMode: AccountMode;
  #refs = 1;
  #accessTree: IntervalTree<PageIndex, PagesAccess> = NO_ACCESSES;
  #pinnedPfns: SparseUint32Array | undefined;

  /** Pages of `source`, not pinned yet, that the calling process pays for. */
  constructor(
    kernel: KernelCore,
    owner: PagesOwner,
    source: PagesSource,
    { firstPage, npages, writable }: PagesPlace,
  ) {
    super();
    this.kernel = kernel;
    this.source = source;
    this.firstPage = firstPage;
    this.npages = npages;
    this.writable = writable;
    this.owner = owner;
    const isFree = source.frames === undefined ||
      owner.task.capable(CAP_IPC_LOCK);
    this.accountMode = isFree ? ACCOUNT_NONE : ACCOUNT_USER;
  }

  /** Its first byte in the source: a place that the kernel chooses for an area is aligned like it. */
  get start(): bigint {
    return BigInt(this.firstPage) << BigInt(PAGE_SHIFT);
  }

  /** Ranges that accesses use; they may overlap. */
  get accessTree(): Omit<IntervalTree<PageIndex, PagesAccess>, "insert"> {
    return this.#accessTree;
  }

  /** Adds a range that an access uses. */
  insertAccess(access: PagesAccess): void {
    if (this.#accessTree === NO_ACCESSES) {
      this.#accessTree = new IntervalTree();
    }
    this.#accessTree.insert(access);
  }

  /** The areas that a domain holds; they may overlap. The pages are that tree themselves: each would have one more object otherwise. */
  get domainsTree(): IntervalTree<PageIndex, IoptArea> {
    return this;
  }

  /** Frame number + 1 by page index, for the indexes that `accessTree` covers. */
  get pinnedPfns(): SparseUint32Array {
    return this.#pinnedPfns ??= new SparseUint32Array();
  }

  /**
   * The pages `first` to `last`, by who has them pinned: {@link IN_ACCESS},
   * {@link IN_DOMAIN} or nobody. Given an iterator that is not in use any more,
   * it is that one again.
   */
  spans(
    first: PageIndex,
    last: PageIndex,
    again?: DoubleSpanIterator<PageIndex>,
  ): DoubleSpanIterator<PageIndex> {
    if (again === undefined) {
      return new DoubleSpanIterator(this.#accessTree, this, first, last);
    }
    again.restart(this.#accessTree, this, first, last);
    return again;
  }

  /** Takes a reference. */
  get(): this {
    this.#refs++;
    return this;
  }

  /** Drops a reference; the last one gives the source back and checks that nothing is held (Linux: iopt_release_pages). */
  put(): void {
    if (--this.#refs > 0) return;
    this.source.release();
    const { warnings } = this.kernel;
    warnings.on(!this.accessTree.isEmpty, "iopt_release_pages: accesses left");
    warnings.on(!this.domainsTree.isEmpty, "iopt_release_pages: domains left");
    warnings.on(this.npinned !== 0, "iopt_release_pages: pages pinned");
    warnings.on(
      this.#pinnedPfns?.isEmpty === false,
      "iopt_release_pages: frames left",
    );
  }

  /** Counts pages that were just pinned (Linux: iopt_pages_add_npinned). */
  addNpinned(npages: number): void {
    this.npinned += npages;
    this.kernel.warnings.on(
      this.npinned > this.npages,
      "iopt_pages_add_npinned: more pinned than there are",
    );
  }

  /** Counts pages that were just unpinned (Linux: iopt_pages_sub_npinned). */
  subNpinned(npages: number): void {
    this.npinned -= npages;
    this.kernel.warnings.on(
      this.npinned < 0,
      "iopt_pages_sub_npinned: more unpinned than were pinned",
    );
  }
}
