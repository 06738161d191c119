// SPDX-License-Identifier: GPL-2.0-only

/**
 * What of a kernel's source its selftests are built from, and what is taken out
 * of it because it does not compile against the headers beside it.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";

/** A folder of test programs. */
export interface Suite {
  /** Where their source is, and where make leaves them. */
  readonly folder: string;
  /** Their names. */
  readonly programs: readonly string[];
  /** What making them takes of the tree, beside what all take. */
  readonly needed: readonly string[];
}

/** The programs of iommufd. */
export const IOMMU: Suite = {
  folder: "tools/testing/selftests/iommu",
  programs: ["iommufd", "iommufd_fail_nth"],
  needed: ["drivers/iommu/iommufd"],
};

/** The programs of VFIO, which have drivers of their own for some devices. */
export const VFIO: Suite = {
  folder: "tools/testing/selftests/vfio",
  programs: [
    "vfio_pci_driver_test",
    "vfio_iommufd_setup_test",
    "vfio_pci_device_test",
    "vfio_pci_device_init_perf_test",
    "vfio_dma_mapping_test",
    "vfio_dma_mapping_mmio_test",
    "vfio_pci_sriov_uapi_test",
  ],
  needed: [
    "drivers/dma/idxd/registers.h",
    "drivers/dma/ioat/*.h",
    "drivers/net/ethernet/intel/igb/*.h",
    "tools/arch/x86",
  ],
};

/** Which a revision has. */
export function suitesOf(revision: RevisionName): readonly Suite[] {
  return revision === "7.3" ? [IOMMU, VFIO] : [IOMMU];
}

/** What making the headers and any program takes of the tree. */
const NEEDED_BY_ALL: readonly string[] = [
  "Kbuild",
  "Makefile",
  "arch/x86",
  "include",
  "scripts",
  "tools/include",
  "tools/scripts",
  "tools/testing/selftests/*.h",
  "tools/testing/selftests/*.mk",
  "tools/testing/selftests/kselftest",
];

/** What making the headers and the programs of suites takes of the tree. */
export function neededBy(suites: readonly Suite[]): readonly string[] {
  return [
    ...NEEDED_BY_ALL,
    ...suites.flatMap(({ folder, needed }) => [...needed, folder]),
  ];
}

/** Lines that do not compile. */
export interface Removal {
  /** The file, in the folder of {@link IOMMU}. */
  readonly file: string;
  /** What the lines are about. */
  readonly what: string;
  /** The lines. */
  readonly lines: RegExp;
}

/** How the source of a revision differs from what compiles. */
export interface Repair {
  /** What is taken out. */
  readonly removals: readonly Removal[];
  /** What the compiler is told. */
  readonly flags: readonly string[];
}

const AS_IT_IS: Repair = { removals: [], flags: [] };

/**
 * Stable 6.12 took tests of PASIDs and of a chosen type of hw_info from later
 * kernels, without what they test.
 */
const REPAIRS: Partial<Record<RevisionName, Repair>> = {
  "6.12": {
    removals: [
      {
        file: "iommufd.c",
        what: "the device with PASIDs",
        lines: /\n\tif \(variant->pasid_capable\)\n(?:\t\t.*\n)+/,
      },
      {
        file: "iommufd.c",
        what: "a chosen type of hw_info",
        lines:
          /\t\t\/\* Request for a wrong data_type,.*\n(?:\t\ttest_\w+\(.*\n(?:\t\t\t.*\n)+){2}/,
      },
      {
        file: "iommufd.c",
        what: "the width of PASIDs",
        lines: /\t\tif \(variant->pasid_capable\) \{\n(?:\t\t\t.*\n)+\t\t\}\n/,
      },
      {
        file: "iommufd_utils.h",
        what: "the field of the chosen type",
        lines: /\t\t\.in_data_type = data_type,\n/,
      },
      {
        file: "iommufd_utils.h",
        what: "the flag of the chosen type",
        lines:
          /\tif \(data_type != IOMMU_HW_INFO_TYPE_DEFAULT\)\n\t\tcmd\.flags \|= .*\n\n/,
      },
    ],
    // The type that is asked for by default, which has no name there.
    flags: ["-DIOMMU_HW_INFO_TYPE_DEFAULT=0"],
  },
};

/** What the source of a revision needs. */
export function repairOf(revision: RevisionName): Repair {
  return REPAIRS[revision] ?? AS_IT_IS;
}

/** The text of a file without the lines. Throws where they are not there once. */
export function without(text: string, { file, what, lines }: Removal): string {
  const parts = text.split(lines);
  if (parts.length === 2) return parts.join("");
  throw new Error(
    `${file} has the lines of ${what} ${
      parts.length - 1
    } times, not once: it is not the source that is known not to compile`,
  );
}
