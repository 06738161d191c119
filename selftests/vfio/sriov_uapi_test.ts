// SPDX-License-Identifier: GPL-2.0-only

import { denoTests } from "../testing/deno_tests.ts";

await denoTests("vfio_pci_sriov_uapi_test");
