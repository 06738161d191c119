// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL } from "../../uapi/errno.ts";
import { nextState } from "./next_state.ts";

/** States by their numbers. */
const [, STOP, RUNNING, STOP_COPY, RESUMING, P2P, PRE_COPY, PRE_COPY_P2P] = [
  0,
  1,
  2,
  3,
  4,
  5,
  6,
  7,
] as const;
const [PLAIN, WITH_P2P, WITH_PRE_COPY, ALL] = [1, 3, 5, 7];

/** The states on the way, with both ends. */
function way(flags: number, from: number, to: number): number[] {
  const states = [from];
  for (let state = from; state !== to;) {
    state = nextState(flags, state, to);
    states.push(state);
    assertEquals(states.length < 10, true, "the way ends");
  }
  return states;
}

describe("the way from one state to another", () => {
  // The comment of vfio_mig_get_next_state() has these.
  const ways = [
    [PRE_COPY, PRE_COPY_P2P, STOP_COPY],
    [PRE_COPY, RUNNING, P2P],
    [PRE_COPY, RUNNING, P2P, STOP],
    [PRE_COPY, RUNNING, P2P, STOP, RESUMING],
    [PRE_COPY_P2P, P2P, RUNNING],
    [PRE_COPY_P2P, P2P, STOP],
    [PRE_COPY_P2P, P2P, STOP, RESUMING],
    [RESUMING, STOP, P2P],
    [RESUMING, STOP, P2P, PRE_COPY_P2P],
    [RESUMING, STOP, P2P, RUNNING],
    [RESUMING, STOP, P2P, RUNNING, PRE_COPY],
    [RESUMING, STOP, STOP_COPY],
    [RUNNING, P2P, PRE_COPY_P2P],
    [RUNNING, P2P, STOP],
    [RUNNING, P2P, STOP, RESUMING],
    [RUNNING, P2P, STOP, STOP_COPY],
    [P2P, RUNNING, PRE_COPY],
    [P2P, STOP, RESUMING],
    [P2P, STOP, STOP_COPY],
    [STOP, P2P, PRE_COPY_P2P],
    [STOP, P2P, RUNNING],
    [STOP, P2P, RUNNING, PRE_COPY],
    [STOP_COPY, STOP, RESUMING],
    [STOP_COPY, STOP, P2P],
    [STOP_COPY, STOP, P2P, RUNNING],
  ];
  it("is the shortest that begins to read in no state between", () => {
    for (const states of ways) {
      assertEquals(way(ALL, states[0]!, states.at(-1)!), states);
    }
  });

  it("leaves out what a device has not", () => {
    assertEquals(way(PLAIN, RUNNING, STOP_COPY), [RUNNING, STOP, STOP_COPY]);
    assertEquals(way(PLAIN, RESUMING, RUNNING), [RESUMING, STOP, RUNNING]);
    assertEquals(way(WITH_P2P, RUNNING, STOP), [RUNNING, P2P, STOP]);
    assertEquals(way(WITH_PRE_COPY, PRE_COPY, STOP_COPY), [
      PRE_COPY,
      STOP_COPY,
    ]);
    assertEquals(way(WITH_PRE_COPY, PRE_COPY, STOP), [PRE_COPY, RUNNING, STOP]);
  });

  it("does not lead from reading what has stopped to reading what runs, nor to errors, nor from them", () => {
    for (
      const [flags, from, to] of [
        [ALL, STOP_COPY, PRE_COPY],
        [ALL, STOP_COPY, PRE_COPY_P2P],
        [ALL, RUNNING, 0],
        [ALL, RUNNING, 8],
        [ALL, 0, RUNNING],
        [PLAIN, RUNNING, PRE_COPY],
        [WITH_PRE_COPY, RUNNING, P2P],
        [WITH_PRE_COPY, RUNNING, PRE_COPY_P2P],
      ] as const
    ) assertEquals(assertThrows(() => way(flags, from, to)), EINVAL);
  });
});
