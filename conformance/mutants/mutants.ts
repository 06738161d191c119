// SPDX-License-Identifier: GPL-2.0-only

/**
 * All mutants.
 *
 * @module
 */

import type { Mutant } from "./mutant.ts";
import { CORE_MUTANTS } from "./tables/core.ts";
import { FILES_MUTANTS } from "./tables/files.ts";
import { HWPT_MUTANTS } from "./tables/hwpt.ts";
import { IOAS_MUTANTS } from "./tables/ioas.ts";
import { MEMORY_MUTANTS } from "./tables/memory.ts";
import { MOCK_MUTANTS } from "./tables/mock.ts";
import { MAP_FILE_MUTANTS } from "./tables/map_file.ts";
import { PAGE_TABLE_MUTANTS } from "./tables/page_table.ts";
import { PAGES_MUTANTS } from "./tables/pages.ts";
import { PASID_MUTANTS } from "./tables/pasid.ts";
import { VFIO_MUTANTS } from "./tables/vfio.ts";
import { VFIO_PCI_MUTANTS } from "./tables/vfio_pci.ts";
import { VFIO_TYPE1_MUTANTS } from "./tables/vfio_type1.ts";
import { VIOMMU_MUTANTS } from "./tables/viommu.ts";

/** All mutants, by subject and then by file. */
export const MUTANTS: readonly Mutant[] = [
  ...CORE_MUTANTS,
  ...IOAS_MUTANTS,
  ...PAGES_MUTANTS,
  ...MAP_FILE_MUTANTS,
  ...HWPT_MUTANTS,
  ...MEMORY_MUTANTS,
  ...FILES_MUTANTS,
  ...MOCK_MUTANTS,
  ...PAGE_TABLE_MUTANTS,
  ...PASID_MUTANTS,
  ...VIOMMU_MUTANTS,
  ...VFIO_MUTANTS,
  ...VFIO_PCI_MUTANTS,
  ...VFIO_TYPE1_MUTANTS,
];
