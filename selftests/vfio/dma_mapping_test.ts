// SPDX-License-Identifier: GPL-2.0-only

import { denoTests } from "../testing/deno_tests.ts";

await denoTests("vfio_dma_mapping_test", "vfio_dma_map_limit_test");
