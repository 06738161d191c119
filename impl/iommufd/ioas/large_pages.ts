// SPDX-License-Identifier: GPL-2.0-only

/**
 * Whether contiguous pages may be mapped in one piece. Linux: io_pagetable.c,
 * iopt_enable_large_pages and iopt_disable_large_pages.
 *
 * @module
 */

import { EINVAL } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { checkIovaAlignment } from "./alignment.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/** Lets contiguous pages be mapped in one piece again. */
export function enableLargePages(iopt: IoPagetable): void {
  if (!iopt.disableLargePages) return;
  iopt.disableLargePages = false;
  iopt.alignment.remove(PAGE_SIZE);
}

/**
 * Maps every page on its own from now on. Throws EINVAL if a domain has areas
 * mapped already, EADDRINUSE if an area is not page aligned; nothing happens
 * where it is off already.
 */
export function disableLargePages(iopt: IoPagetable): void {
  if (iopt.disableLargePages) return;
  if (iopt.domains.length > 0 && !iopt.areas.isEmpty) {
    throw EINVAL.because("a domain has areas already, perhaps in large pages");
  }
  checkIovaAlignment(iopt, PAGE_SIZE);
  iopt.disableLargePages = true;
  // See Domain.mapSmall().
  iopt.alignment.add(PAGE_SIZE);
}
