// SPDX-License-Identifier: GPL-2.0-only

/**
 * PCI devices that VFIO has, as sysfs shows them: their own directories, and
 * the links from and to their bus, driver, group and IOMMU.
 *
 * @module
 */

import type { VfioDevice } from "../../../../impl/vfio/device.ts";
import {
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
} from "../../../../impl/uapi/vfio/device.ts";
import { attribute, Folder, type Node, type TreePart } from "../node.ts";
import { attributesOf } from "./attributes.ts";
import { showBars } from "./resources.ts";
import { showSriov } from "./sriov.ts";
import { IOMMU, showDriver, showGroup, showIommu } from "./system.ts";

/** The first number of an interrupt that is a message. */
const FIRST_MESSAGE = 24;
/** Most vectors of a device. */
const MAX_VECTORS = 2048;

/** Shows a device of a machine `host`, but for its files in `/dev`. */
export function showPciDevice(
  tree: TreePart,
  device: VfioDevice,
  host: { read(path: string): string | undefined },
): void {
  const { core, pci, group: { iommuGroup } } = device;
  const at = pci.path;
  const up = "../".repeat(at.split("/").length + 1);
  const directory = `/sys/devices/${at}`;
  tree.add(directory, new DeviceFolder(device));
  for (const [name, node] of Object.entries(attributesOf(core, host))) {
    tree.add(`${directory}/${name}`, node);
  }
  const { config } = pci.device;
  const read = () => config.save();
  const size = config.size;
  tree.add(`${directory}/config`, { kind: "bytes", mode: 0o644, size, read });
  showBars(tree, directory, core);
  showSriov(tree, directory, pci);
  tree.link(`${directory}/subsystem`, `${up}bus/pci`);
  tree.link(`${directory}/driver`, `${up}bus/pci/drivers/vfio-pci`);
  const group = `kernel/iommu_groups/${iommuGroup.id}`;
  tree.link(`${directory}/iommu_group`, `${up}${group}`);
  tree.link(`/sys/bus/pci/devices/${pci.name}`, `../../../devices/${at}`);
  showDriver(tree, pci);
  showGroup(tree, device);
  if (pci.ops === null) return;
  tree.link(`${directory}/iommu`, `${up}devices/${IOMMU}`);
  showIommu(tree, pci);
}

/** The directory of a device, whatever the host has at its address: in it are the numbers of its messages while these are on. */
class DeviceFolder extends Folder {
  readonly #device: VfioDevice;

  constructor(device: VfioDevice) {
    super({ isWhole: true });
    this.#device = device;
  }

  override child(name: string): Node | undefined {
    return name === "msi_irqs" ? this.#messages() : super.child(name);
  }

  override *names(): Iterable<string> {
    yield* super.names();
    if (this.#messages() !== undefined) yield "msi_irqs";
  }

  /** Linux: msi_sysfs_create_group. */
  #messages(): Folder | undefined {
    const { core, index } = this.#device;
    if (!core.isOpen) return undefined;
    const { mode, connected } = core.irqs;
    const isMsi = mode === VFIO_PCI_MSI_IRQ_INDEX;
    if (!isMsi && mode !== VFIO_PCI_MSIX_IRQ_INDEX) return undefined;
    const folder = new Folder({ isWhole: true });
    const first = FIRST_MESSAGE + index * MAX_VECTORS;
    // One that was switched on without eventfds has its first vector.
    for (const vector of new Set([0, ...connected])) {
      folder.set(`${first + vector}`, attribute(isMsi ? "msi\n" : "msix\n"));
    }
    return folder;
  }
}
