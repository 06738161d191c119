// SPDX-License-Identifier: GPL-2.0-only

/**
 * Hardware page tables (HWPT): an IOMMU domain as an object of user space.
 *
 * Linux: drivers/iommu/iommufd/hw_pagetable.c.
 *
 * @module
 */

import { deviceIommuCapable } from "../../iommu/device.ts";
import type { Domain } from "../../iommu/domain.ts";
import { pagingDomainAlloc } from "../../iommu/group_domain.ts";
import type { UserData } from "../../iommu/user_data.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { EINVAL, ENOENT, EOPNOTSUPP, type Errno } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../uapi/iommufd.ts";
import type { Revision } from "../../uapi/revision.ts";
import type { IommufdDevice } from "../attach/device.ts";
import type { SwMsiMap } from "../attach/sw_msi.ts";
import { addDomain, removeDomain } from "../ioas/domains.ts";
import type { IommufdFault } from "../events/fault.ts";
import type { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";
import { IommufdObject } from "../objects/object.ts";
import { UNKNOWN_FLAG } from "../objects/refusals.ts";
import type { NestedMaker, NestingBase } from "./hwpt_nested.ts";

/** The flags that a HWPT of an IOAS can be allocated with. */
function pagingFlags({ attach, hwpt }: Revision): number {
  return IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING |
    (hwpt.pagingTakesFaultQueue ? IOMMU_HWPT_FAULT_ID_VALID : 0) |
    (attach.hasPasids ? IOMMU_HWPT_ALLOC_PASID : 0);
}

/** How {@link HwptPaging.alloc} makes a HWPT. */
export interface PagingOptions {
  /** Attaches the device too, because the domain of some drivers is not complete earlier; returns what undoes that. */
  readonly attach?: (hwpt: HwptPaging) => () => void;
  /** `IOMMU_HWPT_ALLOC_*`; none by default. */
  readonly flags?: number;
  /** What user space tells the driver, if anything. */
  readonly userData?: UserData | undefined;
}

/** A domain with an id (Linux: struct iommufd_hw_pagetable). Attached devices are users of it. */
export abstract class HwPagetable extends IommufdObject {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no HWPT with this id",
  );
  /** It was allocated for PASIDs, and for devices that use some. */
  readonly pasidCompat: boolean;
  /** Where page faults of attached devices go, if anywhere. */
  fault: IommufdFault | undefined;
  #domain: Domain | undefined;

  /** A HWPT without domain. `flags` are `IOMMU_HWPT_ALLOC_*`. */
  constructor(ctx: IommufdCtx, flags: number) {
    super(ctx);
    this.pasidCompat = (flags & IOMMU_HWPT_ALLOC_PASID) !== 0;
  }

  /** The domain. */
  get domain(): Domain {
    if (this.#domain === undefined) {
      throw new KernelBug(`HWPT ${this.id} has no domain yet`);
    }
    return this.#domain;
  }

  /** The HWPT whose IOAS the devices see: itself, or the parent of a nested one (Linux: find_hwpt_paging). */
  abstract get paging(): HwptPaging;

  /** For a message. */
  override get user(): string {
    return "a device";
  }

  /** Gives it the domain that it frees in the end. */
  protected adopt(domain: Domain): void {
    this.#domain = domain;
    this.ctx.swMsi.adopt(this);
  }

  /** Frees the domain, if there is one already, and lets go of the fault queue (Linux: __iommufd_hwpt_destroy). */
  override destroy(): void {
    this.#domain?.free();
    this.fault?.unref();
  }

  /** A device gives up its use (Linux: iommufd_hw_pagetable_put). */
  drop(): void {
    this.unref();
  }
}

