// SPDX-License-Identifier: GPL-2.0-only

/**
 * Prints what failed, by name, and the sums of the runner's JSON reports, of the
 * tests' JUnit report and of what Linux's own programs print as one line: `total:
 * N passed, N failed, N skipped`. Exits with 1 if anything failed, or if a report is not there because
 * its step broke. Arguments: paths ending in `.json`, `.xml` or `.tap`.
 *
 * @module
 */

import type { JsonReport } from "../conformance/reports/formats/json.ts";
import { parseTap } from "../host/linux_selftests/tap.ts";

interface Totals {
  passed: number;
  /** What failed: a line each. */
  failed: string[];
  skipped: number;
}

/** The report's counts; a failure where there is no report. */
function totalsOf(path: string, read: (text: string) => Totals): Totals {
  try {
    return read(Deno.readTextFileSync(path));
  } catch (error) {
    return { passed: 0, failed: [`no report: ${error}`], skipped: 0 };
  }
}

function conformanceTotals(text: string): Totals {
  const { summary, problems, targets } = JSON.parse(text) as JsonReport;
  const failed = targets.flatMap(({ spec, tests }) =>
    tests
      .filter(({ status }) => !["pass", "skip"].includes(status))
      .map(({ id, status, message = "" }) =>
        `${spec}: ${id}: ${status}: ${message}`
      )
  );
  return {
    passed: summary.pass,
    failed: [...problems, ...failed],
    skipped: summary.skip,
  };
}

/**
 * Counts test cases. A step is the test case "parent > step" here, and its
 * parent is one too: a parent counts only if it failed by itself.
 */
function junitTotals(text: string): Totals {
  const totals: Totals = { passed: 0, failed: [], skipped: 0 };
  const cases = [...text.matchAll(
    /<testcase name="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs,
  )].map(([, name, body]) => ({
    name: name!,
    failed: /<(failure|error)/.test(body ?? ""),
    skipped: /<skipped/.test(body ?? ""),
  }));
  const parents = new Set(cases.flatMap(({ name }) => ancestors(name)));
  const blamed = new Set(
    cases.filter(({ failed }) => failed).flatMap(({ name }) => ancestors(name)),
  );
  for (const { name, failed, skipped } of cases) {
    if (parents.has(name) && (!failed || blamed.has(name))) continue;
    if (failed) totals.failed.push(name);
    else if (skipped) totals.skipped++;
    else totals.passed++;
  }
  return totals;
}

function tapTotals(text: string): Totals {
  const { passed, failed, skipped } = parseTap(text);
  return {
    passed: passed.length,
    failed: [...failed],
    skipped: skipped.length,
  };
}

const READERS: Readonly<Record<string, (text: string) => Totals>> = {
  json: conformanceTotals,
  xml: junitTotals,
  tap: tapTotals,
};

/** The names of all tests that a step lies in. */
function ancestors(name: string): string[] {
  const parts = name.split(" &gt; ");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join(" &gt; "));
}

/** As much of a failure as a line takes, and so many of them. */
const [LINE, LINES] = [400, 12];

const all = Deno.args.map((path) =>
  totalsOf(path, READERS[path.slice(path.lastIndexOf(".") + 1)]!)
);
const failures = all.flatMap(({ failed }, i) => {
  const report = Deno.args[i]!.slice(Deno.args[i]!.lastIndexOf("/") + 1);
  return failed.map((what) => `failed: ${report}: ${what}`);
});
for (const each of failures.slice(0, LINES)) {
  console.log(each.replaceAll(/\s+/g, " ").slice(0, LINE));
}
if (failures.length > LINES) {
  console.log(`failed: ${failures.length - LINES} more`);
}
const passed = all.reduce((n, { passed }) => n + passed, 0);
const skipped = all.reduce((n, { skipped }) => n + skipped, 0);
console.log(
  `total: ${passed} passed, ${failures.length} failed, ${skipped} skipped`,
);
if (failures.length > 0 || passed === 0) Deno.exit(1);
