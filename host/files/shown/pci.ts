// SPDX-License-Identifier: GPL-2.0-only

/**
 * PCI devices that VFIO has, as sysfs shows them: their own directories, the
 * bus, the driver, and the groups of the IOMMU.
 *
 * @module
 */

import { getGroupResvRegions } from "../../../impl/iommu/resv.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_CFG_SPACE_EXP_SIZE,
  PCI_DEVICE_ID,
  PCI_REVISION_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_VENDOR_ID,
} from "../../../impl/pci/config_space.ts";
import type { Bar } from "../../../impl/pci/bar.ts";
import type { PciFunction } from "../../../impl/pci/function.ts";
import type { VfioDevice } from "../../../impl/vfio/device.ts";
import { attribute, Folder, type Tree } from "./node.ts";

/** Flags of what a BAR is (Linux: IORESOURCE_*). */
const RESOURCE = {
  io: 0x40101,
  memory: 0x40200,
  wide: 0x100004,
  prefetchable: 0x2008,
} as const;
/** Lines of `resource`: six BARs, the ROM, six BARs of virtual functions. */
const RESOURCES = 13;
/** Bits of a BAR's register. */
const IS_IO = 1;
const IS_PREFETCHABLE = 8;

/** The directory of a PCI device, below `/sys/devices`. */
export function pciDirectory({ name, busNumber }: PciFunction): string {
  return `pci0000:${hex(busNumber, 2)}/${name}`;
}

/** Shows a device, but for its files in `/dev`. */
export function showPciDevice(tree: Tree, device: VfioDevice): void {
  const { pci, group: { iommuGroup } } = device;
  const at = pciDirectory(pci);
  const directory = `/sys/devices/${at}`;
  const attributes = { ...identityOf(pci), ...stateOf(pci) };
  for (const [name, text] of Object.entries(attributes)) {
    tree.add(`${directory}/${name}`, attribute(text));
  }
  const { config } = pci.device;
  const read = () => config.save();
  const size = config.size;
  tree.add(`${directory}/config`, { kind: "bytes", mode: 0o644, size, read });
  tree.link(`${directory}/subsystem`, "../../../bus/pci");
  tree.link(`${directory}/driver`, "../../../bus/pci/drivers/vfio-pci");
  const group = `kernel/iommu_groups/${iommuGroup.id}`;
  tree.link(`${directory}/iommu_group`, `../../../${group}`);
  tree.link(`/sys/bus/pci/devices/${pci.name}`, `../../../devices/${at}`);
  const driver = "/sys/bus/pci/drivers/vfio-pci";
  tree.link(`${driver}/${pci.name}`, `../../../../devices/${at}`);
  tree.link(`${driver}/module`, "../../../../module/vfio_pci");
  const member = `/sys/${group}/devices/${pci.name}`;
  tree.link(member, `../../../../devices/${at}`);
  tree.add(`/sys/${group}/type`, attribute("DMA\n", 0o644));
  tree.add(`/sys/${group}/reserved_regions`, {
    ...attribute(""),
    read: () => reservedRegions(device),
  });
  for (const module of ["vfio", "vfio_pci"]) {
    tree.add(`/sys/module/${module}`, new Folder());
  }
}

/** What says which device it is. */
function identityOf(pci: PciFunction): Record<string, string> {
  const { config } = pci.device;
  const id = (at: number) => config.read(at, 2);
  const vendor = id(PCI_VENDOR_ID);
  const device = id(PCI_DEVICE_ID);
  const ofVendor = id(PCI_SUBSYSTEM_VENDOR_ID);
  const ofDevice = id(PCI_SUBSYSTEM_VENDOR_ID + 2);
  const revision = config.read(PCI_REVISION_ID, 1);
  const kind = config.read(PCI_REVISION_ID + 1, 3);
  const [base, sub, programming] = [16, 8, 0].map((bit) => kind >> bit & 0xff);
  const alias = `pci:v${HEX(vendor, 8)}d${HEX(device, 8)}` +
    `sv${HEX(ofVendor, 8)}sd${HEX(ofDevice, 8)}` +
    `bc${HEX(base!, 2)}sc${HEX(sub!, 2)}i${HEX(programming!, 2)}`;
  const uevent = {
    DRIVER: "vfio-pci",
    PCI_CLASS: HEX(kind, 0),
    PCI_ID: `${HEX(vendor, 4)}:${HEX(device, 4)}`,
    PCI_SUBSYS_ID: `${HEX(ofVendor, 4)}:${HEX(ofDevice, 4)}`,
    PCI_SLOT_NAME: pci.name,
    MODALIAS: alias,
  };
  return {
    vendor: `0x${hex(vendor, 4)}\n`,
    device: `0x${hex(device, 4)}\n`,
    subsystem_vendor: `0x${hex(ofVendor, 4)}\n`,
    subsystem_device: `0x${hex(ofDevice, 4)}\n`,
    class: `0x${hex(kind, 6)}\n`,
    revision: `0x${hex(revision, 2)}\n`,
    modalias: `${alias}\n`,
    uevent: Object.entries(uevent)
      .map(([name, value]) => `${name}=${value}\n`).join(""),
  };
}

/** What says how it is set up. */
function stateOf(pci: PciFunction): Record<string, string> {
  const isExpress = pci.device.config.size === PCI_CFG_SPACE_EXP_SIZE;
  return {
    resource: resourcesOf(pci),
    irq: "0\n",
    numa_node: "-1\n",
    enable: "0\n",
    driver_override: "vfio-pci\n",
    power_state: "D0\n",
    dma_mask_bits: "64\n",
    consistent_dma_mask_bits: "64\n",
    broken_parity_status: "0\n",
    msi_bus: "1\n",
    ...isExpress && { reset_method: "flr\n" },
  };
}

/** A line for each BAR: where it begins, its last byte, what it is. */
function resourcesOf({ device: { bars, config } }: PciFunction): string {
  const lines = new Array<string>(RESOURCES).fill(resource(0, 0, 0));
  for (const [index, bar] of bars.entries()) {
    if (bar === undefined) continue;
    const at = PCI_BASE_ADDRESS_0 + 4 * index;
    const low = config.read(at, 4) & ~(bar.isIo ? 3 : 15);
    const high = bar.isWide ? config.read(at + 4, 4) : 0;
    const start = high * 2 ** 32 + (low >>> 0);
    lines[index] = resource(start, start + bar.size - 1, flagsOf(bar));
  }
  return lines.join("");
}

function resource(start: number, end: number, flags: number): string {
  const words = [start, end, flags].map((word) => `0x${hex(word, 16)}`);
  return `${words.join(" ")}\n`;
}

function flagsOf({ flags, isWide }: Bar): number {
  if ((flags & IS_IO) !== 0) return RESOURCE.io;
  return RESOURCE.memory | (isWide ? RESOURCE.wide : 0) |
    ((flags & IS_PREFETCHABLE) !== 0 ? RESOURCE.prefetchable : 0);
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

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function HEX(value: number, digits: number): string {
  return hex(value, digits).toUpperCase();
}
