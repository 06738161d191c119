// SPDX-License-Identifier: GPL-2.0-only

/**
 * Eventfds that write to a BAR when they are signalled: a doorbell without a
 * system call of the device's user.
 *
 * Linux: vfio_pci_ioeventfd of drivers/vfio/pci/vfio_pci_rdwr.c.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { EEXIST, EINVAL, ENODEV, ENOSPC } from "../../uapi/errno.ts";
import {
  VFIO_DEVICE_IOEVENTFD_SIZE_MASK,
  VfioDeviceIoeventfd,
} from "../../uapi/vfio/feature.ts";
import type { VfioPciDevice } from "./pci_device.ts";
import { msixTable, REGION_STRIDE } from "./regions.ts";
import { eventfdOf, Waiter } from "./signal.ts";
import { checkFlags, load } from "./structs.ts";

/** How many a device may have. */
const MAX_IOEVENTFDS = 1000;

/** Those of one open device, by what they write where. */
export class Ioeventfds {
  readonly #waiters: Map<string, Waiter> = new Map();

  /** One more, or one less for descriptor -1. Throws EEXIST, ENODEV, ENOSPC, EBADF, EINVAL. */
  set(task: Task, key: string, fd: number, act: () => void): void {
    const found = this.#waiters.get(key);
    if (found !== undefined) {
      if (fd !== -1) throw EEXIST.because("there is one that writes the same");
      found.disable();
      this.#waiters.delete(key);
      return;
    }
    if (fd === -1) throw ENODEV.because("there is none that writes that");
    if (this.#waiters.size >= MAX_IOEVENTFDS) {
      throw ENOSPC.because("a device has at most 1000");
    }
    const waiter = new Waiter(act);
    waiter.enable(eventfdOf(task, fd));
    this.#waiters.set(key, waiter);
  }

  /** Ends all. */
  release(): void {
    for (const waiter of this.#waiters.values()) waiter.disable();
    this.#waiters.clear();
  }
}

/** VFIO_DEVICE_IOEVENTFD. Throws EFAULT, EINVAL, and as `Ioeventfds.set`. */
export function ioeventfd(
  device: VfioPciDevice,
  task: Task,
  uaddr: number,
): void {
  const layout = VfioDeviceIoeventfd;
  const least = layout.minSizeIn("7.3");
  const { cmd } = load(task, uaddr, layout, least);
  const { flags: count, offset, data, fd } = cmd;
  checkFlags(count, VFIO_DEVICE_IOEVENTFD_SIZE_MASK);
  if (![1, 2, 4, 8].includes(count) || fd < -1) {
    throw EINVAL.because("1, 2, 4 or 8 bytes are written, by a descriptor");
  }
  const stride = BigInt(REGION_STRIDE);
  const index = Number(offset / stride);
  const at = Number(offset % stride);
  const bar = device.pci.device.bars[index];
  if (bar === undefined || at + count > bar.size) {
    throw EINVAL.because("that is in no BAR");
  }
  const [tableStart, tableEnd] = msixTable(device, index);
  if (at < tableEnd && at + count > tableStart) {
    throw EINVAL.because("the table of MSI-X is hidden");
  }
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, data, true);
  const key = `${offset} ${count} ${data}`;
  device.ioeventfds.set(task, key, fd, () => {
    if (bar.isIo || device.memoryEnabled) {
      bar.store(at, bytes.subarray(0, count));
    }
  });
}
