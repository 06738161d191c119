// SPDX-License-Identifier: GPL-2.0-only

import { NEWEST } from "../../impl/uapi/revision.ts";
import { denoTestsOn } from "../testing/deno_tests.ts";

// Other tests get the container that they need: VFIO's own.
await denoTestsOn(
  [
    "vfio_dma_mapping_test",
    "vfio_dma_map_limit_test",
    "vfio_dma_mapping_mmio_test",
    "vfio_pci_device_init_perf_test",
    "vfio_pci_sriov_uapi_test",
  ],
  NEWEST,
  `${NEWEST}, an iommufd as the container`,
  { container: "iommufd" },
);
