// SPDX-License-Identifier: GPL-2.0-only

/**
 * Resets of a whole bus: all devices on it at once, if they are the caller's.
 *
 * A device on bus 0 has no bridge above it that could do that. Linux:
 * vfio_pci_ioctl_get_pci_hot_reset_info and vfio_pci_ioctl_pci_hot_reset of
 * drivers/vfio/pci/vfio_pci_core.c.
 *
 * @module
 */

import { iommufdCtxHasGroup } from "../../iommufd/attach/device.ts";
import type { Group } from "../../iommu/group.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import type { PciFunction } from "../../pci/function.ts";
import { EINVAL, ENODEV, ENOSPC } from "../../uapi/errno.ts";
import {
  VFIO_PCI_DEVID_NOT_OWNED,
  VFIO_PCI_DEVID_OWNED,
  VFIO_PCI_HOT_RESET_FLAG_DEV_ID,
  VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
  VfioPciDependentDevice,
  VfioPciHotReset,
  VfioPciHotResetInfo,
} from "../../uapi/vfio/feature.ts";
import type { VfioDevice } from "../device.ts";
import type { VfioGroup } from "../group.ts";
import { load } from "./structs.ts";

const NO_BUS = ENODEV.because("no bridge can reset the bus of the device");
const NOT_OWNED = EINVAL.because("a device on the bus is somebody else's");

/** GET_PCI_HOT_RESET_INFO. Throws EFAULT, EINVAL, ENODEV, ENOSPC without room, with the count written. */
export function getHotResetInfo(
  device: VfioDevice,
  isOfGroup: boolean,
  task: Task,
  uaddr: number,
): void {
  const layout = VfioPciHotResetInfo;
  const { bytes, cmd } = load(task, uaddr, layout);
  const functions = sameBus(device.pci);
  cmd.flags = 0;
  cmd.count = functions.length;
  const entrySize = VfioPciDependentDevice.size;
  if (cmd.argsz < bytes.length + functions.length * entrySize) {
    task.mm.copyToUser(uaddr, bytes);
    throw ENOSPC.because("there is no room for all devices");
  }
  const ids = functions.map((pci) =>
    isOfGroup ? groupOf(device, pci).id : devIdOf(device, pci)
  );
  if (!isOfGroup) {
    cmd.flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
    if (!ids.includes(VFIO_PCI_DEVID_NOT_OWNED)) {
      cmd.flags |= VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
    }
  }
  functions.forEach(({ busNumber: bus, devfn }, i) => {
    const entry = { devid: ids[i]!, segment: 0, bus, devfn };
    const at = uaddr + bytes.length + i * entrySize;
    task.mm.copyToUser(at, VfioPciDependentDevice.encode(entry));
  });
  task.mm.copyToUser(uaddr, bytes);
}

/**
 * PCI_HOT_RESET: of a device with a file of its own all on the bus must be of
 * its iommufd; else groups are named that have them all. Throws EFAULT, EINVAL,
 * ENODEV, EBADF.
 */
export function hotReset(
  device: VfioDevice,
  isOfGroup: boolean,
  groupAt: (fd: number) => VfioGroup,
  task: Task,
  uaddr: number,
): void {
  const layout = VfioPciHotReset;
  const { bytes, cmd } = load(task, uaddr, layout);
  if (cmd.flags !== 0) throw EINVAL.because("a flag is unknown");
  if (cmd.count > 0 !== isOfGroup) {
    throw EINVAL.because("groups are named by devices of groups");
  }
  const functions = sameBus(device.pci);
  if (isOfGroup) {
    if (cmd.count > functions.length) {
      throw EINVAL.because("there are more groups than devices");
    }
    const fds = new Int32Array(cmd.count);
    task.mm.copyFromUser(new Uint8Array(fds.buffer), uaddr + bytes.length);
    const groups = new Set([...fds].map((fd) => groupAt(fd).iommuGroup));
    if (!functions.every((pci) => groups.has(groupOf(device, pci)))) {
      throw NOT_OWNED;
    }
  } else if (
    functions.some((pci) => devIdOf(device, pci) === VFIO_PCI_DEVID_NOT_OWNED)
  ) throw NOT_OWNED;
  for (const pci of functions) device.group.deviceOf(pci)?.core.resetFunction();
}

/** The functions on the bus of one. Throws ENODEV on bus 0, and on one that is there for virtual functions alone. */
function sameBus(pci: PciFunction): PciFunction[] {
  const { busNumber } = pci.physFn ?? pci;
  if (busNumber === 0 || busNumber !== pci.busNumber) throw NO_BUS;
  return [...pci.bus.functions.values()].filter(({ busNumber }) =>
    busNumber === pci.busNumber
  );
}

/** The group of a function, which has one of VFIO's where it has no IOMMU. */
function groupOf(device: VfioDevice, pci: PciFunction): Group {
  return pci.group ?? device.group.deviceOf(pci)!.group.iommuGroup;
}

/** What a device is to the iommufd of another: its id, or whether it is its own (Linux: vfio_iommufd_get_dev_id). */
function devIdOf(device: VfioDevice, pci: PciFunction): number {
  const { ctx } = device.idev!;
  const other = device.group.deviceOf(pci);
  if (other?.idev?.ctx === ctx) return other.idev.id;
  return pci.group !== null && iommufdCtxHasGroup(ctx, pci.group)
    ? VFIO_PCI_DEVID_OWNED
    : VFIO_PCI_DEVID_NOT_OWNED;
}
