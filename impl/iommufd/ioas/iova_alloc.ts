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

import { placeIn } from "../../lib/fit_column.ts";
import { SpanIterator } from "../../lib/span_iterator.ts";
import { lowestBit, roundUpPowerOfTwo, U64_MAX } from "../../lib/u64.ts";
import { EINVAL, ENOSPC, EOVERFLOW, type Errno } from "../../uapi/errno.ts";
import { HPAGE_SIZE, PAGE_SIZE } from "../../uapi/mman.ts";
import { IOVA_WRAPS } from "../objects/refusals.ts";
import type { IoPagetable } from "./io_pagetable.ts";
import { describeOwner } from "./reserved.ts";

/** User memory that does not begin where the IOAS needs it to. */
export const MISALIGNED_MEMORY: Errno = EINVAL.because(
  "the memory is not as aligned as the IOAS demands",
);

/** Lowest and highest IOVA that is ever chosen: never 0, even where it is valid. */
const FIRST_IOVA = BigInt(PAGE_SIZE);
const LAST_IOVA = U64_MAX - BigInt(PAGE_SIZE);

/** What a place is looked for. */
interface Wanted {
  /** Bytes. */
  readonly length: bigint;
  /** Bytes, a power of two. */
  readonly alignment: bigint;
  /** Bits that the IOVA has within its page. */
  readonly pageOffset: bigint;
}

/**
 * A free IOVA for `length` bytes whose user address is `uptr`, within the
 * allowed ranges and outside the reserved ones. As much of the user address's
 * alignment as useful is kept, up to a huge page, so that huge pages can be
 * mapped as such. Throws EOVERFLOW for a length of 0 or of half the IOVA
 * space, EINVAL if the user address is not aligned enough, ENOSPC.
 *
 * It is the lowest one from the first place of an allowed range on. Since the
 * offset within the page is or'ed in, a hole below that place may fit as well;
 * as in Linux it is not looked at.
 */
export function allocIova(
  iopt: IoPagetable,
  uptr: bigint,
  length: bigint,
): bigint {
  if (length === 0n || length >= U64_MAX / 2n) {
    throw EOVERFLOW.because("the length is 2^63-1 or more, at no fixed IOVA");
  }
  const alignment = chooseAlignment(iopt, uptr, length);
  if (alignment < BigInt(iopt.iovaAlignment)) throw MISALIGNED_MEMORY;
  const pageOffset = uptr & BigInt(PAGE_SIZE - 1);
  const find = iopt.kernel.revision.ioas.clipsAreaHoles
    ? firstInAreaHoles
    : firstFree;

  // Without an offset a place never appears where another area was put.
  const known = pageOffset === 0n ? iopt.searched.get(alignment) : undefined;
  const from = known !== undefined && known.length <= length
    ? known.iova
    : FIRST_IOVA;

  const { isEmpty: allAllowed } = iopt.allowed;
  const span = new SpanIterator(iopt.allowed, from, LAST_IOVA);
  for (; !span.done; span.next()) {
    if (span.isHole && !allAllowed) continue;
    const { last } = span;
    const first = placeIn(span.start, last, length, alignment, pageOffset);
    if (first === undefined) continue;
    const iova = find(iopt, first, last, { length, alignment, pageOffset });
    if (iova === undefined) continue;
    if (pageOffset === 0n) iopt.searched.set(alignment, { length, iova });
    return iova;
  }
  throw ENOSPC.because("no free range of IOVA is long enough");
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
  return iopt.kernel.revision.ioas.capsIovaAlignment && alignment > most
    ? most
    : alignment;
}

/** The lowest free IOVA in [first, last]: outside reserved ranges, then outside areas. */
function firstFree(
  iopt: IoPagetable,
  first: bigint,
  last: bigint,
  { length, alignment, pageOffset }: Wanted,
): bigint | undefined {
  const span = new SpanIterator(iopt.reserved, first, last);
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
 * As {@link firstFree}, but each hole between areas counts from its own first
 * place on, whatever is reserved there.
 */
function firstInAreaHoles(
  iopt: IoPagetable,
  first: bigint,
  last: bigint,
  wanted: Wanted,
): bigint | undefined {
  const { length, alignment, pageOffset } = wanted;
  for (let from = first;;) {
    const start = iopt.areas.firstFit(
      from,
      last,
      length,
      alignment,
      pageOffset,
    );
    if (start === undefined) return undefined;
    const following = iopt.areas.first(start, last);
    const end = following === undefined ? last : following.iova - 1n;
    const iova = firstFree(iopt, start, end, wanted);
    if (iova !== undefined || following === undefined) return iova;
    from = following.iova;
  }
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
  if (iova & BigInt(iopt.iovaAlignment - 1)) {
    throw EINVAL.because("the IOVA is not as aligned as the IOAS demands");
  }
  const last = lastIova(iova, length);
  const reserved = iopt.reserved.first(iova, last);
  if (reserved) {
    const where = describeOwner(reserved.owner);
    const { reservedIovaErrno } = revision.ioas;
    throw reservedIovaErrno.because(`part of the range of IOVA is ${where}`);
  }
  if (iopt.areas.first(iova, last)) {
    const { areaExistsErrno } = revision.ioas;
    throw areaExistsErrno.because(
      "part of the range of IOVA is mapped already",
    );
  }
}

/** The last of `length` bytes, at least 1, of IOVA. Throws EOVERFLOW. */
export function lastIova(iova: bigint, length: bigint): bigint {
  const last = iova + length - 1n;
  if (last > U64_MAX) throw IOVA_WRAPS;
  return last;
}
