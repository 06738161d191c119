// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO: which devices it has, and their files in /dev/vfio.
 *
 * Linux: drivers/vfio/vfio_main.c.
 *
 * @module
 */

import type { KernelCore } from "../kernel/core.ts";
import type { PciFunction } from "../pci/function.ts";
import { VfioDevice } from "./device.ts";
import { VfioDeviceFile } from "./device_file.ts";

/** VFIO of one kernel. */
export class Vfio {
  /** Its devices, by the number in the names of their files. */
  readonly devices: VfioDevice[] = [];
  readonly #kernel: KernelCore;

  /** Without devices. */
  constructor(kernel: KernelCore) {
    this.#kernel = kernel;
  }

  /** Takes a PCI device on: it gets a file (Linux: vfio_register_group_dev). */
  add(pci: PciFunction): VfioDevice {
    const device = new VfioDevice(this.devices.length, pci);
    this.devices.push(device);
    this.#kernel.registerDevice(
      `/dev/vfio/devices/vfio${device.index}`,
      (_task, access) => new VfioDeviceFile(this.#kernel, device, access),
    );
    return device;
  }
}
