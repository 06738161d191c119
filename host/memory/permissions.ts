// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a mapping lets be done with it.
 *
 * @module
 */

import {
  FOLL_FORCE,
  FOLL_REMOTE,
  FOLL_WRITE,
} from "../../impl/kernel/interfaces/mm.ts";
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../impl/uapi/mman.ts";
import type { Mapping } from "./spaces/mappings.ts";

/** Whether its pages may be pinned (Linux: check_vma_flags of mm/gup.c). */
export function mayPin(mapping: Mapping, gupFlags: number): boolean {
  const force = (gupFlags & FOLL_FORCE) !== 0;
  if ((gupFlags & FOLL_WRITE) === 0) {
    return force || (mapping.prot & PROT_READ) !== 0;
  }
  if ((mapping.prot & PROT_WRITE) !== 0) return true;
  return force && mapping.pageSize === PAGE_SIZE && !mapping.shared;
}

/**
 * Whether pages that the process has touched may be pinned for reading although
 * the mapping forbids it: gup_fast looks at page table entries alone, and what
 * those let be written they let be read.
 */
export function mayPinTouched(mapping: Mapping, gupFlags: number): boolean {
  if ((gupFlags & (FOLL_WRITE | FOLL_REMOTE)) !== 0) return false;
  return mapping.shared
    ? (mapping.prot & PROT_WRITE) !== 0
    : mapping.prot !== 0;
}
