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
  let run = list.end - 1;
  // Where the last run began, or would have, had all of it been in `from`.
  let start = run >= 0 ? at - npfns[run]! : at;
  let next = run >= 0 ? pfns[run]! + npfns[run]! : -1;
  let i = at;
  for (; i < end; i++) {
    const pfn = from[i]!;
    if (pfn !== next) {
      if (run + 1 === maxRuns) break;
      if (run >= 0) npfns[run] = i - start;
      start = i;
      pfns[++run] = pfn;
      next = pfn;
    }
    next++;
  }
  if (run >= 0) npfns[run] = i - start;
  list.end = run + 1;
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
  if (end > 0 && pfns[end - 1]! + npfns[end - 1]! === pfn) {
    npfns[end - 1]! += count;
    return true;
  }
  if (end === maxRuns) return false;
  pfns[end] = pfn;
  npfns[end] = count;
  list.end = end + 1;
  return true;
}
