// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sizes and places that the groups share.
 *
 * @module
 */

import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { PAGE_SIZE } from "../../impl/uapi/mman.ts";

/** 1 KiB. */
export const KIB = 1024;
/** 1 MiB. */
export const MIB: number = 1024 * KIB;
/** 1 GiB. */
export const GIB: number = 1024 * MIB;

/** Lengths that a VMM maps: a page, small windows, a DIMM. */
export const LENGTHS: readonly number[] = [
  4 * KIB,
  256 * KIB,
  2 * MIB,
  64 * MIB,
  GIB,
];

/** The first IOVA of mock domains. */
export const IOVA = BigInt(MOCK_APERTURE_START);

/** Bytes that a phase goes through, if one call does not. */
const PHASE = 16 * MIB;
/** Most calls in a phase. */
const MAX_CALLS = 256;

/** How many calls of a length make a phase that the clock can see. */
export function callsOf(length: number): number {
  return Math.max(1, Math.min(MAX_CALLS, Math.floor(PHASE / length)));
}

/** Pages of a length. */
export function pagesOf(length: number): number {
  return Math.ceil(length / PAGE_SIZE);
}

/** `no domain`, `1 domain`, `2 domains`. */
export function domainsName(domains: number): string {
  if (domains === 0) return "no domain";
  return domains === 1 ? "1 domain" : `${domains} domains`;
}
