// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in accesses.
 *
 * @module
 */

import { Differences } from "./differences.ts";

/** Accesses. */
export class AccessDifferences extends Differences {
  /** An access that does not need pin_pages keeps the IOVA alignment; pinning needs the flag (B16). */
  readonly needsPinPages: boolean = this.since("6.2");
  /** An access is created without IOAS and attached later (S15; device.c). */
  readonly attachesLater: boolean = this.since("6.4");
}
