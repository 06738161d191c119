// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual functions: a device that can be more of them, each with BARs, DMA and
 * a group of its own.
 *
 * Linux: drivers/pci/iov.c.
 *
 * @module
 */

import { parseCount, type Value } from "../kernel/files/value_file.ts";
import { EBUSY, EINVAL, ENOENT, ERANGE } from "../uapi/errno.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_COMMAND,
  PCI_COMMAND_MASTER,
  PCI_DEVICE_ID,
  PCI_EXT_CAP_ID_SRIOV,
  PCI_INTERRUPT_PIN,
  PCI_ROM_ADDRESS,
  PCI_VENDOR_ID,
} from "./config_space.ts";
import type { ConfigSpace } from "./config_space.ts";
import type { Bar } from "./bar.ts";
import type { PciDevice } from "./device.ts";
import type { PciFunction } from "./function.ts";

/** The capability: control, 16 bits. */
export const PCI_SRIOV_CTRL = 0x08;
/** Control: there are virtual functions. */
const PCI_SRIOV_CTRL_VFE = 0x01;
/** Control: their memory answers. */
const PCI_SRIOV_CTRL_MSE = 0x08;
/** The capability: virtual functions that there are at first, 16 bits, followed by the most that there can be. */
export const PCI_SRIOV_INITIAL_VF = 0x0c;
/** The capability: virtual functions that there are, 16 bits. */
export const PCI_SRIOV_NUM_VF = 0x10;
/** The capability: from the device to the first of them, 16 bits, followed by what is from one to the next. */
export const PCI_SRIOV_VF_OFFSET = 0x14;
/** The capability: their device id, 16 bits. */
export const PCI_SRIOV_VF_DID = 0x1a;
/** The capability: sizes of pages, 32 bits, followed by the one that is used. */
export const PCI_SRIOV_SUP_PGSIZE = 0x1c;
/** The capability: the first of their six BARs. */
export const PCI_SRIOV_BAR = 0x24;

/** The least that the first of them is away, as of the 82576. */
export const VF_OFFSET = 0x80;
/** What is from one to the next, as of the 82576. */
export const VF_STRIDE = 2;

/** The virtual functions that a device can have. */
export interface SriovOptions {
  /** The most of them. */
  readonly vfs: number;
  /** Makes one by its number: their BARs are memory of whole pages, the same of each. */
  readonly make: (index: number) => PciDevice;
}

/** What a device with virtual functions has of them. */
export class Sriov {
  /** The most of them. */
  readonly totalVfs: number;
  /** Their device id. */
  readonly deviceId: number;
  /** From the device's place to that of the first. */
  readonly offset: number;
  /** From the place of one to that of the next. */
  readonly stride: number = VF_STRIDE;
  /** Their BARs, as of one that is never used. */
  readonly bars: readonly (Bar | undefined)[];
  /** Where the BARs of the first begin; those of the others follow. */
  readonly barAddresses: readonly number[];
  /** Whether drivers take them by themselves; VFIO takes those of its devices in any case. */
  driversAutoprobe = true;
  /** Those that there are. */
  readonly functions: PciFunction[] = [];
  readonly #pf: PciFunction;

  /** For `PciBus`: a device without virtual functions yet. */
  constructor(
    pf: PciFunction,
    offset: number,
    barAddresses: readonly number[],
  ) {
    const { config, sriov } = pf.device;
    this.#pf = pf;
    this.totalVfs = sriov!.vfs;
    this.bars = sriov!.bars;
    this.deviceId = sriov!.deviceId;
    this.offset = offset;
    this.barAddresses = barAddresses;
    const at = config.findExtended(PCI_EXT_CAP_ID_SRIOV);
    config.set(at + PCI_SRIOV_VF_OFFSET, 2, offset);
  }

  /** How many there are. */
  get numVfs(): number {
    return this.functions.length;
  }

  /**
   * What a write to `sriov_numvfs` does: the driver of the device is asked.
   * Throws ERANGE for too many, ENOENT without a driver that can do that, EBUSY
   * where there are some, and what the driver throws. (Linux:
   * sriov_numvfs_store.)
   */
  setNumVfs(count: number): void {
    if (count > this.totalVfs) throw ERANGE;
    if (count === this.numVfs) return;
    const { driver } = this.#pf;
    if (driver === undefined) throw ENOENT.because("the device has no driver");
    if (count > 0 && this.numVfs > 0) {
      throw EBUSY.because("there are virtual functions already");
    }
    driver.configureSriov(this.#pf, count);
  }

  /** Makes them, and gives them to the driver of the device. Throws EINVAL, ENOMEM, and what the driver throws. (Linux: pci_enable_sriov.) */
  enable(count: number): void {
    if (this.numVfs > 0) {
      throw EINVAL.because("there are virtual functions already");
    }
    if (!(count >= 0 && count <= this.totalVfs)) {
      throw EINVAL.because("the device cannot have so many virtual functions");
    }
    const { bus, driver } = this.#pf;
    this.#setControl(count, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
    try {
      for (let index = 0; index < count; index++) {
        const vf = bus.addVirtual(this.#pf, index);
        this.functions.push(vf);
        driver?.probe(vf);
      }
    } catch (error) {
      this.disable();
      throw error;
    }
  }

  /** Takes them away (Linux: pci_disable_sriov). */
  disable(): void {
    const { bus } = this.#pf;
    for (const vf of this.functions.splice(0)) {
      vf.driver?.remove(vf);
      bus.remove(vf);
    }
    this.#setControl(0, 0);
  }

  #setControl(count: number, control: number): void {
    const { config } = this.#pf.device;
    const at = config.findExtended(PCI_EXT_CAP_ID_SRIOV);
    config.set(at + PCI_SRIOV_NUM_VF, 2, count);
    config.set(at + PCI_SRIOV_CTRL, 2, control);
  }
}

/** `sriov_numvfs` of a device in sysfs. */
export function numVfsValue(sriov: Sriov): Value {
  return {
    show: () => `${sriov.numVfs}\n`,
    store: (text) => sriov.setNumVfs(parseCount(text)),
  };
}

/**
 * What of the configuration space of a virtual function is otherwise: the ids
 * and the BARs are in the device that it is of, memory answers always, and it
 * has no legacy interrupt.
 */
export function makeVirtual(config: ConfigSpace): void {
  config.declare(PCI_VENDOR_ID, 2, 0xffff);
  config.declare(PCI_DEVICE_ID, 2, 0xffff);
  config.declare(PCI_COMMAND, 2, 0, PCI_COMMAND_MASTER);
  for (let bar = 0; bar < 6; bar++) {
    config.declare(PCI_BASE_ADDRESS_0 + 4 * bar, 4, 0);
  }
  config.declare(PCI_ROM_ADDRESS, 4, 0);
  config.declare(PCI_INTERRUPT_PIN, 1, 0);
  config.finish();
}
