// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pairs that calls bring about and that no trace reaches, each with the reason.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";

/** The pairs by name, in each revision of which there are traces. */
export const UNREACHED: Readonly<
  Partial<Record<RevisionName, Readonly<Record<string, string>>>>
> = {};
