// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pairs that calls bring about and that no trace reaches, each with the reason.
 *
 * @module
 */

import { pairName } from "../api_coverage/measure.ts";
import type { Pair } from "../api_coverage/pairs.ts";

const WITHOUT_IOMMU = "no trace is of a machine with a device without IOMMU";
const UNMOVED = "no trace is of a device that can be moved";
const NO_TOKEN =
  "only virtual functions want a token, and what they are called is the machine's own";
const NO_RESET = "the recorded card's bus cannot be reset";
const REFUSED =
  "an IOAS is refused for a PASID before what is mapped there is looked at";
const BY_GROUP = "no trace attaches a device that was opened by its group";
const MANY = "it takes 65,535 maps";
const VFIO_AND_MOCK =
  "no program shares a DMA buffer of a VFIO device with the test operations";

/** Pairs by name, in any revision. */
const PAIRS: Readonly<Record<string, string>> = {
  "iommufd IOMMU_IOAS_NOIOMMU_GET_PA ok": WITHOUT_IOMMU,
  "iommufd IOMMU_TEST_CMD PASID_ATTACH EFAULT": REFUSED,
  "iommufd IOMMU_TEST_CMD PASID_ATTACH ENOMEM": REFUSED,
  "iommufd IOMMU_TEST_CMD PASID_ATTACH EADDRINUSE": REFUSED,
  "iommufd IOMMU_TEST_CMD DMABUF_REVOKE EOPNOTSUPP": VFIO_AND_MOCK,
  "iommufd VFIO_SET_IOMMU EPERM": WITHOUT_IOMMU,
  "container VFIO_SET_IOMMU EPERM": WITHOUT_IOMMU,
  "container VFIO_IOMMU_MAP_DMA ENOSPC": MANY,
  "container VFIO_IOMMU_MAP_DMA ENOTTY": WITHOUT_IOMMU,
  "container VFIO_IOMMU_UNMAP_DMA ENOTTY": WITHOUT_IOMMU,
  "container VFIO_IOMMU_DIRTY_PAGES ENOTTY": WITHOUT_IOMMU,
  "group VFIO_GROUP_SET_CONTAINER EPERM": WITHOUT_IOMMU,
  "group VFIO_GROUP_GET_DEVICE_FD EACCES": NO_TOKEN,
  "group VFIO_GROUP_GET_DEVICE_FD EPERM": WITHOUT_IOMMU,
  "device VFIO_DEVICE_BIND_IOMMUFD EPERM": WITHOUT_IOMMU,
  "device VFIO_DEVICE_BIND_IOMMUFD EACCES": NO_TOKEN,
  "device VFIO_DEVICE_ATTACH_IOMMUFD_PT ENOTTY": BY_GROUP,
  "device VFIO_DEVICE_DETACH_IOMMUFD_PT ENOTTY": BY_GROUP,
  "device VFIO_DEVICE_GET_PCI_HOT_RESET_INFO ok": NO_RESET,
  "device VFIO_DEVICE_GET_PCI_HOT_RESET_INFO ENOSPC": NO_RESET,
  "device VFIO_DEVICE_PCI_HOT_RESET ok": NO_RESET,
  "device VFIO_DEVICE_PCI_HOT_RESET EBADF": NO_RESET,
  "device VFIO_DEVICE_FEATURE EOVERFLOW": UNMOVED,
  "device VFIO_DEVICE_FEATURE E2BIG": UNMOVED,
};

/** Why no trace reaches a pair; undefined where there is no reason. */
export function whyUnreached(pair: Pair): string | undefined {
  return PAIRS[pairName(pair)];
}
