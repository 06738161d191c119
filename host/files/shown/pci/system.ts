// SPDX-License-Identifier: GPL-2.0-only

/**
 * What sysfs shows around PCI devices that VFIO has: their driver and its
 * module, their group, and the IOMMU.
 *
 * @module
 */

import { getGroupResvRegions } from "../../../../impl/iommu/resv.ts";
import type { Kernel } from "../../../../impl/kernel.ts";
import type { PciFunction } from "../../../../impl/pci/function.ts";
import { HwInfoVtd } from "../../../../impl/pci/iommu.ts";
import { EBUSY, EINVAL, ENODEV } from "../../../../impl/uapi/errno.ts";
import { IOMMU_HW_INFO_TYPE_DEFAULT } from "../../../../impl/uapi/iommufd.ts";
import type { VfioDevice } from "../../../../impl/vfio/device.ts";
import { attribute, Folder, type Tree, type TreePart } from "../node.ts";
import { showEnableSriov } from "./sriov.ts";
import { valueNode } from "../value.ts";

/** The directory of the IOMMU, below `/sys/devices`. */
export const IOMMU = "virtual/iommu/dmar0";
/** Where its registers are on a machine with one (Linux: DMAR's usual base). */
const IOMMU_ADDRESS = "fed90000";
const DRIVER = "/sys/bus/pci/drivers/vfio-pci";

/** The modules that serve VFIO, with what their parameters are (Linux: module_param of drivers/vfio). */
export function showModules(tree: Tree, kernel: Kernel): void {
  const { options, vfio } = kernel;
  showEnableSriov(tree, vfio);
  const modules: Record<string, Record<string, string>> = {
    vfio: {
      ...options.vfioNoIommu && { enable_unsafe_noiommu_mode: "Y\n" },
    },
    vfio_pci: {
      disable_denylist: "N\n",
      disable_idle_d3: "N\n",
      disable_vga: "N\n",
      nointxmask: "N\n",
    },
    vfio_pci_core: {},
    ...options.vfioContainer === "type1" && {
      vfio_iommu_type1: {
        allow_unsafe_interrupts: options.allowUnsafeInterrupts ? "Y\n" : "N\n",
        disable_hugepages: "N\n",
        dma_entry_limit: "65535\n",
      },
    },
    iommufd: {},
  };
  for (const [name, parameters] of Object.entries(modules)) {
    const directory = `/sys/module/${name}`;
    tree.add(`${directory}/initstate`, attribute("live\n"));
    for (const [parameter, text] of Object.entries(parameters)) {
      tree.add(
        `${directory}/parameters/${parameter}`,
        attribute(text, 0o644),
      );
    }
  }
}

/** The driver that a device is bound to, for good. */
export function showDriver(tree: TreePart, pci: PciFunction): void {
  tree.link(`${DRIVER}/${pci.name}`, `../../../../devices/${pci.path}`);
  tree.whole.link(`${DRIVER}/module`, "../../../../module/vfio_pci");
  tree.whole.link(
    "/sys/module/vfio_pci/drivers/pci:vfio-pci",
    `../../../../${DRIVER.slice("/sys/".length)}`,
  );
  const { functions } = pci.bus;
  const named = (text: string) => {
    if (!functions.has(text)) throw ENODEV;
    throw EBUSY.because("the model's devices stay with VFIO");
  };
  const ids = (text: string) => {
    if (!/^[\da-f]+ [\da-f]+/i.test(text)) throw EINVAL;
  };
  const stores = { bind: named, unbind: named, new_id: ids, remove_id: ids };
  for (const [name, store] of Object.entries(stores)) {
    const value = { show: () => "", store };
    tree.whole.add(`${DRIVER}/${name}`, valueNode(value, 0o200, 4096));
  }
}

/** The group of a device, whatever the host has by its number. */
export function showGroup(tree: TreePart, device: VfioDevice): void {
  const { iommuGroup, devices } = device.group;
  const directory = `/sys/kernel/iommu_groups/${iommuGroup.id}`;
  tree.add(directory, new Folder({ isWhole: true }));
  for (const { pci } of devices) {
    const member = `${directory}/devices/${pci.name}`;
    tree.link(member, `../../../../devices/${pci.path}`);
  }
  const { isNoIommu } = device.group;
  if (isNoIommu) tree.add(`${directory}/name`, attribute("vfio-noiommu\n"));
  const type = isNoIommu ? "unknown\n" : "DMA-FQ\n";
  tree.add(`${directory}/type`, attribute(type, 0o644));
  tree.add(`${directory}/reserved_regions`, {
    ...attribute(""),
    read: () => reservedRegions(device),
  });
}

function reservedRegions({ group: { iommuGroup } }: VfioDevice): string {
  const lines = getGroupResvRegions(iommuGroup)
    .map(({ start, length, type }) => {
      const ends = [start, start + length - 1n]
        .map((end) => `0x${end.toString(16).padStart(16, "0")}`);
      return `${ends.join(" ")} ${type === "sw-msi" ? "msi" : type}\n`;
    });
  return lines.join("");
}

/** The IOMMU that a device is behind, with its registers as the device's iommufd tells them (Linux: intel_iommu_groups). */
export function showIommu(tree: TreePart, pci: PciFunction): void {
  const directory = `/sys/devices/${IOMMU}`;
  tree.link(
    `${directory}/devices/${pci.name}`,
    `../../../../${pci.path}`,
  );
  tree.whole.link(`${directory}/subsystem`, "../../../../class/iommu");
  tree.whole.link("/sys/class/iommu/dmar0", `../../devices/${IOMMU}`);
  const { bytes } = pci.ops!.hwInfo!(pci, IOMMU_HW_INFO_TYPE_DEFAULT);
  const { capReg, ecapReg } = HwInfoVtd.decode(bytes);
  const registers = {
    version: "1:0",
    address: IOMMU_ADDRESS,
    cap: capReg.toString(16),
    ecap: ecapReg.toString(16),
  };
  for (const [name, text] of Object.entries(registers)) {
    tree.whole.add(`${directory}/intel-iommu/${name}`, attribute(`${text}\n`));
  }
}
