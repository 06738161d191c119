// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where the model is known not to do what a trace says.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";

const WITHOUT_IOMMU =
  "the recorded kernels have VFIO without IOMMU built in, the model's does not";

/** Names of traces of each revision, with the reasons. */
const KNOWN: Readonly<
  Partial<Record<RevisionName, Readonly<Record<string, string>>>>
> = {
  "6.12": {},
  "7.3": {
    "mixed 12.20": WITHOUT_IOMMU,
    "ioas 12.67": WITHOUT_IOMMU,
  },
};

/** Why a trace may come to something else on the model; undefined where it may not. */
export function knownDifference(
  uapi: RevisionName,
  name: string,
): string | undefined {
  return KNOWN[uapi]?.[name];
}
