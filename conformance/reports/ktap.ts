// SPDX-License-Identifier: GPL-2.0-only

/**
 * The KTAP report: what the kernel's own selftests print, for the tools that
 * read that (Linux: Documentation/dev-tools/ktap.rst).
 *
 * The result of one revision is a plain list, as tools/testing/selftests/iommu
 * prints it. Several revisions are nested: each is one test of the outer list.
 *
 * @module
 */

import {
  isFailure,
  otherProblems,
  type RevisionRun,
  type Run,
  type TestResult,
} from "../results.ts";

/** A run as KTAP. */
export function formatKtap(run: Run): string {
  const [only, ...others] = run.columns;
  const lines = only !== undefined && others.length === 0
    ? ["TAP version 13", ...plan(only)]
    : nested(run.columns);
  return lines.join("\n") + "\n";
}

/** The outer list: one test for each revision. */
function nested(revisions: readonly RevisionRun[]): string[] {
  const lines = ["KTAP version 1", `1..${revisions.length}`];
  revisions.forEach((revision, index) => {
    const inner = ["KTAP version 1", ...plan(revision)];
    lines.push(...inner.map((line) => `  ${line}`));
    lines.push(`${verdict(revision.results)} ${index + 1} ${revision.uapi}`);
  });
  return lines;
}

/** The plan line and the tests of a revision. */
function plan({ results }: RevisionRun): string[] {
  return [
    `1..${results.length}`,
    ...results.flatMap((result, index) => testLines(result, index + 1)),
  ];
}

/** The result line of a test, after diagnostic lines if it did not pass. */
function testLines(result: TestResult, number: number): string[] {
  const { id, status, reason, message } = result;
  switch (status) {
    case "pass":
      return [`ok ${number} ${id}`];
    case "skip":
      return [`ok ${number} ${id} # SKIP ${oneLine(reason!)}`];
    case "xfail":
      return [`ok ${number} ${id} # XFAIL ${oneLine(result.expected!.reason)}`];
    case "fail":
    case "xpass":
      return [...diagnostics(result), `not ok ${number} ${id}`];
    case "notrun":
      return [`not ok ${number} ${id} # NOTRUN ${oneLine(reason!)}`];
    case "crash":
    case "timeout":
    case "error":
      return [
        ...diagnostics(result),
        `not ok ${number} ${id} # ${status.toUpperCase()} ${oneLine(message!)}`,
      ];
  }
}

/** What went wrong, as diagnostic lines. */
function diagnostics(result: TestResult): string[] {
  const { id, message, failure } = result;
  const facts = [
    message!,
    ...[failure?.lastCall, failure?.lastIoctl].flatMap((made) =>
      made ? [made.call] : []
    ),
    ...otherProblems(result),
  ];
  return facts.map((fact) => `# ${id}: ${oneLine(fact)}`);
}

function verdict(results: readonly TestResult[]): string {
  return results.some(({ status }) => isFailure(status)) ? "not ok" : "ok";
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}
