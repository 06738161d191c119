// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import {
  addFrames,
  addRun,
  addRuns,
  expandRuns,
  type FrameList,
  makeFrameList,
} from "./frame_list.ts";

function runsOf({ pfns, npfns, end }: FrameList): [number, number][] {
  return Array.from({ length: end }, (_, i) => [pfns[i]!, npfns[i]!]);
}

/** What a list with room for `maxRuns` runs takes of frames, one by one. */
function naive(frames: readonly number[], maxRuns: number): number[][] {
  const runs: number[][] = [];
  for (const pfn of frames) {
    const last = runs.at(-1);
    if (last?.at(-1) === pfn - 1) last.push(pfn);
    else if (runs.length === maxRuns) break;
    else runs.push([pfn]);
  }
  return runs;
}

/** Few frames, so that many follow each other. */
const FRAMES = fc.array(fc.nat(8), { maxLength: 40 });

describe("a list of frames", () => {
  it("takes frames as runs, until one more does not fit", () => {
    fc.assert(fc.property(FRAMES, FRAMES, fc.nat(12), (some, more, maxRuns) => {
      const list = makeFrameList(maxRuns);
      const from = Int32Array.of(9, ...some, ...more, 9);
      const middle = 1 + some.length;
      let added = addFrames(list, maxRuns, from, 1, middle);
      if (added === some.length) {
        added += addFrames(list, maxRuns, from, middle, from.length - 1);
      }
      const expected = naive([...some, ...more], maxRuns);
      assertEquals(added, expected.flat().length);
      assertEquals(
        runsOf(list),
        expected.map((run) => [run[0]!, run.length]),
      );
    }));
  });

  it("takes runs of another list as it takes their frames", () => {
    fc.assert(
      fc.property(FRAMES, FRAMES, fc.nat(12), (some, more, maxRuns) => {
        const list = makeFrameList(40);
        const started = addFrames(
          list,
          maxRuns,
          Int32Array.from(some),
          0,
          some.length,
        );
        const from = makeFrameList(41);
        addRun(from, 41, 1000, 1);
        addFrames(from, 41, Int32Array.from(more), 0, more.length);
        const taken = addRuns(list, maxRuns, from, 1);
        const frames = [...some.slice(0, started), ...more];
        assertEquals(
          runsOf(list),
          naive(frames, maxRuns).map((run) => [run[0]!, run.length]),
        );
        const npages = runsOf(from).slice(1, 1 + taken)
          .reduce((sum, [, count]) => sum + count, 0);
        const out = new Int32Array(started + npages + 2).fill(-1);
        assertEquals(expandRuns(list, out, 1), started + npages);
        assertEquals(
          [...out],
          [-1, ...frames.slice(0, started + npages), -1],
        );
      }),
    );
  });
});
