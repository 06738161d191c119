// SPDX-License-Identifier: GPL-2.0-only

/**
 * Results that somebody else came to, as those of tests of the suite.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { printable } from "../lib/printable.ts";
import { sumUp } from "../reports/cases.ts";
import {
  type Failure,
  isFailure,
  type RevisionRun,
  type TestResult,
} from "../reports/results.ts";
import type { GivenResult, GivenResults } from "../targets/target_spec.ts";
import { aboutTest } from "./run_one.ts";

/** Lines of a file and line number, as the kernel's harness puts them before what it says. */
const WHERE = /^(\S+\.[ch]:\d+):/;

/** Results, those of the suite's tests apart from the others. */
interface Sorted {
  /** By the ids of tests. */
  readonly known: ReadonlyMap<string, GivenResult>;
  /** The names of those that are no tests of the suite. */
  readonly unknown: readonly string[];
}

/** The tests of which there are results, or should be: the file was cut off. */
export function givenTests(
  given: GivenResults,
  suite: readonly Test[],
  tests: readonly Test[],
): Test[] {
  const { known } = sort(given, suite);
  const programs = programsOf(known, suite);
  return tests.filter(({ id, program }) =>
    known.has(id) ||
    given.stopped !== undefined && programs.has(program)
  );
}

/** The revision whose suite has the most of the results, and of several the one that has the fewest others; of several the last. */
export function bestRevision(
  given: GivenResults,
  revisions: readonly RevisionName[],
  allTests: (uapi: RevisionName) => readonly Test[],
): RevisionName {
  const fits = revisions.map((uapi) => {
    const suite = allTests(uapi);
    const { known } = sort(given, suite);
    return { uapi, known, missing: missingIds(known, suite, suite) };
  });
  return fits.reduce((best, fit) => {
    const more = fit.known.size - best.known.size ||
      best.missing.length - fit.missing.length;
    return more >= 0 ? fit : best;
  }).uapi;
}

/** Tests that are asked for results: those of {@link givenTests}, and all that were selected. */
interface Wanted {
  readonly uapi: RevisionName;
  readonly suite: readonly Test[];
  readonly tests: readonly Test[];
  readonly selected: readonly Test[];
}

/** The results as those of a run. */
export function givenRun(
  given: GivenResults,
  { uapi, suite, tests, selected }: Wanted,
): RevisionRun {
  const { name, version, stopped } = given;
  const { known, unknown } = sort(given, suite);
  const missing = missingIds(known, suite, selected);
  return printable({
    uapi,
    target: name,
    targetVersion: version,
    results: tests.map((test) => resultOf(test, uapi, known.get(test.id))),
    ...stopped !== undefined && { stopped },
    unmatched: { unknown, missing },
  });
}

function sort({ results }: GivenResults, suite: readonly Test[]): Sorted {
  const ids = new Set(suite.map(({ id }) => id));
  const known = new Map<string, GivenResult>();
  const unknown: string[] = [];
  function visit(result: GivenResult): void {
    const { name, status, parts } = result;
    if (ids.has(name)) {
      const before = known.get(name);
      // Told twice: a failure is not hidden by a pass.
      if (before === undefined || isFailure(status)) known.set(name, result);
    } else if (parts.length > 0) {
      for (const part of parts) visit(part);
    } else {
      unknown.push(name);
    }
  }
  for (const result of results) visit(result);
  return { known, unknown };
}

/** The programs that results are of. */
function programsOf(
  known: ReadonlyMap<string, GivenResult>,
  suite: readonly Test[],
): Set<string | undefined> {
  return new Set(
    suite.filter(({ id }) => known.has(id)).map(({ program }) => program),
  );
}

/** The tests of these programs of which there are none. */
function missingIds(
  known: ReadonlyMap<string, GivenResult>,
  suite: readonly Test[],
  selected: readonly Test[],
): string[] {
  const programs = programsOf(known, suite);
  return selected.filter(({ id, program }) =>
    programs.has(program) && !known.has(id)
  ).map(({ id }) => id);
}

function resultOf(
  test: Test,
  uapi: RevisionName,
  given: GivenResult | undefined,
): TestResult {
  const about = { ...aboutTest(test, { uapi }), durationMs: 0 };
  if (given === undefined) {
    const reason = "not among the results";
    return { ...about, status: "notrun", reason, message: reason };
  }
  const result = judged(about, given);
  if (given.parts.length === 0 || result.status === "skip") return result;
  const cases = given.parts.map((part) =>
    judged({ ...about, id: `${test.id}/${part.name}` }, part)
  );
  return { ...sumUp(result, cases, result), durationMs: 0 };
}

function judged(
  about: Omit<TestResult, "status">,
  { status, reason, said }: GivenResult,
): TestResult {
  const result: TestResult = { ...about, status };
  const why = reason === "" ? "no reason is given" : reason;
  switch (status) {
    case "pass":
      return result;
    case "skip":
    case "notrun":
      return { ...result, reason: why, message: why };
    case "xfail":
      return {
        ...result,
        message: why,
        expected: { actual: "fail", reason: why, link: "" },
      };
    default:
      return { ...result, ...failureOf(about.id, reason, said) };
  }
}

/** What is told of a failure. */
function failureOf(
  id: string,
  reason: string,
  said: readonly string[],
): { message: string; failure: Failure } {
  const lines = said.map((line) =>
    line.startsWith(`${id}: `) ? line.slice(id.length + 2) : line
  );
  const [first = reason || "it failed, and nothing says how"] = lines;
  const where = WHERE.exec(first)?.[1];
  return {
    message: first,
    failure: {
      calls: 0,
      problems: [],
      ...where !== undefined && { where },
      ...lines.length > 1 && { stderr: lines.join("\n") },
    },
  };
}
