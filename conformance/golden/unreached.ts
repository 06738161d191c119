// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pairs that calls bring about and that no trace reaches, each with the reason.
 *
 * @module
 */

import { pairName } from "../api_coverage/measure.ts";
import type { Pair } from "../api_coverage/pairs.ts";

const GROUP =
  "it takes a group, whose path has a number that is the machine's own, and programs have paths as they are";
const LIMIT =
  "the tests that do it count steps that fail, and traces leave those out";
const WITHOUT_IOMMU = "no trace is of a machine with a device without IOMMU";
const UNMOVED = "no trace is of a device that can be moved";
const NO_PROGRAM = "no program of the candidates does that";
const LONG = "the tests that do it are longer than a trace may be";
const VFIO_AND_MOCK =
  "no test has a device of VFIO's beside the mock's objects";

/** All pairs of these files are left out. */
const FILES: Readonly<Record<string, string>> = {
  container: GROUP,
  group: GROUP,
};

/** Pairs by name, in any revision. */
const PAIRS: Readonly<Record<string, string>> = {
  "iommufd IOMMU_IOAS_NOIOMMU_GET_PA ok": WITHOUT_IOMMU,
  "iommufd IOMMU_IOAS_NOIOMMU_GET_PA E2BIG": NO_PROGRAM,
  "iommufd IOMMU_TEST_CMD MOCK_DOMAIN ENOMEM": LIMIT,
  "iommufd IOMMU_TEST_CMD MOCK_DOMAIN_FLAGS ENOMEM": LIMIT,
  "iommufd IOMMU_TEST_CMD MOCK_DOMAIN_REPLACE ENOMEM": LIMIT,
  "iommufd IOMMU_TEST_CMD CREATE_ACCESS ENOMEM": LIMIT,
  "iommufd IOMMU_TEST_CMD TRIGGER_IOPF EINVAL": VFIO_AND_MOCK,
  "iommufd IOMMU_TEST_CMD PASID_ATTACH EFAULT": LIMIT,
  "iommufd IOMMU_TEST_CMD PASID_ATTACH ENOMEM": LIMIT,
  "iommufd IOMMU_TEST_CMD PASID_ATTACH EADDRINUSE": NO_PROGRAM,
  "iommufd IOMMU_TEST_CMD PASID_REPLACE EFAULT": LIMIT,
  "iommufd IOMMU_TEST_CMD PASID_REPLACE EADDRINUSE": NO_PROGRAM,
  "iommufd IOMMU_TEST_CMD DMABUF_REVOKE EOPNOTSUPP": VFIO_AND_MOCK,
  "iommufd others EFAULT": NO_PROGRAM,
  "iommufd VFIO_SET_IOMMU EPERM": GROUP,
  "iommufd VFIO_SET_IOMMU EADDRINUSE": NO_PROGRAM,
  "device VFIO_DEVICE_BIND_IOMMUFD EBUSY": GROUP,
  "device VFIO_DEVICE_BIND_IOMMUFD EPERM": GROUP,
  "device VFIO_DEVICE_ATTACH_IOMMUFD_PT EADDRINUSE": NO_PROGRAM,
  "device VFIO_DEVICE_ATTACH_IOMMUFD_PT ENOMEM": NO_PROGRAM,
  "device VFIO_DEVICE_GET_INFO EFAULT": NO_PROGRAM,
  "device VFIO_DEVICE_GET_IRQ_INFO EFAULT": NO_PROGRAM,
  "device VFIO_DEVICE_GET_PCI_HOT_RESET_INFO ok":
    "the recorded card's bus cannot be reset",
  "device VFIO_DEVICE_GET_PCI_HOT_RESET_INFO ENOSPC":
    "the recorded card's bus cannot be reset",
  "device VFIO_DEVICE_PCI_HOT_RESET ok":
    "the recorded card's bus cannot be reset",
  "device VFIO_DEVICE_PCI_HOT_RESET EBADF": GROUP,
  "device VFIO_DEVICE_IOEVENTFD ok": LONG,
  "device VFIO_DEVICE_IOEVENTFD EFAULT": NO_PROGRAM,
  "device VFIO_DEVICE_IOEVENTFD EINVAL": LONG,
  "device VFIO_DEVICE_IOEVENTFD ENODEV": LONG,
  "device VFIO_DEVICE_IOEVENTFD EBADF": LONG,
  "device VFIO_DEVICE_IOEVENTFD EEXIST": LONG,
  "device VFIO_DEVICE_IOEVENTFD ENOSPC": LONG,
  "device VFIO_DEVICE_FEATURE EOVERFLOW": UNMOVED,
  "device VFIO_DEVICE_FEATURE E2BIG": UNMOVED,
};

/** Why no trace reaches a pair; undefined where there is no reason. */
export function whyUnreached(pair: Pair): string | undefined {
  return FILES[pair.file] ?? PAIRS[pairName(pair)];
}
