// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in hardware page tables.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** Hardware page tables. */
export class HwptDifferences extends Differences {
  /** The domain enters the IOAS when its HWPT is allocated; else at the first attach (S16; hw_pagetable.c). */
  readonly filledAtAlloc: boolean = this.since("6.4");
}
