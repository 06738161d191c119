// SPDX-License-Identifier: GPL-2.0-only

/**
 * Hardware page tables (HWPT): an IOMMU domain as an object of user space.
 *
 * Linux: drivers/iommu/iommufd/hw_pagetable.c.
 *
 * @module
 */

import type { Domain } from "../iommu/domain.ts";
import { pagingDomainAlloc } from "../iommu/group_domain.ts";
import { KernelBug } from "../kernel/warn.ts";
import { EINVAL } from "../uapi/errno.ts";
import type { IommufdDevice } from "./device.ts";
import { addDomain, removeDomain } from "./domains.ts";
import type { Ioas } from "./ioas.ts";
import type { IommufdCtx } from "./main.ts";
import { IommufdObject } from "./object.ts";

/** A domain with an id (Linux: struct iommufd_hw_pagetable). Attached devices are users of it. */
export abstract class HwPagetable extends IommufdObject {
  #domain: Domain | undefined;

  /** The domain. */
  get domain(): Domain {
    if (this.#domain === undefined) {
      throw new KernelBug(`HWPT ${this.id} has no domain yet`);
    }
    return this.#domain;
  }

  /** The HWPT whose IOAS the devices see: itself, or the parent of a nested one (Linux: find_hwpt_paging). */
  abstract get paging(): HwptPaging;

  /** Gives it the domain that it frees in the end. */
  protected adopt(domain: Domain): void {
    this.#domain = domain;
  }

  /** Frees the domain, if there is one already (Linux: __iommufd_hwpt_destroy). */
  override destroy(): void {
    this.#domain?.free();
  }

  /** A device gives up its use (Linux: iommufd_hw_pagetable_put). */
  drop(): void {
    this.unref();
  }
}

/** A HWPT whose domain holds the map of an IOAS (Linux: struct iommufd_hwpt_paging). It is a user of the IOAS. */
export class HwptPaging extends HwPagetable {
  /** The IOAS. */
  readonly ioas: Ioas;
  /** The kernel made it for devices that attached to the IOAS; it goes away with the last of them. */
  autoDomain = false;
  /** No device behind it can bypass the cache. Once on it stays on. */
  enforceCacheCoherency = false;
  /** The domain has its MSI window. */
  msiCookie = false;
  /** The attached devices, where devices are kept per HWPT instead of per group. */
  readonly devices: Set<IommufdDevice> = new Set();

  /** A HWPT without domain: see {@link create}. */
  constructor(ctx: IommufdCtx, ioas: Ioas) {
    super(ctx);
    this.ioas = ioas;
    ioas.ref();
  }

  override get paging(): HwptPaging {
    return this;
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
  ): HwptPaging {
    const hwpt = new HwptPaging(ctx, ioas);
    try {
      hwpt.adopt(allocDomain());
    } catch (error) {
      ctx.objects.abortAndDestroy(hwpt);
      throw error;
    }
    return hwpt;
  }

  /**
   * A HWPT for a device whose domain holds the map of the IOAS. With `attach`
   * the device is attached before that, because the domain of some drivers is
   * not complete earlier. The caller publishes or aborts it. Throws ENOMEM,
   * EINVAL (with a warning) if the domain cannot enforce the coherency that
   * the driver promised, and the errnos of attaching and of adding a domain.
   * (Linux: iommufd_hwpt_paging_alloc.)
   */
  static alloc(
    ioas: Ioas,
    idev: IommufdDevice,
    options: { readonly attach: boolean },
  ): HwptPaging {
    const { ctx } = idev;
    const hwpt = HwptPaging.create(
      ctx,
      ioas,
      () => pagingDomainAlloc(idev.dev),
    );
    try {
      // Before anything is mapped: some IOMMUs decide it for each IOPTE.
      if (idev.enforceCacheCoherency) {
        const broken = ctx.kernel.warnings.on(
          !hwpt.tryEnforceCacheCoherency(),
          "iommufd: a new domain does not enforce cache coherency",
        );
        if (broken) throw EINVAL;
      }
      if (options.attach) idev.igroup.attach(idev, hwpt);
      try {
        addDomain(ioas.iopt, hwpt.domain);
      } catch (error) {
        if (options.attach) idev.igroup.detach(idev).unref();
        throw error;
      }
    } catch (error) {
      ctx.objects.abortAndDestroy(hwpt);
      throw error;
    }
    ioas.hwpts.add(hwpt);
    return hwpt;
  }

  /** Turns coherency enforcement on if the domain can; whether it is on (Linux: iommufd_hwpt_paging_enforce_cc). */
  tryEnforceCacheCoherency(): boolean {
    return this.enforceCacheCoherency ||= this.domain.enforceCacheCoherency();
  }

  /** Takes the domain out of the IOAS and frees it (Linux: iommufd_hwpt_paging_destroy). */
  override destroy(): void {
    this.ctx.kernel.warnings.on(
      this.devices.size > 0,
      `iommufd: HWPT ${this.id} is destroyed with devices`,
    );
    if (this.ioas.hwpts.delete(this)) {
      removeDomain(this.ioas.iopt, this.domain);
    }
    super.destroy();
    this.ioas.unref();
  }

  /** A device gives up its use; the last one of an automatic HWPT destroys it. */
  override drop(): void {
    if (this.autoDomain) this.ctx.objects.putAndTryDestroy(this);
    else this.unref();
  }
}
