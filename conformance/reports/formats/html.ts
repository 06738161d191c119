// SPDX-License-Identifier: GPL-2.0-only

/**
 * The HTML report: one page with the table of tests and targets, to search and
 * to filter, and each failure with its calls.
 *
 * @module
 */

import { splitId } from "../../../selftests/harness/table.ts";
import {
  type Column,
  count,
  isFailure,
  isGood,
  type Run,
  skipReasons,
  type Status,
  STATUSES,
  type TestResult,
} from "../results.ts";
import { type Cause, causesOf } from "../causes.ts";
import { type Commands, failureFacts } from "../failure_facts.ts";
import { SCRIPT, STYLE } from "./html_assets.ts";
import { attributes, escapeMarkup } from "./markup.ts";
import {
  caseRowsOf,
  columnName,
  differences,
  failuresOf,
  type Group,
  groupsOf,
  hasSeveralTargets,
  type PlacedFailure,
  type Row,
  rowsOf,
} from "../matrix.ts";
import {
  implementation,
  oneLine,
  originFacts,
  otherWays,
  passedLines,
  settingsPhrases,
  suiteTitle,
  unmatchedSentences,
} from "../summary.ts";

/** What all parts of the page are made from. */
interface Page {
  readonly run: Run;
  readonly commands: Commands;
  readonly rows: readonly Row[];
  /** The ids of what targets differ in; of cases also those of their tests. */
  readonly different: ReadonlySet<string>;
  /** The failures, and the ids of their places in the page. */
  readonly failures: ReadonlyMap<TestResult, string>;
}

/** A run as a page. */
export function formatHtml(run: Run, commands: Commands): string {
  const rows = rowsOf(run);
  const failures = failuresOf(run);
  const page: Page = {
    run,
    commands,
    rows,
    different: new Set(
      differences(run).flatMap(({ id }) => [id, splitId(id)[0]]),
    ),
    failures: new Map(
      failures.map(({ result }, index) => [result, `failure-${index + 1}`]),
    ),
  };
  const good = isGood(run);
  const lines = [
    "<!DOCTYPE html>",
    '<html lang="en">',
    "<head>",
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">`,
    `<title>${good ? "Passed" : "Failed"}: ${
      escapeMarkup(run.suite.name)
    }</title>`,
    `<style>${STYLE}</style>`,
    "</head>",
    "<body>",
    ...header(run, good),
    ...navigation(page, failures.length),
    "<main>",
    ...totals(run),
    ...problems(run),
    ...failureSection(page, failures.length),
    ...testSection(page),
    ...skips(run),
    "</main>",
    `<script>${SCRIPT}</script>`,
    "</body>",
    "</html>",
  ];
  return lines.join("\n") + "\n";
}

function header(run: Run, good: boolean): string[] {
  return [
    "<header>",
    `<h1>${escapeMarkup(run.suite.name)}: ${
      badge(good ? "pass" : "fail", good ? "passed" : "failed")
    }</h1>`,
    ...[suiteTitle(run), ...settingsPhrases(run)].map((phrase) =>
      `<p class="soft">${escapeMarkup(phrase)}</p>`
    ),
    "<dl>",
    ...originFacts(run).map(([name, value]) =>
      `<dt>${name}</dt><dd>${escapeMarkup(value)}</dd>`
    ),
    "</dl>",
    "</header>",
  ];
}

/** What the page has, as links. */
function navigation({ run, rows }: Page, failures: number): string[] {
  const places: [title: string, number: number][] = [
    ["Targets", run.columns.length],
    ["Failures", failures],
    ["Tests", rows.length],
  ];
  const links = places.filter(([, number]) => number > 0)
    .map(([title, number]) =>
      `<li><a href="#${title.toLowerCase()}">${title} (${number})</a></li>`
    );
  return [`<nav aria-label="This page"><ul>${links.join("")}</ul></nav>`];
}

/** A word on the colour of a status. */
function badge(status: Status, text: string = status): string {
  return `<span class="status ${tone(status)}">${text}</span>`;
}

function tone(status: Status): "good" | "bad" | "note" {
  if (isFailure(status)) return "bad";
  return status === "pass" ? "good" : "note";
}

