// SPDX-License-Identifier: GPL-2.0-only

/**
 * How many huge pages of 2 MiB the host has to give.
 *
 * @module
 */

import { AT_FDCWD } from "./structs.ts";
import type { Sys } from "./sys.ts";

/** Huge pages that nobody uses, nor was promised: those count as free, too. */
export function freeHugePages(sys: Sys): number {
  const text = String(sys.readFile(AT_FDCWD, "/proc/meminfo"));
  const number = (which: string) =>
    Number(
      new RegExp(`^HugePages_${which}:\\s*(\\d+)`, "m").exec(text)?.[1] ?? 0,
    );
  return number("Free") - number("Rsvd");
}
