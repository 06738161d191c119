// SPDX-License-Identifier: GPL-2.0-only

/**
 * What Linux shows of devices under /sys. There is no /sys here, but each of
 * its entries is an allocation that can fail and leave a device half set up,
 * so the steps are here.
 *
 * @module
 */

import type { KernelCore } from "../core.ts";

/**
 * An entry whose name the caller keeps: a constant. Throws ENOMEM. (Linux:
 * kernfs_new_node.)
 */
export function sysfsEntry(kernel: KernelCore): void {
  kernel.alloc();
}

/** An entry that needs a copy of its name. Throws ENOMEM. (Linux: kernfs_new_node.) */
export function sysfsNamedEntry(kernel: KernelCore): void {
  // The name, and the entry.
  kernel.alloc();
  kernel.alloc();
}

/**
 * What a device on a bus has, before the bus tells drivers about it. Throws
 * ENOMEM. (Linux: device_add.)
 */
export function sysfsAddDevice(kernel: KernelCore): void {
  // The private part, the directory, its file uevent.
  kernel.alloc();
  sysfsNamedEntry(kernel);
  sysfsEntry(kernel);
  // The bus's link to it, and its link "subsystem" to the bus.
  sysfsNamedEntry(kernel);
  sysfsEntry(kernel);
}

/** User space is told that a device came or went; that this fails is nobody's business (Linux: kobject_uevent). */
export function sysfsUevent(kernel: KernelCore): void {
  // The variables, and the path.
  kernel.allocOrGoOn();
  kernel.allocOrGoOn();
}
