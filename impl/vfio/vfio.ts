// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO: which devices it has, and their files in /dev/vfio.
 *
 * Linux: drivers/vfio/vfio_main.c, and drivers/vfio/pci/vfio_pci.c as a driver
 * of PCI devices.
 *
 * @module
 */

import type { IommufdKernel } from "../iommufd/kernel.ts";
import type { Group } from "../iommu/group.ts";
import { ValueFile } from "../kernel/files/value_file.ts";
import type { PciDriver, PciFunction } from "../pci/function.ts";
import { numVfsValue } from "../pci/sriov.ts";
import { EBUSY, EINVAL, ENOENT } from "../uapi/errno.ts";
import { VfioDevice } from "./device.ts";
import { VfioDeviceFile } from "./device_file.ts";
import { VfioGroup } from "./group.ts";
import { GroupFile } from "./group_file.ts";
import { Type1Container } from "./type1/container.ts";

/** VFIO of one kernel. */
export class Vfio implements PciDriver {
  /** Its devices, oldest first. */
  readonly devices: VfioDevice[] = [];
  /** Their groups. */
  readonly groups: Map<Group, VfioGroup> = new Map();
  /** Whether its devices may have virtual functions (Linux: vfio_pci's parameter enable_sriov, which is off at first). */
  enableSriov = true;
  readonly #kernel: IommufdKernel;

  /** Without devices. `/dev/vfio/vfio` is iommufd's, unless it shall be type1's. */
  constructor(kernel: IommufdKernel) {
    this.#kernel = kernel;
    if (kernel.options.vfioContainer === "iommufd") return;
    kernel.registerDevice(
      "/dev/vfio/vfio",
      (_task, access) => new Type1Container(kernel, access),
    );
  }

  /** Takes a PCI device on: it gets a file, and its group one. Throws EINVAL for a device without an IOMMU where that is not allowed. (Linux: vfio_register_group_dev.) */
  add(pci: PciFunction): VfioDevice {
    const group = this.#groupOf(pci);
    let index = 0;
    while (this.devices.some((other) => other.index === index)) index++;
    const physFn = pci.physFn && this.deviceOf(pci.physFn);
    const device = new VfioDevice(index, pci, group, physFn);
    this.devices.push(device);
    group.devices.push(device);
    pci.driver = this;
    const { sriov } = pci;
    if (sriov !== undefined) {
      this.#kernel.registerDevice(
        `/sys/bus/pci/devices/${pci.name}/sriov_numvfs`,
        (_task, access) => new ValueFile(numVfsValue(sriov), access),
      );
    }
    const { isNoIommu } = group;
    // A device without an IOMMU has a file of its own as late as it can be bound.
    if (!isNoIommu || this.#kernel.revision.attach.bindsWithoutIommu) {
      this.#kernel.registerDevice(pathOf(device), (task, access) => {
        group.checkPermission(task);
        return new VfioDeviceFile(this.#kernel, device, access);
      });
    }
    return device;
  }

  /** VFIO's device that a function is. */
  deviceOf(pci: PciFunction): VfioDevice | undefined {
    return this.devices.find((device) => device.pci === pci);
  }

  /** The same as {@link add}. */
  probe(pci: PciFunction): void {
    this.add(pci);
  }

  /** Lets a device go that nobody has open (Linux: vfio_unregister_group_dev). */
  remove(pci: PciFunction): void {
    const device = this.deviceOf(pci)!;
    const { group } = device;
    pci.driver = undefined;
    this.#kernel.unregisterDevice(pathOf(device));
    this.devices.splice(this.devices.indexOf(device), 1);
    group.devices.splice(group.devices.indexOf(device), 1);
    if (group.devices.length > 0) return;
    group.remove();
    this.groups.delete(group.iommuGroup);
    if (group.isNoIommu) group.iommuGroup.put();
    this.#kernel.unregisterDevice(pathOfGroup(group));
  }

  /**
   * A device shall have so many virtual functions, which are VFIO's too. Throws
   * ENOENT where that is switched off, EINVAL where it has some, EBUSY while one
   * is open, whose user is asked: Linux waits for it. (Linux:
   * vfio_pci_core_sriov_configure.)
   */
  configureSriov(pci: PciFunction, count: number): void {
    if (!this.enableSriov) throw ENOENT.because("enable_sriov is off");
    const { sriov } = pci;
    if (sriov === undefined) {
      throw EINVAL.because("the device has no virtual functions");
    }
    if (count > 0) {
      this.deviceOf(pci)!.core.powerUp();
      sriov.enable(count);
      return;
    }
    const inUse = sriov.functions.map((vf) => this.deviceOf(vf))
      .filter((vf) => vf !== undefined && vf.files > 0);
    for (const vf of inUse) vf!.request();
    if (inUse.length > 0) throw EBUSY.because("a virtual function is open");
    sriov.disable();
  }

  /** The group of a function: one that nobody else is in, where it has no IOMMU. (Linux: vfio_group_find_or_alloc.) */
  #groupOf(pci: PciFunction): VfioGroup {
    const isNoIommu = pci.group === null;
    if (isNoIommu && !this.#kernel.options.vfioNoIommuMode) {
      throw EINVAL.because("enable_unsafe_noiommu_mode is off");
    }
    const iommuGroup = pci.group ?? this.#kernel.iommu.allocGroup();
    const found = this.groups.get(iommuGroup);
    if (found !== undefined) return found;
    const group = new VfioGroup(
      this.#kernel,
      iommuGroup,
      (pci) => this.deviceOf(pci),
      isNoIommu,
    );
    this.groups.set(iommuGroup, group);
    this.#kernel.registerDevice(
      pathOfGroup(group),
      (task, access) => new GroupFile(group, task, access),
    );
    return group;
  }
}

/** Where a device is opened, below `/dev/vfio/devices`, is its name too. */
export function nameOfDevice({ index, group }: VfioDevice): string {
  return `${group.isNoIommu ? "noiommu-" : ""}vfio${index}`;
}

/** The name of a group, below `/dev/vfio`. */
function nameOfGroup({ iommuGroup, isNoIommu }: VfioGroup): string {
  return `${isNoIommu ? "noiommu-" : ""}${iommuGroup.id}`;
}

function pathOf(device: VfioDevice): string {
  return `/dev/vfio/devices/${nameOfDevice(device)}`;
}

function pathOfGroup(group: VfioGroup): string {
  return `/dev/vfio/${nameOfGroup(group)}`;
}
