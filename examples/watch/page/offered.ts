// SPDX-License-Identifier: GPL-2.0-only

/**
 * The kernels that the page offers.
 *
 * @module
 */

import type { RevisionName } from "@iommufd/kit";

/** Newest first. v3 has no mock devices as the scenarios use them. */
export const OFFERED: readonly RevisionName[] = ["7.3", "6.12"];
