// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO: which devices it has, and their files in /dev/vfio.
 *
 * Linux: drivers/vfio/vfio_main.c.
 *
 * @module
 */

import type { IommufdKernel } from "../iommufd/kernel.ts";
import type { Group } from "../iommu/group.ts";
import type { PciFunction } from "../pci/function.ts";
import { VfioDevice } from "./device.ts";
import { VfioDeviceFile } from "./device_file.ts";
import { VfioGroup } from "./group.ts";
import { GroupFile } from "./group_file.ts";
import { Type1Container } from "./type1/container.ts";

/** VFIO of one kernel. */
export class Vfio {
  /** Its devices, by the number in the names of their files. */
  readonly devices: VfioDevice[] = [];
  /** Their groups. */
  readonly groups: Map<Group, VfioGroup> = new Map();
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

  /** Takes a PCI device on: it gets a file, and its group one (Linux: vfio_register_group_dev). */
  add(pci: PciFunction): VfioDevice {
    const group = this.#groupOf(pci.group!);
    const device = new VfioDevice(this.devices.length, pci, group);
    this.devices.push(device);
    group.devices.push(device);
    this.#kernel.registerDevice(
      `/dev/vfio/devices/vfio${device.index}`,
      (_task, access) => new VfioDeviceFile(this.#kernel, device, access),
    );
    return device;
  }

  /** The group of VFIO for one of the IOMMU core's. */
  #groupOf(iommuGroup: Group): VfioGroup {
    const found = this.groups.get(iommuGroup);
    if (found !== undefined) return found;
    const group = new VfioGroup(
      this.#kernel,
      iommuGroup,
      (pci) => this.devices.find((device) => device.pci === pci),
    );
    this.groups.set(iommuGroup, group);
    this.#kernel.registerDevice(
      `/dev/vfio/${iommuGroup.id}`,
      (_task, access) => new GroupFile(group, access),
    );
    return group;
  }
}
