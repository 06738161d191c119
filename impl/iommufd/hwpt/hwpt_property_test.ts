// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random sequences of the ioctls about HWPTs, nesting, dirty tracking and page
 * faults against the naive model: the same errnos, ids, bits, cookies and
 * answers, the same maps, pins and users.
 *
 * With fault injection, steps of the kernel fail at random: a call that failed
 * has changed nothing then, and does what the model says when it is repeated.
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { HwptRun, type HwptStep } from "../testing/hwpt_run.ts";

/** What the sequences must have come to: without it they would prove little. */
const REACHED: readonly string[] = [
  "DESTROY: 0 EBUSY ENOENT",
  "DIRTY: 0 EINVAL ENOENT",
  "FAULT_QUEUE_ALLOC: 0",
  "GET_DIRTY_BITMAP: 0 ENOENT EOPNOTSUPP",
  "HWPT_ALLOC with data: 0 EFAULT EINVAL ENOENT EOPNOTSUPP",
  "HWPT_ALLOC: 0 EADDRINUSE EINVAL ENOENT EOPNOTSUPP",
  "INVALIDATE: 0 EINVAL ENOENT EOPNOTSUPP",
  "MAP: 0 EEXIST EINVAL ENOENT",
  "MOCK_DOMAIN: 0 EADDRINUSE EINVAL ENOENT",
  "REPLACE: 0 EADDRINUSE EINVAL ENOENT",
  "SET_DIRTY_TRACKING: 0 ENOENT EOPNOTSUPP",
  "TRIGGER_IOPF: 0 ENOENT",
  "UNMAP: 0 ENOENT",
  "close: 0",
  "read: 0 EINVAL",
  "write: 0 EINVAL",
];

/** The same for what fault injection adds. */
const REACHED_WITH_FAILURES: readonly string[] = [
  "a step fails: 0 EFAULT EINVAL ENOENT ENOMEM",
  "answer lost: MAP REPLACE UNMAP",
];

/** Those results, one by one, that are not in `seen`. */
function missing(reached: readonly string[], seen: Set<string>): string[] {
  return reached.flatMap((line) => {
    const [what, results] = line.split(": ");
    return results!.split(" ").map((result) => `${what}: ${result}`);
  }).filter((each) => !seen.has(each));
}

/** Runs sequences; returns what they came to. */
function run(
  nth: fc.Arbitrary<number>,
  seed: number,
  runs: number,
): Set<string> {
  const seen = new Set<string>();
  const number = fc.nat(1000);
  const step: fc.Arbitrary<HwptStep> = fc.record({
    kind: number,
    a: number,
    b: number,
    c: number,
    d: number,
    nth,
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 80, size: "max" }),
      (steps) => {
        const run = new HwptRun(seen);
        for (const each of steps) run.step(each);
        run.finish();
      },
    ),
    { seed, numRuns: runs },
  );
  return seen;
}

Deno.test("HWPTs, dirty bits and faults are what the naive model has", () => {
  const seen = run(fc.constant(0), 1, 400);
  assertEquals(missing(REACHED, seen), []);
});

Deno.test("HWPTs, dirty bits and faults stay what they are where a step fails", () => {
  const nth = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 }));
  const seen = run(nth, 2, 800);
  assertEquals(missing([...REACHED, ...REACHED_WITH_FAILURES], seen), []);
});
