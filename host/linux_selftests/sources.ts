// SPDX-License-Identifier: GPL-2.0-only

/**
 * What of a kernel's source its iommufd selftests are built from, and what is
 * taken out of it because it does not compile against the headers beside it.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";

/** Where the programs' source is, and where make leaves them. */
export const SELFTESTS = "tools/testing/selftests/iommu";

/** The programs. */
export const PROGRAMS = ["iommufd", "iommufd_fail_nth"] as const;

/** What making the headers and the programs takes of the tree. */
export const NEEDED: readonly string[] = [
  "Kbuild",
  "Makefile",
  "arch/x86",
  "drivers/iommu/iommufd",
  "include",
  "scripts",
  "tools/include",
  "tools/scripts",
  "tools/testing/selftests/*.h",
  "tools/testing/selftests/*.mk",
  "tools/testing/selftests/kselftest",
  SELFTESTS,
];

/** Lines that do not compile. */
export interface Removal {
  /** The file, in {@link SELFTESTS}. */
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
