// SPDX-License-Identifier: GPL-2.0-only

/**
 * The KTAP report: what the kernel's own selftests print, for the tools that
 * read that (Linux: Documentation/dev-tools/ktap.rst).
 *
 * The tests of one program on one target are a plain list, as
 * tools/testing/selftests/iommu prints it. Several targets, or several
 * programs, are nested: each is one test of the list around it.
 *
 * @module
 */

import { splitId } from "../../../selftests/harness/table.ts";
import {
  isFailure,
  otherProblems,
  type Run,
  type TestResult,
} from "../results.ts";
import { columnName } from "../matrix.ts";
import {
  implementation,
  oneLine,
  partsOf,
  settingsPhrases,
  suiteTitle,
  unmatchedSentences,
} from "../summary.ts";

/** A list of tests, or of such lists. */
interface List {
  /** What it is called in the list around it. */
  readonly name: string;
  readonly parts: readonly (List | TestResult)[];
}

/** What the tests of this kit are called beside the kernel's programs. */
const OWN_TESTS = "kit";

/** A run as KTAP. */
export function formatKtap(run: Run): string {
  const list = topList(run);
  const plainList = list.parts.every((part) => !("parts" in part));
  const [, ...body] = listLines(list, "");
  const lines = [
    plainList ? "TAP version 13" : "KTAP version 1",
    ...about(run),
    ...body,
  ];
  return lines.join("\n") + "\n";
}

/** The suite and the targets, as diagnostic lines. */
function about(run: Run): string[] {
  return [
    suiteTitle(run),
    ...settingsPhrases(run),
    ...run.columns.flatMap((column) => [
      `${column.spec} ${column.uapi}: ${implementation(column)}`,
      ...unmatchedSentences(column),
    ]),
    ...run.problems,
  ].map((line) => `# ${oneLine(line)}`);
}

/** The whole run; levels with a single part are left out. */
function topList(run: Run): List {
  const columns = run.columns.map((column): List => {
    const lists = partsOf(column).map(({ program, results }): List => ({
      name: program ?? OWN_TESTS,
      parts: results,
    }));
    const name = columnName(column, run);
    const [only] = lists;
    return lists.length === 1
      ? { name, parts: only!.parts }
      : { name, parts: lists };
  });
  const [only] = columns;
  return columns.length === 1 ? only! : { name: "", parts: columns };
}

/** The version line, the plan and the tests of a list. */
function listLines({ parts }: List, margin: string): string[] {
  const lines = ["KTAP version 1", `1..${parts.length}`];
  for (const [index, part] of parts.entries()) {
    const number = index + 1;
    if ("parts" in part) {
      lines.push(...listLines(part, "  "));
      lines.push(`${isGood(part) ? "ok" : "not ok"} ${number} ${part.name}`);
    } else {
      const { id, cases } = part;
      if (cases) lines.push(...listLines({ name: id, parts: cases }, "  "));
      lines.push(...testLines(part, number));
    }
  }
  return lines.map((line) => margin + line);
}

/** True if nothing in a list failed. */
function isGood({ parts }: List): boolean {
  return parts.every((part) =>
    "parts" in part ? isGood(part) : !isFailure(part.status)
  );
}

/** The result line of a test or case, after diagnostic lines if it did not pass. */
function testLines(result: TestResult, number: number): string[] {
  const { status, reason, message, expected, notes = [] } = result;
  const id = splitId(result.id)[1] ?? result.id;
  const line = `${isFailure(status) ? "not ok" : "ok"} ${number} ${id}`;
  const directive = `${line} # ${status.toUpperCase()}`;
  switch (status) {
    case "pass":
      return [...notes.map((note) => `#  ${oneLine(note)}`), line];
    case "skip":
    case "notrun":
      return [`${directive} ${oneLine(reason!)}`];
    case "xfail":
      // Of a test with cases it is these that failed as expected.
      return [expected ? `${directive} ${oneLine(expected.reason)}` : line];
    case "fail":
    case "xpass":
      return [...diagnostics(result), line];
    default:
      return [...diagnostics(result), `${directive} ${oneLine(message!)}`];
  }
}

/** What went wrong, as diagnostic lines. */
function diagnostics(result: TestResult): string[] {
  const { id, message, failure } = result;
  const facts = [
    message!,
    ...[failure?.lastCall, failure?.lastIoctl]
      .flatMap((made) => made?.call ?? []),
    ...otherProblems(result),
  ];
  return facts.map((fact) => `# ${id}: ${oneLine(fact)}`);
}