/** What each target came to. */
function totals(run: Run): string[] {
  const lines = run.columns.map((column) => {
    const others = [
      ...otherWays(count(column.results)),
      ...column.stopped === undefined ? [] : [column.stopped],
      ...unmatchedSentences(column),
    ];
    return [
      `<tr><th scope="row"><code>${escapeMarkup(column.spec)}</code></th>`,
      `<td>${escapeMarkup(column.uapi)}</td>`,
      `<td>${escapeMarkup(implementation(column))}</td>`,
      `<td>${passed(column, "kernel")}</td>`,
      `<td>${passed(column, "own")}</td>`,
      `<td>${escapeMarkup(others.join(", "))}</td></tr>`,
    ].join("");
  });
  return [
    '<section aria-labelledby="targets"><h2 id="targets">Targets</h2>',
    '<div class="scroll"><table><thead><tr>',
    ...["target", "uAPI", "implementation", "kernel tests passed"]
      .concat(["own tests passed", "otherwise"])
      .map((name) => `<th scope="col">${name}</th>`),
    "</tr></thead><tbody>",
    ...lines,
    "</tbody></table></div>",
    '<p class="soft">The kernel has its tests in programs, which are counted apart, each with its name; own tests are those of this kit. A case is a row of a test that is a table.</p>',
    "</section>",
  ];
}

/** How much passed, a line for each of the kernel's programs. */
function passed(column: Column, whose: "kernel" | "own"): string {
  return passedLines(column, whose).map(({ passed, program }) =>
    program === null
      ? passed
      : `${passed} <code>${escapeMarkup(program)}</code>`
  ).join("<br>");
}

/** What is wrong beside the tests. */
function problems({ problems }: Run): string[] {
  if (problems.length === 0) return [];
  return [
    '<section aria-labelledby="problems">',
    '<h2 id="problems">Problems</h2><ul>',
    ...problems.map((problem) => `<li>${escapeMarkup(problem)}</li>`),
    "</ul></section>",
  ];
}

function failureSection(
  page: Page,
  count: number,
): string[] {
  if (count === 0) return [];
  return [
    '<section aria-labelledby="failures">',
    `<h2 id="failures">Failures (${count})</h2>`,
    ...causesOf(page.run).flatMap((cause) => causeBlock(page, cause)),
    "</section>",
  ];
}

/** Failures of one cause; the others are folded behind the first. */
function causeBlock(page: Page, { first, others }: Cause): string[] {
  const block = failureBlock(page, first);
  if (others.length === 0) return block;
  return [
    ...block,
    `<details class="alike"><summary>and ${others.length} like it</summary>`,
    ...others.flatMap((failure) => failureBlock(page, failure)),
    "</details>",
  ];
}

/** A failure, to be unfolded. */
function failureBlock(
  { run, commands, failures }: Page,
  { column, result }: PlacedFailure,
): string[] {
  const { id, status, message, description, reference } = result;
  const facts = failureFacts(column.spec, result, commands);
  return [
    `<details class="failure" id="${failures.get(result)}"><summary>${
      badge(status)
    } <code>${escapeMarkup(id)}</code> <span class="soft">on ${
      escapeMarkup(columnName(column, run))
    }:</span> ${escapeMarkup(oneLine(message!))}</summary>`,
    "<div>",
    `<p>${escapeMarkup(description)}. <span class="soft">${
      escapeMarkup(reference)
    }</span></p>`,
    "<dl>",
    ...facts.map(([name, value]) =>
      `<dt>${escapeMarkup(name)}</dt><dd>${escapeMarkup(value)}</dd>`
    ),
    "</dl>",
    ...unfold("Where it was thrown", result.failure?.stack),
    ...unfold("All calls", result.transcript?.text),
    "</div></details>",
  ];
}

/** A long text, to be unfolded. */
function unfold(title: string, text: string | undefined): string[] {
  if (text === undefined) return [];
  return [
    `<details><summary>${title}</summary>`,
    `<pre tabindex="0">${escapeMarkup(text)}</pre></details>`,
  ];
}

