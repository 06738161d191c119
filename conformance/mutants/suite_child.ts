// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs conformance tests against the model and writes what happens to standard
 * output, a {@link ChildEvent} as JSON on each line. It is a program of its own
 * because a mutant can hang it, and because the mutant is in its import map.
 *
 * @module
 */

import { processorMs } from "../lib/processor_time.ts";
import { REVISION_NAMES, type RevisionName } from "../../impl/uapi/revision.ts";
import { allTests } from "../../selftests/all.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { isFailure } from "../reports/results.ts";
import { runTest } from "../running/run_one.ts";
import type { Target } from "../../selftests/target/target.ts";
import type { TestName } from "./mutant.ts";
import type { Outcome } from "./trial.ts";

/** What the child is to do: its only argument, as JSON. */
export interface ChildOrder {
  /** These tests first. Ids that no test has are left out. */
  readonly first: readonly TestName[];
  /** Then all others. */
  readonly others: boolean;
  /** Go on after a test that failed. */
  readonly keepGoing: boolean;
}

/** What the child tells. */
export type ChildEvent =
  /** All modules are loaded; the tests begin. */
  | { readonly event: "loaded" }
  /** A test begins, when the child has had so many milliseconds of processor time. */
  | ({ readonly event: "begin"; readonly processorMs: number } & TestName)
  /** A test ended. */
  | ({ readonly event: "end" } & Outcome);

/** The longest that a timer can be set to: who waits for the child knows when it hangs. */
const NO_LIMIT_MS = 2 ** 31 - 1;

function tell(event: ChildEvent): void {
  console.log(JSON.stringify(event));
}

/** The tests in the order in which they are to run. */
function planned({ first, others }: ChildOrder): [RevisionName, Test][] {
  const all = REVISION_NAMES.toReversed().flatMap((uapi) =>
    allTests(uapi).map((test): [RevisionName, Test] => [uapi, test])
  );
  const isFirst = ([uapi, { id }]: [RevisionName, Test]) =>
    first.some((name) => name.uapi === uapi && name.id === id);
  const early = all.filter(isFirst);
  return others ? [...early, ...all.filter((entry) => !isFirst(entry))] : early;
}

async function run(order: ChildOrder): Promise<void> {
  const targets = new Map<RevisionName, Target>();
  const plan = planned(order);
  tell({ event: "loaded" });
  for (const [uapi, test] of plan) {
    const { id } = test;
    const target = targets.get(uapi) ?? await implTarget(uapi);
    targets.set(uapi, target);
    tell({ event: "begin", processorMs: processorMs(), uapi, id });
    const { status, message = "" } = await runTest(test, target, {
      timeoutMs: NO_LIMIT_MS,
    });
    tell({ event: "end", uapi, id, status, message });
    if (isFailure(status) && !order.keepGoing) break;
  }
}

if (import.meta.main) await run(JSON.parse(Deno.args[0]!) as ChildOrder);
