// SPDX-License-Identifier: GPL-2.0-only

/**
 * The report for people: a line for each fixture and variant, then each
 * failure in detail, then the totals.
 *
 * @module
 */

import { bold, dim, green, red, yellow } from "@std/fmt/colors";
import {
  allResults,
  count,
  type Counts,
  isFailure,
  type MadeCall,
  otherProblems,
  type RevisionRun,
  type Run,
  skipReasons,
  type TestResult,
} from "../results.ts";
import { SUITE_NAME, VERSION } from "../version.ts";

/** How the report looks. */
export interface PrettyOptions {
  /** Use colours. */
  readonly color: boolean;
  /** The command that runs just one test of a revision again. */
  rerunCommand(result: TestResult): string;
}

type Paint = (text: string) => string;

/** The colours of a report, or none. */
interface Palette {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly good: Paint;
  readonly bad: Paint;
  readonly note: Paint;
}

const COLORS: Palette = { bold, dim, good: green, bad: red, note: yellow };
const PLAIN: Palette = {
  bold: plain,
  dim: plain,
  good: plain,
  bad: plain,
  note: plain,
};

function plain(text: string): string {
  return text;
}

/** A run as text for people. */
export function formatPretty(run: Run, options: PrettyOptions): string {
  const paint = options.color ? COLORS : PLAIN;
  const lines = [heading(run)];
  for (const revision of run.columns) {
    lines.push("", paint.bold(`uAPI ${revision.uapi}`));
    lines.push(...groupLines(revision, paint));
  }
  lines.push(...failureSection(run, paint, options));
  lines.push("");
  for (const revision of run.columns) {
    lines.push(...totalLines(revision, paint));
  }
  return lines.join("\n") + "\n";
}

/** What ran against what. */
function heading({ columns: revisions }: Run): string {
  const names = new Set(
    revisions.map(({ target, targetVersion }) => `${target} ${targetVersion}`),
  );
  return `${SUITE_NAME} ${VERSION} on ${[...names].join(", ")} (${
    revisions[0]!.spec
  })`;
}

/** A line for each fixture and variant, in columns. */
function groupLines({ results }: RevisionRun, paint: Palette): string[] {
  const groups = Map.groupBy(
    results,
    ({ fixture, variant }) => variant ? `${fixture}.${variant}` : fixture,
  );
  const width = Math.max(...[...groups.keys()].map((name) => name.length));
  return [...groups].map(([name, group]) => {
    const counts = count(group);
    const millis = group.reduce((sum, { durationMs }) => sum + durationMs, 0);
    return [
      `  ${groupVerdict(counts, paint)}  ${name.padEnd(width)}  `,
      `${String(counts.pass).padStart(4)} passed`,
      counts.total > counts.pass + counts.skip
        ? paint.bad(`, ${failedPart(counts)}`)
        : "",
      counts.skip > 0 ? paint.note(`, ${counts.skip} skipped`) : "",
      paint.dim(`  ${formatMillis(millis)}`),
    ].join("");
  });
}

function groupVerdict(counts: Counts, paint: Palette): string {
  if (counts.pass + counts.skip < counts.total) return paint.bad("FAIL");
  return counts.pass > 0 ? paint.good("ok  ") : paint.note("skip");
}

/** How many failed, and how many of them in another way than by an assertion. */
function failedPart(counts: Counts): string {
  const { fail, crash, timeout, error, notrun } = counts;
  const ways = [
    crash > 0 ? `${crash} crashed` : "",
    timeout > 0 ? `${timeout} timed out` : "",
    error > 0 ? `${error} with an error` : "",
    notrun > 0 ? `${notrun} not run` : "",
  ].filter((way) => way !== "");
  const detail = ways.length > 0 ? ` (${ways.join(", ")})` : "";
  const failed = fail + crash + timeout + error + notrun;
  return `${failed} failed${detail}`;
}

