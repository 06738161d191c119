// SPDX-License-Identifier: GPL-2.0-only

/**
 * Numbers that are told apart by what they number. They cost nothing: a brand
 * is there for the type checker alone.
 *
 * @module
 */

import { PAGE_SIZE } from "../uapi/mman.ts";
import { U64_MAX } from "./u64.ts";

/** The number of a page frame. */
export type Pfn = number & { readonly brand: "Pfn" };

/** The number of a page within some pages. */
export type PageIndex = number & { readonly brand: "PageIndex" };

/** A byte of the IOVA space as a number, which is exact. */
export type Iova = number & { readonly brand: "Iova" };

/** What lies `count` behind a place. */
export function plus<T extends Pfn | PageIndex | Iova>(
  place: T,
  count: number,
): T {
  return place + count as T;
}

/** The lower of two places. */
export function min<T extends Pfn | PageIndex | Iova>(a: T, b: T): T {
  return a < b ? a : b;
}

/** The higher of two places. */
export function max<T extends Pfn | PageIndex | Iova>(a: T, b: T): T {
  return a < b ? b : a;
}

/** The frame that a physical address lies in. */
export function pfnOf(paddr: number): Pfn {
  return Math.floor(paddr / PAGE_SIZE) as Pfn;
}

/** An IOVA as a number. Throws a RangeError for one that a number would round, and for what is no IOVA. */
export function toIova(iova: bigint): Iova {
  const number = Number(iova);
  if (iova < 0n || iova > U64_MAX || BigInt(number) !== iova) {
    throw new RangeError(`IOVA ${iova} is not exact as a number`);
  }
  return number as Iova;
}
