// SPDX-License-Identifier: GPL-2.0-only

/** Types of what tests use of `abnf`, which has none. */
declare module "abnf" {
  /** Reads a grammar in ABNF; the object that is returned writes it as one of Peggy's. Throws what is wrong. */
  export function parseString(
    text: string,
    name?: string,
  ): { toFormat(options?: object): string };
}
