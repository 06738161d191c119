// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a kernel's iommufd holds, as plain data: for those who draw it.
 *
 * @module
 */

import type { Kernel } from "../kernel.ts";
import type { User } from "../kernel/core.ts";
import { errnoOf } from "../uapi/errno.ts";
import type { RevisionName } from "../uapi/revision.ts";
import { type ContextSnapshot, snapshotContext } from "./context.ts";
import { type PciSnapshot, snapshotPci } from "./pci.ts";

/** A process, and what it is charged, in pages of 4 KiB. */
export interface ProcessSnapshot {
  /** Its number. */
  readonly pid: number;
  /** Its user. */
  readonly uid: number;
  /** VmLck. */
  readonly lockedVm: number;
  /** VmPin. */
  readonly pinnedVm: number;
}

/** A user, and what it is charged, in pages of 4 KiB. */
export interface UserSnapshot {
  /** Its number. */
  readonly uid: number;
  /** Locked pages of all its processes. */
  readonly lockedVm: number;
}

/** A kernel at one moment. Nothing in it changes later. */
export interface Snapshot {
  /** What the kernel behaves as. */
  readonly revision: RevisionName;
  /** Frames of memory that are used. */
  readonly framesUsed: number;
  /** Every open `/dev/iommu`. */
  readonly contexts: readonly ContextSnapshot[];
  /** The devices of VFIO. */
  readonly devices: readonly PciSnapshot[];
  /** All processes. */
  readonly processes: readonly ProcessSnapshot[];
  /** The users of these. */
  readonly users: readonly UserSnapshot[];
  /** What the kernel warned about. */
  readonly warnings: readonly string[];
}

/** What is looked at beside what always is. */
export interface SnapshotOptions {
  /** The page tables of HWPTs too, which may be long. Default false. */
  readonly pageTables?: boolean;
}

/**
 * What a kernel's iommufd holds, in the order of ids, IOVA and page indexes.
 * It changes nothing, and the same state always gives the same data.
 */
export function snapshot(
  kernel: Kernel,
  { pageTables = false }: SnapshotOptions = {},
): Snapshot {
  return {
    revision: kernel.revision.name,
    framesUsed: kernel.frames.used,
    contexts: Array.from(
      kernel.iommufd.contexts,
      (ctx) => snapshotContext(ctx, pageTables),
    ),
    devices: kernel.vfio.devices.map(snapshotPci),
    ...accountsOf(kernel),
    warnings: [...kernel.warnings.list],
  };
}

function accountsOf(kernel: Kernel): Pick<Snapshot, "processes" | "users"> {
  const processes: ProcessSnapshot[] = [];
  const users = new Set<User>();
  for (const task of kernel.tasks) {
    // One that is about to go may have no memory any more, or no user.
    errnoOf(() => {
      const { pid, user, mm: { lockedVm, pinnedVm } } = task;
      users.add(user);
      processes.push({ pid, uid: user.uid, lockedVm, pinnedVm });
    });
  }
  return {
    processes,
    users: Array.from(users, ({ uid, lockedVm }) => ({ uid, lockedVm })),
  };
}
