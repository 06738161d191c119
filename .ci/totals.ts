// SPDX-License-Identifier: GPL-2.0-only

/**
 * Prints the sums of the runner's JSON reports, of the tests' JUnit report and
 * of what Linux's own programs print as one line: `total: N passed, N failed, N
 * skipped`. Exits with 1 if anything failed, or if a report is not there because
 * its step broke. Arguments: paths ending in `.json`, `.xml` or `.tap`.
 *
 * @module
 */

import type { JsonReport } from "../conformance/reports/formats/json.ts";
import { parseTap } from "../host/linux_selftests/tap.ts";

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** The report's counts; a failure where there is no report. */
function totalsOf(path: string, read: (text: string) => Totals): Totals {
  try {
    return read(Deno.readTextFileSync(path));
  } catch (error) {
    console.error(`Cannot read "${path}":`, error);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

function conformanceTotals(text: string): Totals {
  const { summary } = JSON.parse(text) as JsonReport;
  const { pass, skip, total } = summary;
  return { passed: pass, failed: total - pass - skip, skipped: skip };
}

/**
 * Counts test cases. A step is the test case "parent > step" here, and its
 * parent is one too: a parent counts only if it failed by itself.
 */
function junitTotals(text: string): Totals {
  const totals = { passed: 0, failed: 0, skipped: 0 };
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
    if (failed) totals.failed++;
    else if (skipped) totals.skipped++;
    else totals.passed++;
  }
  return totals;
}

function tapTotals(text: string): Totals {
  const { passed, failed, skipped } = parseTap(text);
  return {
    passed: passed.length,
    failed: failed.length,
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

const all = Deno.args.map((path) =>
  totalsOf(path, READERS[path.slice(path.lastIndexOf(".") + 1)]!)
);
const sum = (key: keyof Totals) => all.reduce((n, each) => n + each[key], 0);
console.log(
  `total: ${sum("passed")} passed, ${sum("failed")} failed, ${
    sum("skipped")
  } skipped`,
);
if (sum("failed") > 0 || sum("passed") === 0) Deno.exit(1);
