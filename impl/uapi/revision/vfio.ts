// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in the VFIO container.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** The VFIO container. */
export class VfioDifferences extends Differences {
  /** UNMAP_DMA of a range without areas succeeds with size 0; else ENOENT (S06). */
  readonly emptyUnmapSucceeds: boolean = this.since("6.2");
  /** UNMAP_DMA that failed before it counted writes back 0; else the size stays as given (P14.10; iommufd_vfio_unmap_dma). */
  readonly unmapInitialisesSize: boolean = this.since("6.12");
  /** No-IOMMU mode exists (iommufd_vfio_compat_set_no_iommu). */
  readonly hasNoIommu: boolean = this.since("6.3");
  /** GET_INFO's capabilities: DMA_AVAIL first, padded to 8 bytes; else IOVA_RANGE first, unpadded (S21). */
  readonly capsDmaAvailFirst: boolean = this.since("6.6");
  /** What the DMA_AVAIL capability reports (S21). */
  readonly dmaAvail: number = this.from({ v3: 0xffff, "6.2": 0xffffffff });
  /** There are devices in /dev/vfio/devices (VFIO_DEVICE_CDEV). */
  readonly hasDeviceFiles: boolean = this.since("6.6");
  /** A token of a virtual function comes with BIND_IOMMUFD, whose struct grew and may grow (vfio_df_ioctl_bind_iommufd). */
  readonly bindHasToken: boolean = this.since("6.17");
  /** The information about a descriptor of a device says which device it is (vfio_device_show_fdinfo). */
  readonly hasFdinfo: boolean = this.since("6.18");
  /** BARs can be exported as DMA buffers (VFIO_DEVICE_FEATURE_DMA_BUF). */
  readonly hasDmaBufs: boolean = this.since("6.19");
  /** VFIO's own container has a type for nested page tables, which no IOMMU has that Linux knows (VFIO_TYPE1_NESTING_IOMMU). */
  readonly type1HasNesting: boolean = this.until("6.13");
  /** VFIO's own container says EOVERFLOW of a range that ends beyond 2^64; else EINVAL, and a bitmap's range cannot end there either (vfio_dma_do_map). */
  readonly type1SaysOverflow: boolean = this.since("6.18");
  /** Opening /dev/vfio/vfio gives an iommufd that charges per process (S23). */
  readonly hasDevice: boolean = this.since("6.2");
}
