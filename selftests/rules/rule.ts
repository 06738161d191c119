// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a rule is.
 *
 * @module
 */

import type { Version } from "../../impl/uapi/revision/versions.ts";

/** How far a rule reaches, with what that means. */
export const LEVELS = {
  uapi: "rule of the uAPI: programs may rely on it",
  kernel: "behaviour of this kernel: another implementation may differ",
} as const;

/** Something that Linux does, which tests prove. */
export interface Rule {
  /** How far it reaches. */
  readonly level: keyof typeof LEVELS;
  /** The first version that does it. */
  readonly since: Version;
  /** What Linux does. */
  readonly says: string;
  /** Where it does that: files with their functions. */
  readonly where: string;
}
