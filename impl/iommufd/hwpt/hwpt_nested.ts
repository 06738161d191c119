// SPDX-License-Identifier: GPL-2.0-only

/**
 * Nested hardware page tables: user space owns the page table, and what comes
 * out of it is translated again by a parent that the kernel controls. That is
 * how a virtual machine gets an IOMMU of its own.
 *
 * Linux: struct iommufd_hwpt_nested, and hw_pagetable.c.
 *
 * @module
 */

import { deviceIommuOps } from "../../iommu/device.ts";
import type { UserData } from "../../iommu/user_data.ts";
import { EINVAL, ENOENT, EOPNOTSUPP, type Errno } from "../../uapi/errno.ts";
import { IOMMU_HWPT_FAULT_ID_VALID } from "../../uapi/iommufd.ts";
import type { IommufdDevice } from "../attach/device.ts";
import { UNKNOWN_FLAG } from "../objects/refusals.ts";
import { HwPagetable, type HwptPaging } from "./hw_pagetable.ts";

/** A HWPT on top of another (Linux: struct iommufd_hwpt_nested). It is a user of its parent. */
export class HwptNested extends HwPagetable {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no nested HWPT with this id",
  );
  /** The HWPT that translates what comes out of this one. */
  readonly parent: HwptPaging;

  private constructor(parent: HwptPaging) {
    super(parent.ctx);
    this.parent = parent;
    parent.ref();
    parent.nested++;
  }

  /** The parent: devices see its IOAS. */
  override get paging(): HwptPaging {
    return this.parent;
  }

  /**
   * A nested HWPT for a device. The caller publishes or aborts it. Throws
   * EOPNOTSUPP for flags other than IOMMU_HWPT_FAULT_ID_VALID, without driver
   * data and for a driver that cannot do it; EINVAL for a parent that was not
   * allocated to be one or is of another driver; ENOMEM, and what the driver
   * throws. (Linux: iommufd_hwpt_nested_alloc.)
   */
  static alloc(
    parent: HwptPaging,
    idev: IommufdDevice,
    flags: number,
    userData: UserData,
  ): HwptNested {
    const { ctx } = parent;
    const ops = deviceIommuOps(idev.dev);
    const driverFlags = flags & ~IOMMU_HWPT_FAULT_ID_VALID;
    if (driverFlags !== 0) throw UNKNOWN_FLAG;
    if (userData.len === 0) {
      throw EOPNOTSUPP.because("a nested HWPT needs data for the IOMMU driver");
    }
    if (!ops.domainAllocNested) {
      throw EOPNOTSUPP.because("the IOMMU driver has no nested HWPTs");
    }
    if (parent.autoDomain || !parent.nestParent) {
      throw EINVAL.because("the parent was not allocated to be one");
    }
    if (parent.domain.owner !== ops) {
      throw EINVAL.because("the parent is of another IOMMU driver");
    }

    const hwpt = new HwptNested(parent);
    try {
      const domain = ops.domainAllocNested(
        idev.dev,
        parent.domain,
        driverFlags,
        userData,
      );
      hwpt.adopt(domain);
      const broken = ctx.kernel.warnings.on(
        domain.type !== "nested" || !domain.cacheInvalidateUser,
        "iommufd: a driver's nested domain is not nested or cannot be invalidated",
      );
      if (broken) {
        throw EINVAL.because("the IOMMU driver's domain is not nested");
      }
    } catch (error) {
      ctx.objects.abortAndDestroy(hwpt);
      throw error;
    }
    return hwpt;
  }

  /** Frees the domain and lets go of the parent (Linux: iommufd_hwpt_nested_destroy). */
  override destroy(): void {
    super.destroy();
    this.parent.nested--;
    this.parent.unref();
  }
}
