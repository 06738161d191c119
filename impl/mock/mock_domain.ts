// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mock IOMMU's domains: what they have in common, whatever page table is
 * behind them.
 *
 * @module
 */

import type { Device } from "../iommu/device.ts";
import { Domain, type DomainOptions } from "../iommu/domain.ts";
import { EINVAL } from "../uapi/errno.ts";
import { MOCK_FLAGS_DEVICE_NO_DIRTY } from "../uapi/selftest.ts";
import type { MockDevice, MockIommuOps } from "./mock_device.ts";

/** The domain that blocks all DMA of mock devices (Linux: mock_blocking_domain). */
export class MockBlockedDomain extends Domain {
  /** It lets nothing through. */
  override readonly type = "blocked";

  /** Always succeeds. */
  override attachDev(dev: Device, old: Domain | null): void {
    (dev as MockDevice).changeDomain(this, old);
  }

  /** The same for DMA with a PASID (Linux: mock_domain_set_dev_pasid_nop). */
  override setDevPasid(dev: Device, pasid: number, old: Domain | null): void {
    (dev as MockDevice).changePasid(this, pasid, old);
  }
}

/** What a {@link MockDomain} can do. */
export interface MockDomainOptions {
  /** The driver. */
  readonly owner: MockIommuOps;
  /** It has 1 MiB pages; its page table says beside which others. */
  readonly huge?: boolean;
  /** It can track which pages were written; devices that cannot do not get in. */
  readonly dirtyTracking?: boolean;
}

/** What is to be dirty: bit n of `bits` stands for `pageSize` bytes from IOVA `iova + n * pageSize` on. */
export interface DirtyPages {
  /** First IOVA. */
  readonly iova: bigint;
  /** Bytes that a bit stands for, not 0. */
  readonly pageSize: bigint;
  /** Bits. */
  readonly count: number;
  /** The bits, beginning with the lowest of byte 0. */
  readonly bits: Uint8Array;
}

/** A paging domain of the mock (Linux: struct mock_iommu_domain). */
export abstract class MockDomain extends Domain {
  /** Its user maps into it. */
  override readonly type = "paging";

  /** A domain with what its page table can do. */
  constructor(
    { owner, dirtyTracking = false }: MockDomainOptions,
    pageTable: Omit<DomainOptions, "owner" | "dirtyTracking">,
  ) {
    super({ owner, dirtyTracking, ...pageTable });
  }

  /**
   * Throws EINVAL if the domain can track writes but not those of the device,
   * and what switching on its page faults throws. (Linux: mock_domain_nop_attach.)
   */
  override attachDev(dev: Device, old: Domain | null): void {
    const mock = dev as MockDevice;
    if (
      this.dirtyOps !== undefined && mock.flags & MOCK_FLAGS_DEVICE_NO_DIRTY
    ) throw EINVAL.because("the IOMMU cannot track the device's writes");
    mock.changeDomain(this, old);
  }

  /** The same for DMA with a PASID, without regard to dirty tracking (Linux: mock_domain_set_dev_pasid_nop). */
  override setDevPasid(dev: Device, pasid: number, old: Domain | null): void {
    (dev as MockDevice).changePasid(this, pasid, old);
  }

  /** Turns tracking on or off; EINVAL to turn it on in a domain that cannot (Linux: mock_domain_set_dirty_tracking). */
  override setDirtyTracking(enable: boolean): void {
    if (enable && this.dirtyOps === undefined) throw EINVAL;
    super.setDirtyTracking(enable);
  }

  /** As if a device had written; returns what the test operation DIRTY returns (Linux: iommufd_test_dirty). */
  abstract markDirty(pages: DirtyPages): number;

  /** Bytes that are mapped. For checks. */
  abstract get mappedBytes(): number;

  /** The physical address behind an IOVA, a multiple of the smallest page; undefined when not mapped. For checks: never warns. */
  abstract lookup(iova: number): number | undefined;
}
