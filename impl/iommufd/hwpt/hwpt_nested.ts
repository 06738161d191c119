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

import type { Domain } from "../../iommu/domain.ts";
import type { UserData, UserDataArray } from "../../iommu/user_data.ts";
import type { KernelCore } from "../../kernel/core.ts";
import { ENOENT, EOPNOTSUPP, type Errno } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../uapi/iommufd.ts";
import type { IommufdDevice } from "../attach/device.ts";
import type { IommufdObject } from "../objects/object.ts";
import { UNKNOWN_FLAG } from "../objects/refusals.ts";
import { HwPagetable, type HwptPaging } from "./hw_pagetable.ts";

/** Has a driver make a nested domain. Throws what that throws. */
export type NestedMaker = (flags: number, userData: UserData) => Domain;

/** What nested HWPTs are allocated on: a parent, or a virtual IOMMU on one. */
export interface NestingBase extends IommufdObject {
  /** The parent. */
  readonly paging: HwptPaging;
  /** Throws what comes before all that is said about a nested HWPT. */
  checkNesting(idev: IommufdDevice): void;
  /** Throws if there can be none for the device. */
  nestedMaker(idev: IommufdDevice): NestedMaker;
}

/** Whether nested HWPTs are allocated on it. */
export function isNestingBase(object: IommufdObject): object is NestingBase {
  return "nestedMaker" in object;
}

/** A HWPT on top of another (Linux: struct iommufd_hwpt_nested). It is a user of what it was allocated on. */
export class HwptNested extends HwPagetable {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no nested HWPT with this id",
  );
  /** What it was allocated on. */
  readonly base: NestingBase;

  private constructor(base: NestingBase, flags: number) {
    super(base.ctx, flags);
    this.base = base;
    base.ref();
  }

  /** The parent, which translates what comes out of this one: devices see its IOAS. */
  override get paging(): HwptPaging {
    return this.base.paging;
  }

  /**
   * A nested HWPT for a device. The caller publishes or aborts it. Throws
   * EOPNOTSUPP for flags other than IOMMU_HWPT_FAULT_ID_VALID and
   * IOMMU_HWPT_ALLOC_PASID, without driver data and for a driver that cannot do
   * it; EINVAL for a parent that was not allocated to be one or is of another
   * driver, and for a virtual IOMMU that is not the device's; ENOMEM, and what
   * the driver throws. (Linux: iommufd_hwpt_nested_alloc,
   * iommufd_viommu_alloc_hwpt_nested.)
   */
  static alloc(
    base: NestingBase,
    idev: IommufdDevice,
    flags: number,
    userData: UserData,
  ): HwptNested {
    const { ctx } = base;
    base.checkNesting(idev);
    const { hasPasids } = ctx.kernel.revision.attach;
    const known = IOMMU_HWPT_FAULT_ID_VALID |
      (hasPasids ? IOMMU_HWPT_ALLOC_PASID : 0);
    if (flags & ~known) throw UNKNOWN_FLAG;
    if (userData.len === 0) {
      throw EOPNOTSUPP.because("a nested HWPT needs data for the IOMMU driver");
    }
    const makeDomain = base.nestedMaker(idev);

    const hwpt = new HwptNested(base, flags);
    try {
      const driverFlags = flags & ~IOMMU_HWPT_FAULT_ID_VALID;
      const domain = makeDomain(driverFlags, userData);
      hwpt.adopt(domain);
      checkDomain(domain, ctx.kernel);
    } catch (error) {
      ctx.objects.abortAndDestroy(hwpt);
      throw error;
    }
    return hwpt;
  }

  /** For a message. */
  override get called(): string {
    return "a nested HWPT";
  }

  /** For a message. */
  override get uses(): readonly (IommufdObject | undefined)[] {
    return [this.base, this.fault];
  }

  /** Has the driver forget what user space changed. Throws EOPNOTSUPP for a domain that cannot, and what the driver throws. */
  cacheInvalidate(array: UserDataArray): void {
    const { domain } = this;
    if (!domain.cacheInvalidateUser) {
      throw EOPNOTSUPP.because(
        "the HWPT takes no requests to invalidate (Domain.cacheInvalidateUser)",
      );
    }
    domain.cacheInvalidateUser(array);
  }

  /** Frees the domain and lets go of what it is on (Linux: iommufd_hwpt_nested_destroy). */
  override destroy(): void {
    super.destroy();
    this.base.unref();
  }
}

/** Throws, with a warning, if a driver's domain is not what it was asked for. */
function checkDomain(domain: Domain, kernel: KernelCore): void {
  const { notNestedErrno, nestedNeedsInvalidate } = kernel.revision.hwpt;
  const isMute = nestedNeedsInvalidate && !domain.cacheInvalidateUser;
  const broken = kernel.warnings.on(
    domain.type !== "nested" || isMute,
    "iommufd: a driver's nested domain is not nested or cannot be invalidated",
  );
  if (broken) {
    throw notNestedErrno.because("the IOMMU driver's domain is not nested");
  }
}
