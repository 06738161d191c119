// SPDX-License-Identifier: GPL-2.0-only

/**
 * Charging pinned pages to whoever asked for them, in three modes.
 *
 * Charges happen as the difference between what is pinned now and what was
 * pinned when it was last looked at, after the work is done: only then is it
 * known how many pages were not pinned already. Linux: pages.c,
 * do_update_pinned.
 *
 * @module
 */

import type { User } from "../../kernel/credentials.ts";
import type { Mm } from "../../kernel/interfaces/mm.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { ENOMEM } from "../../uapi/errno.ts";
import { PAGE_SHIFT, RLIMIT_MEMLOCK } from "../../uapi/mman.ts";
import type { IoptPages } from "./pages.ts";

const OVER_LIMIT = ENOMEM.because("RLIMIT_MEMLOCK does not allow to pin more");

/** Not charged: the process had CAP_IPC_LOCK. */
export const ACCOUNT_NONE = 0;
/** Charged to the user, as io_uring does. */
export const ACCOUNT_USER = 1;
/** Charged to the process's memory, as VFIO does. */
export const ACCOUNT_MM = 2;
/** One of the three modes (Linux: IOPT_PAGES_ACCOUNT_*). */
export type AccountMode = 0 | 1 | 2;

/** Who pays for pinned pages, as it was when they were mapped. */
export interface PagesOwner {
  /** The process that mapped them; its limits count. */
  readonly task: Task;
  /** Its memory, which is charged in ACCOUNT_MM mode. */
  readonly mm: Mm;
  /** Its user, who is charged in ACCOUNT_USER mode. */
  readonly user: User;
}

/**
 * Charges or uncharges the difference since the last time (Linux:
 * pfn_reader_user_update_pinned). Throws ENOMEM over RLIMIT_MEMLOCK.
 */
export function updatePinned(pages: IoptPages): void {
  const delta = pages.npinned - pages.lastNpinned;
  if (delta === 0) return;
  if (delta > 0) pages.kernel.step("pages.charge");
  charge(pages, delta);
}

/** Uncharges after an unpin, which never fails (Linux: update_unpinned). */
export function updateUnpinned(pages: IoptPages): void {
  const delta = pages.npinned - pages.lastNpinned;
  if (pages.kernel.warnings.on(delta > 0, "update_unpinned: pins were added")) {
    return;
  }
  if (delta !== 0) charge(pages, delta);
}

/** Linux: do_update_pinned. `delta` pages, negative to uncharge. */
function charge(pages: IoptPages, delta: number): void {
  switch (pages.accountMode) {
    case ACCOUNT_USER:
      chargeUser(pages, delta);
      break;
    case ACCOUNT_MM:
      chargeMm(pages, delta);
      break;
  }
  pages.lastNpinned = pages.npinned;
  pages.owner.mm.pinnedVm += delta;
}

/** Pages that the owner may lock. */
function lockLimit(pages: IoptPages): number {
  return Number(pages.owner.task.rlimit(RLIMIT_MEMLOCK) >> BigInt(PAGE_SHIFT));
}

/** Linux: incr_user_locked_vm, decr_user_locked_vm. */
function chargeUser(pages: IoptPages, delta: number): void {
  const { user } = pages.owner;
  const total = user.lockedVm + delta;
  if (delta > 0 && total > lockLimit(pages)) throw OVER_LIMIT;
  if (
    pages.kernel.warnings.on(total < 0, "decr_user_locked_vm: below zero")
  ) {
    return;
  }
  user.lockedVm = total;
}

/** Linux: update_mm_locked_vm, __account_locked_vm. */
function chargeMm(pages: IoptPages, delta: number): void {
  const { mm } = pages.owner;
  // The account of a process is gone with it; there is nothing to give back to.
  if (!mm.alive) return;
  const total = mm.lockedVm + delta;
  if (delta > 0 && total > lockLimit(pages)) throw OVER_LIMIT;
  pages.kernel.warnings.on(total < 0, "__account_locked_vm: below zero");
  mm.lockedVm = Math.max(total, 0);
}
