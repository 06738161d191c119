// SPDX-License-Identifier: GPL-2.0-only

/**
 * The kernel around iommufd, as iommufd sees it.
 *
 * @module
 */

import type { IommuOps } from "../iommu/device.ts";
import type { Iommu } from "../iommu/iommu.ts";
import type { KernelCore } from "../kernel/core.ts";
import type { MockIommuOps } from "../mock/mock_device.ts";
import type { IoctlOp } from "./objects/ucmd.ts";

/** How the kernel was built and loaded, beyond what a machine has. */
export interface IommufdOptions {
  /**
   * Bind devices whose interrupts are not isolated; default false. May be
   * changed any time. (Linux: iommufd.allow_unsafe_interrupts.)
   */
  allowUnsafeInterrupts: boolean;
  /** VFIO containers have a no-IOMMU mode, where the revision has it; default false. (Linux: CONFIG_VFIO_NOIOMMU.) */
  readonly vfioNoIommu: boolean;
  /** That mode is on, so that there are devices without an IOMMU, and a type for them in VFIO's own container; default as {@link vfioNoIommu}. (Linux: vfio.enable_unsafe_noiommu_mode.) */
  readonly vfioNoIommuMode: boolean;
  /** What `/dev/vfio/vfio` is: VFIO's own container, or iommufd in its place; default the latter. (Linux: CONFIG_VFIO_CONTAINER or CONFIG_IOMMUFD_VFIO_CONTAINER.) */
  readonly vfioContainer: "type1" | "iommufd";
  /** Ioctls beside Linux's, to try one that does not exist yet; default none. */
  readonly ioctls: readonly IoctlOp[];
}

/** A kernel with an IOMMU core, and with the driver of the mock IOMMU. */
export interface IommufdKernel extends KernelCore {
  /** How iommufd was built and loaded. */
  readonly options: IommufdOptions;
  /** The IOMMU core. */
  readonly iommu: Iommu;
  /** What stands in for the IOMMU driver of devices without an IOMMU. */
  readonly noIommu: IommuOps;
  /** The driver of the mock IOMMU. */
  readonly mock: MockIommuOps;
}