/** All failures, or only the first where it stands for the whole run. */
function failureSection(
  run: Run,
  paint: Palette,
  options: PrettyOptions,
): string[] {
  const results = allResults(run)
    .filter(({ status }) => status !== "skip" && status !== "notrun");
  const failures = results.filter(({ status }) => isFailure(status));
  if (failures.length === 0) return [];
  const lines = ["", paint.bold("Failures")];
  const same = failures.length > 1 && failures.length === results.length &&
    failures.every(({ message }) => message === failures[0]!.message);
  (same ? failures.slice(0, 1) : failures).forEach((result, index) => {
    lines.push("", ...failureLines(result, index + 1, paint, options));
  });
  if (same) {
    const verdict = `All ${failures.length} tests failed in the same way: ` +
      "the target or its set-up is likely at fault.";
    lines.push("", paint.bad(verdict));
  }
  return lines;
}

/** One failure in detail. */
function failureLines(
  result: TestResult,
  number: number,
  paint: Palette,
  options: PrettyOptions,
): string[] {
  const { failure, message } = result;
  const title = `${number}) ${result.id} [${result.uapi}]`;
  const lines = [paint.bad(title)];
  if (failure?.assertion === undefined) lines.push(indent(message!));
  function fact(name: string, value: string): void {
    lines.push(`   ${paint.dim(name.padEnd(8))}  ${value}`);
  }
  if (failure?.assertion !== undefined) {
    fact("checked", failure.assertion);
    fact("expected", failure.expected!);
    fact("actual", failure.actual!);
  }
  if (failure?.lastCall) {
    callFacts(failure.lastCall, `call ${failure.calls}`, fact);
  }
  if (failure?.lastIoctl) callFacts(failure.lastIoctl, "ioctl", fact);
  for (const problem of otherProblems(result)) fact("left", problem);
  if (failure?.stderr !== undefined) {
    fact(
      "stderr",
      failure.stderr.trimEnd().replaceAll("\n", `\n${" ".repeat(13)}`),
    );
  }
  if (failure?.stack !== undefined) {
    lines.push(
      ...failure.stack.split("\n").slice(1).map((line) =>
        paint.dim(`   ${line}`)
      ),
    );
  }
  fact("rerun", options.rerunCommand(result));
  return lines;
}

/** A text below a failure's title. */
function indent(text: string): string {
  return text.split("\n").map((line) => `   ${line}`).join("\n");
}

/** A call, and the struct that it was given. */
function callFacts(
  { call, struct }: MadeCall,
  name: string,
  fact: (name: string, value: string) => void,
): void {
  fact(name, call);
  if (struct === undefined) return;
  const fields = Object.entries(struct.fields)
    .map(([field, value]) => `${field} ${value}`);
  fact("struct", `${struct.name} { ${fields.join(", ")} }`);
}

/** The totals of a revision, and why tests were skipped. */
function totalLines(revision: RevisionRun, paint: Palette): string[] {
  const { uapi, results, stopped } = revision;
  const kernel = count(results.filter(({ program }) => program !== undefined));
  const kit = count(results.filter(({ program }) => program === undefined));
  const parts = [
    kernel.total > 0 ? totals(kernel, "kernel") : "",
    kit.total > 0 ? totals(kit, "own") : "",
  ].filter((part) => part !== "");
  const failed = results.some(({ status }) => isFailure(status));
  const end = stopped === undefined
    ? []
    : [paint.bad(`${" ".repeat(uapi.length + 2)}${stopped}`)];
  const line = `${uapi}: ${parts.join("; ")}`;
  const reasons = skipReasons(results).map(([reason, times]) =>
    paint.note(`${" ".repeat(uapi.length + 2)}${times} skipped: ${reason}`)
  );
  return [failed ? paint.bad(line) : paint.good(line), ...end, ...reasons];
}

function totals(counts: Counts, whose: string): string {
  return `${counts.pass} passed, ${
    failedPart(counts)
  }, ${counts.skip} skipped of ${counts.total} ${whose} tests`;
}

function formatMillis(millis: number): string {
  return millis < 1000
    ? `${Math.round(millis)} ms`
    : `${(millis / 1000).toFixed(1)} s`;
}
