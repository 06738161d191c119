// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where a map goes: choosing a free IOVA, and checking one that was given.
 * Linux: io_pagetable.c, iopt_alloc_iova and iopt_check_iova.
 *
 * Linux walks over every area to find a free place. The area tree knows its
 * holes, so the same address is found here in logarithmic time.
 *
 * @module
 */

import { SpanIterator } from "../../lib/span_iterator.ts";
import {
  checkedAdd,
  lowestBit,
  roundUpPowerOfTwo,
  U64_MAX,
} from "../../lib/u64.ts";
import { EINVAL, ENOSPC, EOVERFLOW } from "../../uapi/errno.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../uapi/mman.ts";
import type { IoPagetable } from "./io_pagetable.ts";

/** Lowest and highest IOVA that is ever chosen: never 0, even where it is valid. */
const FIRST_IOVA = BigInt(PAGE_SIZE);
const LAST_IOVA = U64_MAX - BigInt(PAGE_SIZE);

/**
 * The lowest free IOVA for `length` bytes whose user address is `uptr`, within
 * the allowed ranges and outside the reserved ones. As much of the user
 * address's alignment as useful is kept, up to a huge page, so that huge pages
 * can be mapped as such. Throws EOVERFLOW for a length of 0 or of half the
 * IOVA space, EINVAL if the user address is not aligned enough, ENOSPC.
 */
export function allocIova(
  iopt: IoPagetable,
  uptr: bigint,
  length: bigint,
): bigint {
  if (length === 0n || length >= U64_MAX / 2n) throw EOVERFLOW;
  const alignment = chooseAlignment(iopt, uptr, length);
  if (alignment < BigInt(iopt.iovaAlignment)) throw EINVAL;
  const pageOffset = uptr & BigInt(PAGE_SIZE - 1);

  if (iopt.allowed.isEmpty) {
    const iova = firstFree(
      iopt,
      { first: FIRST_IOVA, last: LAST_IOVA },
      length,
      alignment,
      pageOffset,
    );
    if (iova === undefined) throw ENOSPC;
    return iova;
  }
  const span = new SpanIterator(iopt.allowed, FIRST_IOVA, LAST_IOVA);
  for (; !span.done; span.next()) {
    if (span.isHole) continue;
    const range = { first: span.start, last: span.last };
    const iova = firstFree(iopt, range, length, alignment, pageOffset);
    if (iova !== undefined) return iova;
  }
  throw ENOSPC;
}

function chooseAlignment(
  iopt: IoPagetable,
  uptr: bigint,
  length: bigint,
): bigint {
  let alignment = roundUpPowerOfTwo(length);
  if (uptr !== 0n) {
    const natural = lowestBit(uptr);
    if (natural < alignment) alignment = natural;
  }
  const most = BigInt(HPAGE_SIZE);
  return iopt.kernel.revision.capsIovaAlignment && alignment > most
    ? most
    : alignment;
}

/** The lowest free IOVA within a range: outside reserved ranges, then outside areas. */
function firstFree(
  iopt: IoPagetable,
  range: { readonly first: bigint; readonly last: bigint },
  length: bigint,
  alignment: bigint,
  pageOffset: bigint,
): bigint | undefined {
  const span = new SpanIterator(iopt.reserved, range.first, range.last);
  for (; !span.done; span.next()) {
    if (!span.isHole) continue;
    const iova = iopt.areas.firstFit(
      span.start,
      span.last,
      length,
      alignment,
      pageOffset,
    );
    if (iova !== undefined) return iova;
  }
  return undefined;
}

/**
 * Checks a given IOVA for `length` bytes, at least 1. Throws EINVAL if it is
 * misaligned, EOVERFLOW if it wraps, and the revision's errnos if it touches
 * a reserved range or an area.
 */
export function checkIova(
  iopt: IoPagetable,
  iova: bigint,
  length: bigint,
): void {
  const { revision } = iopt.kernel;
  if (iova & BigInt(iopt.iovaAlignment - 1)) throw EINVAL;
  const last = checkedAdd(iova, length - 1n);
  if (iopt.reserved.first(iova, last)) throw revision.reservedIovaErrno;
  if (iopt.areas.first(iova, last)) throw revision.areaExistsErrno;
}
