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
import type { Warnings } from "../../kernel/warn.ts";
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

const ACCOUNT_MODES = [ACCOUNT_NONE, ACCOUNT_USER, ACCOUNT_MM] as const;

/** Who pays for pinned pages, as it was when they were mapped or changed hands. */
export interface PagesOwner {
  /** The process that mapped them, or took them over; its limits count. */
  readonly task: Task;
  /** Its memory, which is charged in ACCOUNT_MM mode. */
  readonly mm: Mm;
  /** Its user, who is charged in ACCOUNT_USER mode. */
  readonly user: User;
}

/** A task as an owner of pages. */
export function asOwner(task: Task): PagesOwner {
  return { task, mm: task.mm, user: task.user };
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

/** Charges `delta` pages, negative to uncharge (Linux: iopt_pages_update_pinned). */
function charge(pages: IoptPages, delta: number): void {
  chargeOwner(pages.owner, pages.accountMode, delta, pages.kernel.warnings);
  pages.lastNpinned = pages.npinned;
}

/** Charges an owner in a mode. Throws ENOMEM over RLIMIT_MEMLOCK. */
function chargeOwner(
  owner: PagesOwner,
  mode: AccountMode,
  delta: number,
  warnings: Warnings,
): void {
  switch (mode) {
    case ACCOUNT_USER:
      chargeUser(owner, delta, warnings);
      break;
    case ACCOUNT_MM:
      chargeMm(owner, delta, warnings);
      break;
  }
  owner.mm.pinnedVm += delta;
}

/** Throws ENOMEM for a total that its owner may not lock. */
function checkLimit({ task }: PagesOwner, total: number): void {
  const limit = Number(task.rlimit(RLIMIT_MEMLOCK) >> BigInt(PAGE_SHIFT));
  if (total > limit) throw OVER_LIMIT;
}

/** Linux: incr_user_locked_vm, decr_user_locked_vm. */
function chargeUser(
  owner: PagesOwner,
  delta: number,
  warnings: Warnings,
): void {
  const { user } = owner;
  const total = user.lockedVm + delta;
  if (delta > 0) checkLimit(owner, total);
  if (warnings.on(total < 0, "decr_user_locked_vm: below zero")) return;
  user.lockedVm = total;
}

/** Linux: update_mm_locked_vm, __account_locked_vm. */
function chargeMm(owner: PagesOwner, delta: number, warnings: Warnings): void {
  const { mm } = owner;
  // The account of a process is gone with it; there is nothing to give back to.
  if (!mm.alive) return;
  const total = mm.lockedVm + delta;
  if (delta > 0) checkLimit(owner, total);
  warnings.on(total < 0, "__account_locked_vm: below zero");
  mm.lockedVm = Math.max(total, 0);
}

/**
 * Makes a task the owner of pages: it is charged for what is pinned of them,
 * and who owned them no more. Throws ENOMEM over its RLIMIT_MEMLOCK, with
 * nothing changed. It is charged first: a user who has them already counts
 * twice for the limit, if not in the same process. (Linux: charge_current,
 * change_mm of ioas.c.)
 */
export function changeOwner(
  all: ReadonlySet<IoptPages>,
  owner: PagesOwner,
  warnings: Warnings,
): void {
  const moved = [...all].filter((pages) => isMoved(pages, owner));
  using undo = new DisposableStack();
  for (const mode of ACCOUNT_MODES) {
    const npages = moved.filter(({ accountMode }) => accountMode === mode)
      .reduce((sum, { npinned }) => sum + npinned, 0);
    chargeOwner(owner, mode, npages, warnings);
    undo.defer(() => chargeOwner(owner, mode, -npages, warnings));
  }
  undo.move();
  for (const pages of moved) {
    chargeOwner(pages.owner, pages.accountMode, -pages.npinned, warnings);
  }
  for (const pages of all) pages.owner = owner;
}

/** Whether another account is charged once pages have a new owner (Linux: need_charge_update). */
function isMoved({ owner: old, accountMode }: IoptPages, next: PagesOwner) {
  // Every mode counts what is pinned with the address space as well.
  return old.mm !== next.mm ||
    (accountMode === ACCOUNT_USER && old.user !== next.user);
}
