// SPDX-License-Identifier: GPL-2.0-only

/**
 * A whole machine: the kernel with IOMMU core, iommufd and mock IOMMU.
 *
 * ```ts
 * import { Kernel } from "./kernel.ts";
 *
 * const kernel = new Kernel();
 * const process = kernel.spawn();
 * const fd = process.open("/dev/iommu");
 * process.close(fd);
 * process.exit();
 * if (kernel.audit().length > 0) throw new Error("something leaked");
 * ```
 *
 * @module
 */

import { Iommu } from "./iommu/iommu.ts";
import { NoIommuOps } from "./iommufd/noiommu/domain.ts";
import { Iommufd } from "./iommufd/main.ts";
import type { IommufdKernel, IommufdOptions } from "./iommufd/kernel.ts";
import { KernelCore, type KernelOptions } from "./kernel/core.ts";
import { MockIommuOps } from "./mock/mock_device.ts";
import { PciBus, type PciPlace } from "./pci/bus.ts";
import type { PciDevice } from "./pci/device.ts";
import type { VtdRegisters } from "./pci/iommu.ts";
import type { VfioDevice } from "./vfio/device.ts";
import { Vfio } from "./vfio/vfio.ts";

/** What is in front of a machine's PCI devices. */
export interface PciOptions {
  /** What the registers of the IOMMU say that it can do; default one that tracks dirty pages and cannot nest. */
  readonly vtd?: VtdRegisters | undefined;
  /** Whether mock devices get to the mock IOMMU; default true. In old kernels they do not where the IOMMU of PCI devices was there first: MOCK_DOMAIN is then EINVAL. (Linux: iommu_ops_from_fwnode.) */
  readonly mockDevices?: boolean | undefined;
}

/** A machine with `/dev/iommu`. Kernels are independent of each other. */
export class Kernel extends KernelCore implements IommufdKernel {
  /** How iommufd was built and loaded. */
  readonly options: IommufdOptions;
  /** The IOMMU core. */
  readonly iommu: Iommu;
  /** What stands in for the IOMMU driver of devices without an IOMMU. */
  readonly noIommu: NoIommuOps;
  /** The driver of the mock IOMMU. */
  readonly mock: MockIommuOps;
  /** iommufd. */
  readonly iommufd: Iommufd;
  /** The PCI devices. */
  readonly pci: PciBus;
  /** VFIO, which has all of them. */
  readonly vfio: Vfio;

  /** A machine with no processes. */
  constructor(
    options: KernelOptions & Partial<IommufdOptions> & PciOptions = {},
  ) {
    super(options);
    this.options = {
      allowUnsafeInterrupts: options.allowUnsafeInterrupts ?? false,
      vfioNoIommu: options.vfioNoIommu ?? false,
      vfioNoIommuMode: options.vfioNoIommuMode ?? options.vfioNoIommu ?? false,
      vfioContainer: options.vfioContainer ?? "iommufd",
      ioctls: options.ioctls ?? [],
    };
    this.iommu = new Iommu(this);
    this.noIommu = new NoIommuOps(this.iommu);
    this.mock = new MockIommuOps(this.iommu, options.mockDevices);
    this.iommufd = new Iommufd(this);
    this.pci = new PciBus(this.iommu, options.vtd);
    this.vfio = new Vfio(this);
  }

  /**
   * Puts a PCI device into the machine and gives it to VFIO: a program finds it
   * as `/dev/vfio/devices/vfioN`. Throws a RangeError for a place that is taken
   * and for a revision without such files, an Error for a device that is in a
   * machine already.
   */
  addPciDevice(device: PciDevice, place?: PciPlace): VfioDevice {
    if (!this.revision.vfio.hasDeviceFiles) {
      throw new RangeError(
        `Revision ${this.revision.name} has no files of VFIO devices`,
      );
    }
    return this.vfio.add(this.pci.add(device, place));
  }

  /**
   * What is wrong after all processes exited, a sentence each: what the
   * machine says, and contexts and mock devices that are left.
   */
  override audit(): string[] {
    const problems = super.audit();
    const contexts = this.iommufd.contexts.size;
    if (contexts > 0) {
      problems.push(`${contexts} iommufd contexts were not released.`);
    }
    const devices = this.mock.devices.size;
    if (devices > 0) problems.push(`${devices} mock devices are left.`);
    return problems;
  }
}
