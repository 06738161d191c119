// SPDX-License-Identifier: GPL-2.0-only

/**
 * Lists of page frames that are kept as runs of contiguous ones.
 *
 * @module
 */

/** Runs of contiguous frames, to which frames are added at the end. */
export interface FrameList {
  /** First frame of each run. */
  readonly pfns: Int32Array;
  /** Frames in each run. */
  readonly npfns: Int32Array;
  /** Runs. */
  end: number;
}

/** The frame that would go on with the last run of a list; -1 without one. */
export function endOf({ pfns, npfns, end }: FrameList): number {
  return end === 0 ? -1 : (pfns[end - 1]! + npfns[end - 1]!) | 0;
}

/** An empty list with room for `runs` runs. */
export function makeFrameList(runs: number): FrameList {
  return { pfns: new Int32Array(runs), npfns: new Int32Array(runs), end: 0 };
}

/**
 * Adds the frames `from[at]` to `from[end - 1]`, as long as they fit into
 * `maxRuns` runs; returns how many did. (Linux: batch_add_pfn in a loop.)
 */
export function addFrames(
  list: FrameList,
  maxRuns: number,
  from: Int32Array,
  at: number,
  end: number,
): number {
  const { pfns, npfns } = list;
  let run = list.end;
  let next = endOf(list);
  let i = at;
  for (;;) {
    // Scattered memory stays in the first loop, contiguous memory in the second.
    for (; i < end && run < maxRuns; i++) {
      const pfn = from[i]!;
      if (pfn === next) break;
      pfns[run] = pfn;
      npfns[run++] = 1;
      next = (pfn + 1) | 0;
    }
    const start = i;
    for (; i < end && from[i] === next; i++) next = (next + 1) | 0;
    if (i === start) break;
    npfns[run - 1]! += i - start;
  }
  list.end = run;
  return i - at;
}

/** Adds `count` frames from `pfn` on, which go on with the last run or are one more; false if that does not fit. (Linux: batch_add_pfn_num.) */
export function addRun(
  list: FrameList,
  maxRuns: number,
  pfn: number,
  count: number,
): boolean {
  const { pfns, npfns, end } = list;
  if (endOf(list) === pfn) {
    npfns[end - 1]! += count;
    return true;
  }
  if (end === maxRuns) return false;
  pfns[end] = pfn;
  npfns[end] = count;
  list.end = end + 1;
  return true;
}

/**
 * Adds the runs of `from`, number `first` and those that follow, as long as
 * they fit into `maxRuns` runs; returns how many did.
 */
export function addRuns(
  list: FrameList,
  maxRuns: number,
  from: FrameList,
  first: number,
): number {
  const { pfns, npfns } = from;
  let run = first;
  // Only the first one can go on with what is there.
  if (run < from.end && addRun(list, maxRuns, pfns[run]!, npfns[run]!)) run++;
  const stop = Math.min(from.end, run + maxRuns - list.end);
  for (; run < stop; run++) {
    list.pfns[list.end] = pfns[run]!;
    list.npfns[list.end++] = npfns[run]!;
  }
  return run - first;
}

/** Stores the frames of a list in `out` from `at` on; returns how many. */
export function expandRuns(
  { pfns, npfns, end }: FrameList,
  out: Int32Array,
  at: number,
): number {
  let to = at;
  for (let run = 0; run < end; run++) {
    let pfn = pfns[run]!;
    // Scattered memory is nothing but these.
    if (npfns[run] === 1) out[to++] = pfn;
    else {
      const stop = (to + npfns[run]!) | 0;
      for (; to < stop; to++, pfn = (pfn + 1) | 0) out[to] = pfn;
    }
  }
  return to - at;
}