/** A HWPT whose domain holds the map of an IOAS (Linux: struct iommufd_hwpt_paging). It is a user of the IOAS. */
export class HwptPaging extends HwPagetable implements NestingBase {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no HWPT of an IOAS with this id",
  );
  /** The IOAS. */
  readonly ioas: Ioas;
  /** Nested HWPTs may be allocated on it. */
  readonly nestParent: boolean;
  /** No device behind it can bypass the cache. Once on it stays on. */
  enforceCacheCoherency = false;
  /** The domain has its MSI window. */
  msiCookie = false;
  /** MSI doorbells that are mapped for the context (Linux: present_sw_msi). */
  readonly swMsi: Set<SwMsiMap> = new Set();

  /** A HWPT without domain: see {@link create}. */
  constructor(ctx: IommufdCtx, ioas: Ioas, flags = 0) {
    super(ctx, flags);
    this.ioas = ioas;
    this.nestParent = (flags & IOMMU_HWPT_ALLOC_NEST_PARENT) !== 0;
    ioas.ref();
  }

  /** For a message. */
  override get called(): string {
    return "a HWPT";
  }

  /** For a message. */
  override get uses(): readonly (IommufdObject | undefined)[] {
    return [this.ioas, this.fault];
  }

  /** Itself. */
  override get paging(): HwptPaging {
    return this;
  }

  /** Nothing comes before what is said about a nested HWPT. */
  checkNesting(_idev: IommufdDevice): void {}

  /**
   * What makes a domain that is nested in this one's. Throws EOPNOTSUPP for a
   * driver that cannot; EINVAL if this HWPT was not allocated to be a parent or
   * is of another driver.
   */
  nestedMaker({ dev, iommuOps: ops }: IommufdDevice): NestedMaker {
    if (!ops.domainAllocNested) {
      throw EOPNOTSUPP.because(
        "the IOMMU driver has no nested HWPTs (IommuOps.domainAllocNested)",
      );
    }
    if (this.autoDomain || !this.nestParent) {
      throw EINVAL.because("the parent was not allocated to be one");
    }
    const { domain } = this;
    if (domain.owner !== ops) {
      throw EINVAL.because("the parent is of another IOMMU driver");
    }
    return (flags, userData) =>
      ops.domainAllocNested!(dev, domain, flags, userData);
  }

  /** The kernel made it for devices that attached to the IOAS; it goes away with the last of them. */
  get autoDomain(): boolean {
    return this.ioas.autoHwpts.has(this);
  }

  /**
   * A HWPT with a domain that nothing is attached to and that holds nothing.
   * The caller publishes or aborts it. Throws ENOMEM and what the driver
   * throws. (v3: iommufd_hw_pagetable_alloc.)
   */
  static create(
    ctx: IommufdCtx,
    ioas: Ioas,
    allocDomain: () => Domain,
    flags = 0,
  ): HwptPaging {
    const hwpt = new HwptPaging(ctx, ioas, flags);
    ctx.objects.orDestroy(hwpt, () => {
      hwpt.adopt(allocDomain());
    });
    return hwpt;
  }

  /**
   * A HWPT for a device whose domain holds the map of the IOAS. The caller
   * publishes or aborts it. Throws EOPNOTSUPP for flags or driver data that
   * are not known or that device and driver cannot do, what the driver throws,
   * ENOMEM, EINVAL (with a warning) if the domain cannot enforce the coherency
   * that the driver promised, and the errnos of attaching and of adding a
   * domain. (Linux: iommufd_hwpt_paging_alloc.)
   */
  static alloc(
    ioas: Ioas,
    idev: IommufdDevice,
    options: PagingOptions,
  ): HwptPaging {
    const { ctx } = idev;
    const { flags = 0, userData } = options;
    checkPaging(idev, flags, userData);
    const hwpt = HwptPaging.create(
      ctx,
      ioas,
      () => allocDomain(idev, flags, userData),
      flags,
    );
    ctx.objects.orDestroy(hwpt, () => {
      // Before anything is mapped: some IOMMUs decide it for each IOPTE.
      if (idev.enforceCacheCoherency) {
        const broken = ctx.kernel.warnings.on(
          !hwpt.tryEnforceCacheCoherency(),
          "iommufd: a new domain does not enforce cache coherency",
        );
        if (broken) {
          throw EINVAL.because("the domain does not enforce cache coherency");
        }
      }
      const detach = options.attach?.(hwpt);
      try {
        addDomain(ioas.iopt, hwpt.domain);
      } catch (error) {
        detach?.();
        throw error;
      }
    });
    ioas.hwpts.add(hwpt);
    return hwpt;
  }

  /** Turns coherency enforcement on if the domain can; whether it is on (Linux: iommufd_hwpt_paging_enforce_cc). */
  tryEnforceCacheCoherency(): boolean {
    return this.enforceCacheCoherency ||= this.domain.enforceCacheCoherency();
  }

  /** Takes the domain out of the IOAS and frees it (Linux: iommufd_hwpt_paging_destroy). */
  override destroy(): void {
    if (this.ioas.hwpts.delete(this)) {
      removeDomain(this.ioas.iopt, this.domain);
    }
    this.ioas.autoHwpts.delete(this);
    super.destroy();
    this.ioas.unref();
  }

  /** A device gives up its use; the last one of an automatic HWPT destroys it. */
  override drop(): void {
    if (this.autoDomain) this.ctx.objects.putAndTryDestroy(this);
    else this.unref();
  }
}

/** Throws EOPNOTSUPP if device or driver cannot do what is asked for. */
function checkPaging(
  { dev, ctx, iommuOps }: IommufdDevice,
  flags: number,
  userData: UserData | undefined,
): void {
  const wantsMore = flags !== 0 || userData !== undefined;
  if (wantsMore && !iommuOps.domainAllocPagingFlags) {
    throw EOPNOTSUPP.because(
      "the IOMMU driver takes no flags and no data (IommuOps.domainAllocPagingFlags)",
    );
  }
  if (flags & ~pagingFlags(ctx.kernel.revision)) throw UNKNOWN_FLAG;
  if (
    flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING &&
    !deviceIommuCapable(dev, "dirty-tracking")
  ) {
    throw EOPNOTSUPP.because(
      "the IOMMU cannot track the device's writes (IommuOps.capable)",
    );
  }
  if (
    flags & IOMMU_HWPT_FAULT_ID_VALID && flags & IOMMU_HWPT_ALLOC_NEST_PARENT
  ) throw EOPNOTSUPP.because("a nesting parent cannot have a fault queue");
}

/** The driver's domain for a device. */
function allocDomain(
  { dev, iommuOps: ops }: IommufdDevice,
  flags: number,
  userData: UserData | undefined,
): Domain {
  return ops.domainAllocPagingFlags
    ? ops.domainAllocPagingFlags(
      dev,
      flags & ~IOMMU_HWPT_FAULT_ID_VALID,
      userData,
    )
    : pagingDomainAlloc(dev);
}
