// SPDX-License-Identifier: GPL-2.0-only

/**
 * Nested domains of the mock IOMMU. They translate nothing; all that there is
 * of them is a cache of four entries that user space fills with one value and
 * invalidates.
 *
 * @module
 */

import type { Device, IommuOps } from "../iommu/device.ts";
import { Domain } from "../iommu/domain.ts";
import {
  copyStructFromUserArray,
  type UserDataArray,
} from "../iommu/user_data.ts";
import type { Viommu } from "../iommu/viommu/viommu.ts";
import { EINVAL, EOPNOTSUPP } from "../uapi/errno.ts";
import {
  HwptInvalidateSelftest,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  MOCK_NESTED_DOMAIN_IOTLB_ID_MAX,
  MOCK_NESTED_DOMAIN_IOTLB_NUM,
} from "../uapi/selftest.ts";
import type { MockDevice } from "./mock_device.ts";

/** A nested domain of the mock (Linux: struct mock_iommu_domain_nested). */
export class MockNestedDomain extends Domain {
  /** Its user owns the page table. */
  override readonly type = "nested";
  /** The virtual IOMMU that it is of, if it is of one: only that one's devices get in. */
  readonly viommu: Viommu | undefined;
  /** The cache; 0 is an invalid entry. */
  readonly iotlb: Uint32Array = new Uint32Array(MOCK_NESTED_DOMAIN_IOTLB_NUM);

  /** A domain of a driver with `iotlb` in every entry of its cache. */
  constructor(owner: IommuOps, iotlb: number, viommu: Viommu | undefined) {
    super({ owner });
    this.viommu = viommu;
    this.iotlb.fill(iotlb);
  }

  /** Throws ENOENT for a device that the virtual IOMMU does not know, and what switching on its page faults throws (Linux: mock_domain_nop_attach). */
  override attachDev(dev: Device, old: Domain | null): void {
    (dev as MockDevice).changeDomain(this, old);
  }

  /** The same for DMA with a PASID (Linux: mock_domain_set_dev_pasid_nop). */
  override setDevPasid(dev: Device, pasid: number, old: Domain | null): void {
    (dev as MockDevice).changePasid(this, pasid, old);
  }

  /**
   * Clears one entry, or all, for each request. Throws EINVAL for another type
   * of request and for an entry that does not exist, EOPNOTSUPP for unknown
   * flags. (Linux: mock_domain_cache_invalidate_user.)
   */
  override cacheInvalidateUser(array: UserDataArray): void {
    const type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST;
    if (array.type !== type) {
      throw EINVAL.because("the type of the requests is not known");
    }
    for (let i = 0; i < array.entryNum; i++) {
      const { flags, iotlbId } = copyStructFromUserArray(
        HwptInvalidateSelftest,
        array,
        type,
        i,
        "iotlbId",
      );
      if (flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL) {
        throw EOPNOTSUPP.because("a request has an unknown flag");
      }
      if (iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX) {
        throw EINVAL.because("a request names an entry that there is not");
      }
      if (flags & IOMMU_TEST_INVALIDATE_FLAG_ALL) this.iotlb.fill(0);
      else this.iotlb[iotlbId] = 0;
      array.handled++;
    }
  }
}
