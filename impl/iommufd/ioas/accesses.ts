// SPDX-License-Identifier: GPL-2.0-only

/**
 * Who uses an IO page table from inside the kernel. Linux: io_pagetable.c,
 * iopt_add_access and iopt_remove_access; device.c,
 * iommufd_access_notify_unmap.
 *
 * @module
 */

import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { checkIovaAlignment } from "./alignment.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/** One who uses the IO page table, as far as it matters here. */
export interface IoptAccess {
  /** Alignment that its pins need, bytes: 1 or a page. */
  readonly iovaAlignment: number;
  /** Asks it to unpin what intersects a range of bytes; returns when it has. */
  notifyUnmap(iova: bigint, length: bigint): void;
}

/**
 * Adds a user of the table and returns its id, the lowest free one. Throws
 * EADDRINUSE if an area does not conform to the access's alignment, EBUSY with
 * 65,536 accesses, ENOMEM.
 */
export function addIoptAccess(iopt: IoPagetable, access: IoptAccess): number {
  const { accesses, alignment, kernel } = iopt;
  const id = accesses.alloc();
  try {
    kernel.allocNodes(
      () => XarrayNodes.of([...accesses.ids()].filter((other) => other !== id)),
      id,
      id,
    );
    checkIovaAlignment(iopt, access.iovaAlignment);
  } catch (error) {
    accesses.erase(id);
    throw error;
  }
  accesses.publish(id, access);
  alignment.add(access.iovaAlignment);
  return id;
}

/** Removes a user of the table. */
export function removeIoptAccess(
  iopt: IoPagetable,
  access: IoptAccess,
  id: number,
): void {
  iopt.kernel.warnings.on(
    iopt.accesses.erase(id) !== access,
    "iopt_remove_access: another access has the id",
  );
  iopt.alignment.remove(access.iovaAlignment);
}

/** Asks all users to unpin what intersects a range of bytes. */
export function notifyUnmap(
  iopt: IoPagetable,
  iova: bigint,
  length: bigint,
): void {
  // A driver may add and remove accesses: each is looked at in its turn.
  for (const [, access] of iopt.accesses) access.notifyUnmap(iova, length);
}
