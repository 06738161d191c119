// SPDX-License-Identifier: GPL-2.0-only

/**
 * The JUnit report: XML, with a test suite for each target in each revision.
 *
 * @module
 */

import { splitId } from "../../../selftests/harness/table.ts";
import { verdictsOf } from "../cases.ts";
import {
  type Column,
  count,
  type Counts,
  type Run,
  type TestResult,
} from "../results.ts";
import { type Commands, failureFacts } from "../failure_facts.ts";
import { attributes, escapeMarkup } from "./markup.ts";
import { oneLine, unmatchedSentences } from "../summary.ts";

/** A run as JUnit XML. */
export function formatJunit(run: Run, commands: Commands): string {
  const suites = run.columns.map((column) => testSuite(run, column, commands));
  const all = run.columns.flatMap(({ results }) => verdictsOf(results));
  const counts = count(all);
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${
      attributes({
        name: run.suite.name,
        ...junitCounts(counts, run.problems.length),
        time: seconds(all),
      })
    }>`,
    ...suites.flat(),
    ...problemSuite(run),
    "</testsuites>",
  ];
  return lines.join("\n") + "\n";
}

/** The counts of JUnit: a status of ours that it lacks is the nearest of its own. */
function junitCounts(
  counts: Counts,
  more = 0,
): Record<"tests" | "failures" | "errors" | "skipped", number> {
  const { fail, xpass, crash, timeout, error, notrun, skip, xfail } = counts;
  return {
    tests: counts.total + more,
    failures: fail + xpass + more,
    errors: crash + timeout + error + notrun,
    skipped: skip + xfail,
  };
}

function seconds(results: readonly TestResult[]): string {
  const millis = results.reduce((sum, { durationMs }) => sum + durationMs, 0);
  return (millis / 1000).toFixed(3);
}

/** A target in a revision. */
function testSuite(run: Run, column: Column, commands: Commands): string[] {
  const { spec, uapi } = column;
  const results = verdictsOf(column.results);
  return [
    `  <testsuite${
      attributes({
        name: `${spec} ${uapi}`,
        ...junitCounts(count(results)),
        time: seconds(results),
      })
    }>`,
    "    <properties>",
    ...Object.entries(properties(run, column)).map(([name, value]) =>
      `      <property${attributes({ name, value })}/>`
    ),
    "    </properties>",
    ...results.flatMap((result) => testCase(spec, result, commands)),
    "  </testsuite>",
  ];
}

/** What the suite ran on. */
function properties(
  { suite, settings }: Run,
  column: Column,
): Record<string, string | number> {
  const { spec, uapi, target, targetVersion, stopped } = column;
  const { filters, ...others } = settings;
  return {
    "suite.version": suite.version,
    "suite.hash": suite.hash,
    target: spec,
    "target.name": target,
    "target.version": targetVersion,
    uapi,
    ...others,
    ...filters && { filters: filters.join(" ") },
    ...stopped !== undefined && { stopped },
    ...column.unmatched && { unmatched: unmatchedSentences(column).join("; ") },
  };
}

/** A test, or a case of the class that is its test. */
function testCase(
  spec: string,
  result: TestResult,
  commands: Commands,
): string[] {
  const [classname, name] = namesOf(result);
  const open = `    <testcase${
    attributes({ classname, name, time: seconds([result]) })
  }`;
  const inner = outcome(spec, result, commands);
  return inner === undefined
    ? [`${open}/>`]
    : [`${open}>`, `      ${inner}`, "    </testcase>"];
}

/** What JUnit calls the class of a test or case, and itself. */
function namesOf({ id, fixture, variant }: TestResult): [string, string] {
  const [test, name] = splitId(id);
  if (name !== undefined) return [test, name];
  const group = variant ? `${fixture}.${variant}` : fixture;
  const inGroup = id.startsWith(`${group}.`);
  return [group, inGroup ? id.slice(group.length + 1) : id];
}

/** The element that says how a test ended; undefined for a pass. */
function outcome(
  spec: string,
  result: TestResult,
  commands: Commands,
): string | undefined {
  const { status, message, reason, expected, failure } = result;
  if (status === "pass") return undefined;
  if (status === "skip") {
    return `<skipped${attributes({ message: reason! })}/>`;
  }
  if (status === "xfail") {
    const text = `expected failure: ${expected!.reason} (${expected!.link})`;
    return `<skipped${attributes({ message: text })}/>`;
  }
  const name = status === "fail" || status === "xpass" ? "failure" : "error";
  const facts = failureFacts(spec, result, commands)
    .map(([name, value]) => `${name}: ${value}`);
  const text = [...facts, ...failure?.stack ? [failure.stack] : []].join("\n");
  const about = attributes({ type: status, message: oneLine(message!) });
  return `<${name}${about}>${escapeMarkup(text)}</${name}>`;
}

/** What is wrong beside the tests, as failed tests of a suite of their own. */
function problemSuite({ problems }: Run): string[] {
  if (problems.length === 0) return [];
  const counts = junitCounts(count([]), problems.length);
  return [
    `  <testsuite${attributes({ name: "problems", ...counts })}>`,
    ...problems.flatMap((problem, index) => [
      `    <testcase${
        attributes({ classname: "problems", name: `problem ${index + 1}` })
      }>`,
      `      <failure${attributes({ type: "fail", message: problem })}/>`,
      "    </testcase>",
    ]),
    "  </testsuite>",
  ];
}
