// SPDX-License-Identifier: GPL-2.0-only

/**
 * A PCI device as the kernel knows it: its name, its place on a bus, its IOMMU
 * (Linux: struct pci_dev).
 *
 * @module
 */

import { Device, type IommuOps } from "../iommu/device.ts";
import type { Domain } from "../iommu/domain.ts";
import type { PciBus } from "./bus.ts";
import type { PciDevice } from "./device.ts";
import { PciDma } from "./dma.ts";
import type { Sriov } from "./sriov.ts";
import {
  type ConfigSpace,
  PCI_DEVICE_ID,
  PCI_EXT_CAP_ID_ATS,
  PCI_EXT_CAP_ID_PASID,
  PCI_EXT_CAP_ID_PRI,
  PCI_PASID_CAP,
  PCI_VENDOR_ID,
} from "./config_space.ts";

/** Who gets the interrupts of a function: what its driver set up (Linux: request_irq). */
export interface InterruptSink {
  /** A message, by its vector, was sent. */
  message(vector: number): void;
  /** The legacy interrupt is asserted. */
  intx(): void;
  /** The device reports an error that it cannot correct. */
  error(): void;
}

/** A driver of PCI devices (Linux: struct pci_driver). */
export interface PciDriver {
  /** Takes a function on. */
  probe(pci: PciFunction): void;
  /** Lets one go. */
  remove(pci: PciFunction): void;
  /** The function shall have so many virtual ones. Throws what stands in the way. (Linux: sriov_configure.) */
  configureSriov(pci: PciFunction, count: number): void;
}

/** Where a function is, and what it belongs to. */
export interface FunctionPlace {
  /** Its bus number. */
  readonly busNumber: number;
  /** Its device number on the bus and its function number, as PCI packs them. */
  readonly devfn: number;
  /** A device that the IOMMU cannot tell from it: it is in that one's group. */
  readonly groupWith?: PciFunction | undefined;
  /** The function that it is a virtual function of. */
  readonly physFn?: PciFunction | undefined;
}

/** One function of a device on a bus. */
export class PciFunction extends Device {
  /** What it is. */
  readonly device: PciDevice;
  /** The bus that it is on. */
  readonly bus: PciBus;
  /** Its bus number. */
  readonly busNumber: number;
  /** Its device number on the bus and its function number, as PCI packs them. */
  readonly devfn: number;
  /** A device that the IOMMU cannot tell from it: it is in that one's group. */
  readonly groupWith: PciFunction | undefined;
  /** The function that it is a virtual function of. */
  readonly physFn: PciFunction | undefined;
  /** Its vendor id. */
  readonly vendor: number;
  /** Its device id. */
  readonly deviceId: number;
  /** Its virtual functions; undefined where it can have none. */
  sriov: Sriov | undefined;
  /** Who drives it. */
  driver: PciDriver | undefined;
  /** The domains that the hardware translates its DMA with, by PASID. */
  readonly translations: Map<number, Domain> = new Map();
  /** Its DMA. */
  override readonly dma: PciDma = new PciDma(this);
  /** Who gets its interrupts; nobody while that is undefined. */
  sink: InterruptSink | undefined;
  /** Where the BARs begin, as DMA of another device reaches them. */
  readonly barAddresses: number[] = [];

  /** For {@link PciBus}. */
  constructor(
    bus: PciBus,
    ops: IommuOps | null,
    device: PciDevice,
    place: FunctionPlace,
  ) {
    const { busNumber, devfn, groupWith, physFn } = place;
    super(bus.iommu, nameOf(busNumber, devfn), ops);
    this.bus = bus;
    this.device = device;
    this.busNumber = busNumber;
    this.devfn = devfn;
    this.groupWith = groupWith;
    this.physFn = physFn;
    this.isVirtualFunction = physFn !== undefined;
    this.vendor = device.config.read(PCI_VENDOR_ID, 2);
    this.deviceId = device.config.read(PCI_DEVICE_ID, 2);
    this.maxPasids = maxPasidsOf(device.config);
    this.hasIsolatedMsi = true;
  }

  /** Whether it can ask for pages. */
  get hasPageRequests(): boolean {
    return this.device.config.findExtended(PCI_EXT_CAP_ID_PRI) !== 0;
  }

  /** What the hardware has: nothing while it is cut off. */
  override translation(pasid: number): Domain | undefined {
    return this.translations.get(pasid);
  }

  /**
   * Does something, a reset, during which a device with ATS is cut off from the
   * IOMMU, and nobody attaches its group to anything (Linux:
   * pci_dev_reset_iommu_prepare, pci_dev_reset_iommu_done).
   */
  cutOff(action: () => void): void {
    const { group, translations } = this;
    const hasAts = this.device.config.findExtended(PCI_EXT_CAP_ID_ATS) !== 0;
    const { refusesDuringReset } = this.iommu.kernel.revision.attach;
    if (group === null || !hasAts || !refusesDuringReset) return action();
    const before = [...translations];
    translations.clear();
    group.resets++;
    try {
      action();
    } finally {
      group.resets--;
      // What was detached meanwhile stays so.
      for (const [pasid, domain] of before) {
        if (!translations.has(pasid)) translations.set(pasid, domain);
      }
    }
  }

  /** Its directory below `/sys/devices`: virtual functions are beside the device that they are of (Linux: kobject_get_path). */
  get path(): string {
    const { busNumber } = this.physFn ?? this;
    const root = busNumber.toString(16).padStart(2, "0");
    return `pci0000:${root}/${this.name}`;
  }
}

/** How many PASIDs it can send; 0 for a device without (Linux: pci_max_pasids). */
function maxPasidsOf(config: ConfigSpace): number {
  const at = config.findExtended(PCI_EXT_CAP_ID_PASID);
  if (at === 0) return 0;
  return 2 ** (config.read(at + PCI_PASID_CAP, 2) >> 8 & 0x1f);
}

/** The name of a function, as `0000:00:04.0`. */
export function nameOf(busNumber: number, devfn: number): string {
  const bus = busNumber.toString(16).padStart(2, "0");
  const slot = (devfn >> 3).toString(16).padStart(2, "0");
  return `0000:${bus}:${slot}.${devfn & 7}`;
}