/** All tests. */
function testSection(page: Page): string[] {
  const { run, rows } = page;
  const columns = run.columns.map((column) =>
    `<th scope="col">${escapeMarkup(columnName(column, run))}</th>`
  );
  return [
    '<section aria-labelledby="tests"><h2 id="tests">Tests</h2>',
    ...filterForm(run),
    '<div class="scroll"><table class="tests">',
    `<thead><tr><th scope="col">test</th>${columns.join("")}</tr></thead>`,
    ...groupsOf(rows).flatMap((group) => groupRows(page, group)),
    "</table></div></section>",
  ];
}

/** The form that says which tests are to be shown. The script shows it. */
function filterForm(run: Run): string[] {
  const present = STATUSES.filter((status) =>
    run.columns.some(({ results }) =>
      results.some((result) => result.status === status)
    )
  );
  return [
    '<form hidden role="search" aria-label="Which tests to show">',
    '<label>Search <input type="search" name="search" placeholder="words of an id or description"></label>',
    '<label>Status <select name="status"><option value="">all</option><option value="bad">not as it should be</option>',
    ...present.map((status) => `<option>${status}</option>`),
    "</select></label>",
    ...hasSeveralTargets(run)
      ? [
        '<label class="check"><input type="checkbox" name="different"> only where targets differ</label>',
      ]
      : [],
    '<label class="check"><input type="checkbox" name="cases"> cases that passed too</label>',
    '<button type="reset">Show all tests</button>',
    '<output aria-live="polite"></output>',
    "</form>",
  ];
}

/** The tests of a fixture and variant. */
function groupRows(page: Page, { name, rows }: Group): string[] {
  const span = page.run.columns.length + 1;
  return [
    "<tbody>",
    `<tr class="group"><th scope="rowgroup" colspan="${span}"><code>${
      escapeMarkup(name)
    }</code></th></tr>`,
    ...rows.flatMap((row) => [
      testRow(page, row),
      ...caseRowsOf(row).map((each) => testRow(page, each)),
    ]),
    "</tbody>",
  ];
}

/** A test, or a case, which the script shows when it is asked for. */
function testRow(page: Page, { id, results }: Row): string {
  const [, name] = splitId(id);
  const { description } = results.find((result) => result)!;
  const statuses = results.flatMap((result) => result?.status ?? []);
  const data = attributes({
    "data-status": [...new Set(statuses)].join(" "),
    "data-text": `${id} ${description}`.toLowerCase(),
    ...statuses.some(isFailure) && { "data-bad": "" },
    ...page.different.has(id) && { "data-different": "" },
    ...name !== undefined && { class: "case" },
  });
  const cells = results.map((result, index) =>
    testCell(page, page.run.columns[index]!, result)
  );
  return `<tr${data}><th scope="row"><code>${
    escapeMarkup(name ?? id)
  }</code><span class="what">${escapeMarkup(description)}</span></th>${
    cells.join("")
  }</tr>`;
}

/** How a test ended on a target. A failure leads to its details. */
function testCell(
  { failures }: Page,
  column: Column,
  result: TestResult | undefined,
): string {
  if (result === undefined) {
    const why = column.unmatched
      ? "not among the results"
      : "not in this revision";
    return `<td><span class="soft">${why}</span></td>`;
  }
  const { status, reason, expected } = result;
  const place = failures.get(result);
  const word = place === undefined
    ? badge(status)
    : `<a class="status ${tone(status)}"${
      attributes({
        href: `#${place}`,
        "aria-label": `${status}: ${result.id} on ${column.spec}`,
      })
    }>${status}</a>`;
  const why = reason ?? expected?.reason;
  const more = why === undefined
    ? ""
    : ` <span class="why">${escapeMarkup(why)}</span>`;
  return `<td>${word}${more}</td>`;
}

/** How often what was missing. */
function skips(run: Run): string[] {
  const items = run.columns.flatMap((column) =>
    skipReasons(column.results).map(([reason, times]) =>
      `<li>${escapeMarkup(columnName(column, run))}: ${times} ${
        escapeMarkup(reason)
      }</li>`
    )
  );
  if (items.length === 0) return [];
  return [
    '<section aria-labelledby="skips"><h2 id="skips">Skipped</h2><ul>',
    ...items,
    "</ul></section>",
  ];
}
