// SPDX-License-Identifier: GPL-2.0-only

/**
 * `IoptPages`: the memory behind one or more areas, and where its list of
 * frames is kept.
 *
 * The frames of a page index are found, in this order, in
 *  1. `pinnedPfns`, while an access covers the index,
 *  2. the IOPTEs of a domain, while an area of `domainsTree` covers it,
 *  3. the user's memory, from where they are pinned exactly once.
 *
 * An index that neither tree covers is not pinned. Taking a domain or an
 * access away never needs memory and never fails. Linux: pages.c, struct
 * iopt_pages.
 *
 * @module
 */

import type { KernelCore, User } from "../../kernel/core.ts";
import type { Mm } from "../../kernel/interfaces/mm.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { IntervalNode, IntervalTree } from "../../lib/interval_tree.ts";
import { SparseUint32Array } from "../../lib/sparse_array.ts";
import { checkedAdd, U64_MAX } from "../../lib/u64.ts";
import { EINVAL } from "../../uapi/errno.ts";
import { CAP_IPC_LOCK, PAGE_SHIFT, PAGE_SIZE } from "../../uapi/mman.ts";
import { ACCOUNT_NONE, ACCOUNT_USER, type AccountMode } from "./accounting.ts";
import type { AreaSlice } from "./area.ts";

/**
 * A range of page indexes that in-kernel accesses use: it keeps their frames
 * pinned and in `pinnedPfns`. Linux: struct iopt_pages_access.
 */
export class PagesAccess extends IntervalNode<number> {
  /** Pins of exactly this range. */
  users = 1;
}

/** A linear piece of user memory; several areas may share it. */
export class IoptPages {
  /** The kernel that it lives in. */
  readonly kernel: KernelCore;
  /** Pages from `uptr` on. */
  readonly npages: number;
  /** Pages that are pinned now. */
  npinned = 0;
  /** Pages that were pinned when they were last charged. */
  lastNpinned = 0;
  /** The process that mapped it; its limits count. */
  readonly sourceProcess: Task;
  /** That process's memory. */
  readonly sourceMm: Mm;
  /** The user that is charged in ACCOUNT_USER mode. */
  readonly sourceUser: User;
  /** Address of page 0: page aligned. */
  readonly uptr: bigint;
  /** Whether a device may write it. */
  readonly writable: boolean;
  /** How pinned pages are charged. */
  accountMode: AccountMode;
  /** Ranges that accesses use; they may overlap. */
  readonly accessTree: IntervalTree<number, PagesAccess> = new IntervalTree();
  /** Slices of the areas that a domain holds; they may overlap. */
  readonly domainsTree: IntervalTree<number, AreaSlice> = new IntervalTree();
  #refs = 1;
  #pinnedPfns: SparseUint32Array | undefined;

  /**
   * The pages under `length` bytes from `uptr` on, of the calling process.
   * Nothing is pinned yet. Throws EINVAL for a length of 0 or above
   * 2^64 - 4097, EOVERFLOW when the end wraps, ENOMEM. Linux:
   * iopt_alloc_pages.
   */
  constructor(
    kernel: KernelCore,
    uptr: bigint,
    length: bigint,
    writable: boolean,
  ) {
    if (length === 0n || length > U64_MAX - BigInt(PAGE_SIZE)) throw EINVAL;
    if (kernel.revision.pages.checksUserVaOverflow) checkedAdd(uptr, length);
    kernel.step("pages.alloc");
    const process = kernel.current!;
    const offset = uptr & BigInt(PAGE_SIZE - 1);
    this.kernel = kernel;
    this.uptr = uptr - offset;
    // Linux lets the sum wrap: then no area finds enough pages.
    const end = BigInt.asUintN(64, length + offset + BigInt(PAGE_SIZE - 1));
    this.npages = Number(end >> BigInt(PAGE_SHIFT));
    this.writable = writable;
    this.sourceProcess = process;
    this.sourceMm = process.mm;
    this.sourceUser = process.user;
    this.accountMode = process.capable(CAP_IPC_LOCK)
      ? ACCOUNT_NONE
      : ACCOUNT_USER;
  }

  /** Frame number + 1 by page index, for the indexes that `accessTree` covers. */
  get pinnedPfns(): SparseUint32Array {
    return this.#pinnedPfns ??= new SparseUint32Array();
  }

  /** Takes a reference. */
  get(): this {
    this.#refs++;
    return this;
  }

  /** Drops a reference; the last one checks that nothing is held (Linux: iopt_release_pages). */
  put(): void {
    if (--this.#refs > 0) return;
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

  /** Address of page `index` as a number; one that no process can have stays beyond them all. */
  userAddress(index: number): number {
    return Number(this.uptr) + index * PAGE_SIZE;
  }
}
