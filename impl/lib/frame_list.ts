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
  let run = list.end;
  let next = run > 0 ? pfns[run - 1]! + npfns[run - 1]! : -1;
  let i = at;
  for (;;) {
    // Scattered memory stays in the first loop, contiguous memory in the second.
    for (; i < end && run < maxRuns; i++) {
      const pfn = from[i]!;
      if (pfn === next) break;
      pfns[run] = pfn;
      npfns[run++] = 1;
      next = pfn + 1;
    }
    const start = i;
    for (; i < end && from[i] === next; i++) next++;
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
