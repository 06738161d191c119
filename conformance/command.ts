// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the command does, apart from the suite, the targets and the system it
 * works with.
 *
 * @module
 */

import type { RevisionName } from "../impl/uapi/revision.ts";
import type { Test } from "../selftests/harness.ts";
import { runCheckAdapter } from "./check_adapter/command.ts";
import type { Host } from "./host.ts";
import { formatList, formatListJson, type ListedRevision } from "./listing.ts";
import {
  HELP,
  type Options,
  parseOptions,
  type ReportFormat,
} from "./options.ts";
import { ProgressLine } from "./progress.ts";
import { formatJson } from "./reports/json.ts";
import { formatKtap } from "./reports/ktap.ts";
import { formatPretty } from "./reports/pretty.ts";
import { allResults, isFailure, type Run, type TestResult } from "./results.ts";
import { runTests } from "./run_tests.ts";
import { Selection } from "./select.ts";
import type { TargetSpec } from "./targets.ts";
import { TargetStartError } from "./test_target.ts";
import { suggestion, UsageError } from "./usage_error.ts";
import { SUITE_NAME, VERSION } from "./version.ts";

/** Everything went as expected. */
const EXIT_OK = 0;
/** A test failed. */
const EXIT_FAILURE = 1;
/** The command line is wrong, or it selects nothing. */
const EXIT_USAGE = 2;
/** The target could not be started. */
const EXIT_TARGET = 3;

/** What the command works with. */
export interface Environment {
  /** Where output goes. */
  readonly host: Host;
  /** The suite. */
  allTests(uapi: RevisionName): readonly Test[];
  /** The targets there are. */
  parseTarget(spec: string): TargetSpec;
}

/** Runs the command with its arguments; resolves to the exit code. */
export async function runCommand(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  try {
    if (args[0] === "check-adapter") {
      const { parseTarget } = environment;
      return await runCheckAdapter(args.slice(1), host, parseTarget);
    }
    const options = parseOptions(args);
    switch (options.action) {
      case "help":
        host.out(HELP);
        return EXIT_OK;
      case "version":
        host.out(`${SUITE_NAME} ${VERSION}\n`);
        return EXIT_OK;
      case "list":
        return await list(options, environment);
      case "run":
        return await run(options, environment);
    }
  } catch (error) {
    if (error instanceof UsageError) {
      host.err(`${error.message}\n`);
      return EXIT_USAGE;
    }
    if (error instanceof TargetStartError) {
      host.err(`${error.message}\n`);
      return EXIT_TARGET;
    }
    throw error;
  }
}

/** The target and what is to run on it. */
interface Plan {
  readonly target: TargetSpec;
  readonly revisions: readonly {
    readonly uapi: RevisionName;
    readonly tests: readonly Test[];
  }[];
}

/** Works out what the options select. Throws {@link UsageError} where that is nothing. */
async function plan(
  options: Options,
  environment: Environment,
): Promise<Plan> {
  const target = environment.parseTarget(options.target);
  const uapis = await revisionsOf(target, options.uapi);
  const all = uapis.map((uapi) => ({
    uapi,
    tests: environment.allTests(uapi),
  }));
  const selection = new Selection(options.suite, options.filters);
  const [unmatched] = selection.unmatched(all.flatMap(({ tests }) => tests));
  if (unmatched !== undefined) {
    throw new UsageError(`--filter "${unmatched}" matches no test.`);
  }
  const revisions = all
    .map(({ uapi, tests }) => ({ uapi, tests: selection.select(tests) }))
    .filter(({ tests }) => tests.length > 0);
  if (revisions.length === 0) {
    throw new UsageError("The options select no test.");
  }
  return { target, revisions };
}

/** The revisions that `--uapi` names. Throws {@link UsageError} for one that the target lacks. */
async function revisionsOf(
  target: TargetSpec,
  name: string,
): Promise<readonly RevisionName[]> {
  const { spec } = target;
  const revisions = await starting(target, () => target.revisions());
  if (name === "all") return revisions;
  const named = revisions.find((revision) => revision === name);
  if (named !== undefined) return [named];
  throw new UsageError(
    `Target "${spec}" does not offer uAPI "${name}": it has ${
      revisions.join(" and ")
    }.${suggestion(name, revisions)}`,
  );
}

/** Lists the selected tests. */
async function list(
  options: Options,
  environment: Environment,
): Promise<number> {
  const { target, revisions } = await plan(options, environment);
  const listed: ListedRevision[] = [];
  for (const { uapi, tests } of revisions) {
    const started = await starting(target, () => target.open(uapi));
    listed.push({ uapi, info: started.info, tests });
    await started.close();
  }
  const json = options.reports.some(({ format }) => format === "json");
  environment.host.out(json ? formatListJson(listed) : formatList(listed));
  return EXIT_OK;
}

/** Runs the selected tests and writes the reports. */
async function run(
  options: Options,
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  const { target, revisions } = await plan(options, environment);
  const reports = openReports(options, host);
  const progress = new ProgressLine(
    host.errIsTerminal ? (text) => host.err(text) : undefined,
  );
  const runs = [];
  for (const { uapi, tests } of revisions) {
    runs.push(
      await runTests(uapi, tests, {
        timeoutMs: options.timeoutMs,
        isolate: options.isolate,
        jobs: options.jobs,
        open: () => starting(target, () => target.open(uapi, options)),
        onTest: ({ id }, done) =>
          progress.show(`${uapi} ${done + 1}/${tests.length} ${id}`),
      }),
    );
  }
  progress.clear();
  const run: Run = {
    suite: { name: SUITE_NAME, version: VERSION, hash: "" },
    settings: {},
    columns: runs.map((run) => ({ ...run, spec: target.spec })),
    problems: [],
  };
  for (const report of reports) report(run);
  return allResults(run).some(({ status }) => isFailure(status))
    ? EXIT_FAILURE
    : EXIT_OK;
}

/** Starts a target by calling `start`. Rejects with {@link TargetStartError}. */
async function starting<T>(
  { spec }: TargetSpec,
  start: () => Promise<T>,
): Promise<T> {
  try {
    return await start();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new TargetStartError(`Cannot start target "${spec}": ${why}`);
  }
}

/** Creates the files of the reports, so that a bad path is found before the run and not after it. */
function openReports(options: Options, host: Host): ((run: Run) => void)[] {
  return options.reports.map(({ format, path }) => {
    const write = path === undefined
      ? (text: string) => host.out(text)
      : createReport(path, host);
    const color = path === undefined && host.color;
    return (run) => write(formatReport(format, run, color, options.target));
  });
}

function createReport(path: string, host: Host): (text: string) => void {
  try {
    return host.create(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`Cannot write the report to "${path}": ${why}`);
  }
}

function formatReport(
  format: ReportFormat,
  run: Run,
  color: boolean,
  target: string,
): string {
  switch (format) {
    case "pretty":
      return formatPretty(run, {
        color,
        rerunCommand: (result) => rerunCommand(result, target),
      });
    case "ktap":
      return formatKtap(run);
    case "json":
      return formatJson(run);
  }
}

/** The command that runs one test of a revision again. */
function rerunCommand({ uapi, id }: TestResult, target: string): string {
  const words = ["deno task conformance"];
  if (target !== "impl:") words.push("--target", shellWord(target));
  words.push("--uapi", uapi, "--filter", shellWord(id));
  return words.join(" ");
}

/** A word as a shell reads it. */
function shellWord(word: string): string {
  if (/^[\w.,:=@%+/-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
