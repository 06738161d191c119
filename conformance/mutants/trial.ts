// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs the suite against a mutant in a process of its own and says whether a
 * test noticed.
 *
 * @module
 */

import { Child } from "./child.ts";
import type { Status } from "../reports/results.ts";
import {
  describeTest,
  killerOf,
  type Mutant,
  type TestName,
} from "./mutant.ts";
import { changeOf, importMapOf, StaleMutant } from "./patch.ts";
import type { ChildEvent, ChildOrder } from "./suite_child.ts";

/** Milliseconds of processor time for one test. */
const DEFAULT_TEST_MS = 15_000;

/** How a mutant is tried. */
export interface TrialOptions {
  /** Milliseconds of processor time after which a test counts as hung; default 15 s. */
  readonly testMs?: number;
  /** Run the test that is named for it and no other. */
  readonly killerOnly?: boolean;
}

/** What a test came to. */
export interface Outcome extends TestName {
  /** `timeout` for one that hung, `crash` for one that took the child with it. */
  readonly status: Status;
  /** What went wrong, in a sentence; empty if nothing did. */
  readonly message: string;
}

/** What a child did. */
export interface ChildRun {
  /** The tests that ran, in order. */
  readonly outcomes: readonly Outcome[];
  /** Why no test could run, in a sentence. */
  readonly notLoaded?: string;
}

/** How a mutant ended. */
export type Verdict =
  /** The test that is named for it failed. */
  | { readonly verdict: "killed"; readonly by: Outcome }
  /** Another test failed, the one that is named for it did not. */
  | { readonly verdict: "killed by another"; readonly by: Outcome }
  /** No test failed. */
  | { readonly verdict: "survived" }
  /** It is no mutant: its text is gone or occurs twice, or it cannot even be loaded. */
  | { readonly verdict: "broken"; readonly why: string };

/**
 * Tries a mutant: the test that is named for it runs first, then all others
 * until one fails.
 */
export async function tryMutant(
  mutant: Mutant,
  { testMs, killerOnly = false }: TrialOptions = {},
): Promise<Verdict> {
  const killer = killerOf(mutant);
  const { outcomes, notLoaded } = await runChild(
    mutant,
    { first: [killer], others: !killerOnly, keepGoing: false },
    testMs,
  );
  if (notLoaded !== undefined) return { verdict: "broken", why: notLoaded };
  const by = outcomes.find(isKill);
  if (by === undefined) return { verdict: "survived" };
  // Any other exception than the model's own is a slip in the table or in a test.
  if (by.status === "error" && !by.message.startsWith("KernelBug")) {
    return { verdict: "broken", why: by.message };
  }
  const named = by.uapi === killer.uapi && by.id === killer.id;
  return { verdict: named ? "killed" : "killed by another", by };
}

/** All tests that fail with a mutant; a test that hangs is the last one seen. */
export async function killersOf(mutant: Mutant): Promise<readonly Outcome[]> {
  const { outcomes, notLoaded } = await runChild(
    mutant,
    { first: [], others: true, keepGoing: true },
  );
  if (notLoaded !== undefined) throw new Error(notLoaded);
  return outcomes.filter(isKill);
}

/**
 * Runs the tests that are named for mutants against the model as it is.
 * Returns a sentence for each that does not exist or does not pass: it cannot
 * tell a mutant from the model.
 */
export async function checkKillers(
  mutants: readonly Mutant[],
): Promise<string[]> {
  const first = mutants.map(killerOf);
  const { outcomes, notLoaded } = await runChild(
    undefined,
    { first, others: false, keepGoing: true },
  );
  if (notLoaded !== undefined) return [notLoaded];
  const problems = new Set<string>();
  for (const { uapi, id } of first) {
    const outcome = outcomes.find((one) => one.uapi === uapi && one.id === id);
    const name = describeTest({ uapi, id });
    if (outcome === undefined) problems.add(`There is no test ${name}`);
    else if (outcome.status !== "pass") {
      const { status, message } = outcome;
      problems.add(`Without any mutant ${name} ends as ${status}: ${message}`);
    }
  }
  return [...problems];
}

/** Whether a test that ended like this noticed something; a skip notices nothing. */
function isKill({ status }: Outcome): boolean {
  return status !== "pass" && status !== "skip";
}

/** Runs tests in a child with a mutant, or with the model as it is. */
async function runChild(
  mutant: Mutant | undefined,
  order: ChildOrder,
  testMs: number = DEFAULT_TEST_MS,
): Promise<ChildRun> {
  let importMap: string;
  try {
    importMap = importMapOf(...mutant ? [changeOf(mutant)] : []);
  } catch (error) {
    if (!(error instanceof StaleMutant)) throw error;
    return { outcomes: [], notLoaded: error.message };
  }
  const child = new Child<ChildEvent>("./suite_child.ts", importMap, order);
  const outcomes: Outcome[] = [];
  let loaded = false;
  let running: TestName | undefined;
  for await (const event of child.events()) {
    if (event.event === "begin") child.allow(testMs, event.processorMs);
    if (event.event === "loaded") loaded = true;
    running = event.event === "begin" ? event : undefined;
    if (event.event === "end") outcomes.push(event);
  }
  const said = await child.end();
  if (!loaded) {
    return { outcomes, notLoaded: `The modules cannot be loaded: ${said}` };
  }
  if (running !== undefined) {
    const { uapi, id } = running;
    const end = child.expired
      ? { status: "timeout" as const, message: `No end after ${testMs} ms` }
      : { status: "crash" as const, message: said };
    outcomes.push({ uapi, id, ...end });
  }
  return { outcomes };
}
