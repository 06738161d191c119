// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where the model is known not to do what a trace says.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";

const WITHOUT_IOMMU =
  "the recorded kernels have VFIO without IOMMU built in, the model's does not";
const WRAPS =
  "ACCESS_PAGES compares with an address whose range wraps: EOVERFLOW on Linux, EFAULT on the model";

/** Names of traces of each revision, with the reasons. */
const KNOWN: Readonly<
  Partial<Record<RevisionName, Readonly<Record<string, string>>>>
> = {
  "6.12": {
    "files 12.31": WRAPS,
    "files 12.75": "a poll that fails on Linux and not on the model",
  },
  "7.3": {
    "mixed 12.20": WITHOUT_IOMMU,
    "ioas 12.67": WITHOUT_IOMMU,
    "files 12.60": WRAPS,
    "memory 12.68":
      "MADV_DOFORK of huge pages: EINVAL on Linux, done on the model",
  },
};

/** Why a trace may come to something else on the model; undefined where it may not. */
export function knownDifference(
  uapi: RevisionName,
  name: string,
): string | undefined {
  return KNOWN[uapi]?.[name];
}
