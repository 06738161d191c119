// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the command does, apart from the suite, the targets and the system it
 * works with.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { runCheckAdapter } from "../check_adapter/command.ts";
import {
  readExpectations,
  rewriteExpectations,
} from "../expectations/expectations_file.ts";
import { formatExplanation } from "./explain.ts";
import { HELP } from "./help.ts";
import type { Host } from "./host.ts";
import { formatList, formatListJson, type ListedColumn } from "./listing.ts";
import { type Options, parseOptions } from "./options.ts";
import { plan, type PlanOptions, starting } from "../running/plan.ts";
import { openReport, type Report } from "../reports/reports.ts";
import { reproduceCommands } from "./reproduce.ts";
import { allResults, isGood, type RunSettings } from "../reports/results.ts";
import { runAll } from "../running/run_targets.ts";
import { suiteInfo } from "../running/suite.ts";
import type { TargetSpec } from "../targets/targets.ts";
import { TargetStartError } from "../targets/test_target.ts";
import { UsageError } from "./usage_error.ts";

/** Everything went as expected. */
const EXIT_OK = 0;
/** A test failed. */
const EXIT_FAILURE = 1;
/** The command line is wrong, or it selects nothing. */
const EXIT_USAGE = 2;
/** A target could not be started. */
const EXIT_TARGET = 3;

/** Seeds that are chosen are below this, so that a person can type them. */
const CHOSEN_SEEDS = 1_000_000;

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
    return await runAction(parseOptions(args), environment);
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

async function runAction(
  options: Options,
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  switch (options.action) {
    case "help":
      host.out(HELP);
      return EXIT_OK;
    case "version": {
      const { name, version, hash } = await suiteInfo();
      host.out(`${name} ${version} (suite ${hash})\n`);
      return EXIT_OK;
    }
    case "list":
      return await list(options, environment);
    case "explain":
      return await explain(options, environment);
    case "run":
      return await run(options, environment);
  }
}

/** Lists the selected tests. */
async function list(
  options: Options,
  environment: Environment,
): Promise<number> {
  const columns = await listedColumns(options, environment);
  const json = options.reports.some(({ format }) => format === "json");
  environment.host.out(json ? formatListJson(columns) : formatList(columns));
  return EXIT_OK;
}

/** Says what is known of tests. */
async function explain(
  options: Options,
  environment: Environment,
): Promise<number> {
  const columns = await listedColumns(options, environment);
  const expectations = readExpectations(options, environment.host);
  const text = formatExplanation(options.ids, columns, expectations);
  environment.host.out(text);
  return EXIT_OK;
}

/** The selected tests, and what the targets say about themselves. */
async function listedColumns(
  options: PlanOptions,
  environment: Environment,
): Promise<ListedColumn[]> {
  const listed: ListedColumn[] = [];
  const columns = await plan(options, environment);
  for (const { target, uapi, tests, startError } of columns) {
    if (startError) throw startError;
    const started = await starting(target, () => target.open(uapi, options));
    listed.push({ spec: target.spec, uapi, info: started.info, tests });
    await started.close();
  }
  return listed;
}

/** Runs the selected tests and writes the reports. */
async function run(
  options: Options,
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  const columns = await plan(options, environment);
  const expectations = readExpectations(options, host);
  const reports = openReports(options, host);
  const outcome = await runAll(columns, {
    options,
    host,
    suite: await suiteInfo(),
    settings: settingsOf(options),
    expectations,
    reports,
  });
  for (const report of reports) report.end(outcome.run);
  if (outcome.startError) {
    host.err(`${outcome.startError.message}\n`);
    return EXIT_TARGET;
  }
  if (options.updateExpectations) {
    const difference = rewriteExpectations(
      options.expectations!,
      expectations,
      columns,
      outcome.raw,
      host,
    );
    // A report for programs must stay alone on standard output.
    const pretty = options.reports.some(({ format, path }) =>
      format === "pretty" && path === undefined
    );
    if (pretty) host.out(`\n${difference}`);
    else host.err(difference);
    const unknown = allResults(outcome.run)
      .some(({ status }) => status === "notrun");
    return unknown ? EXIT_FAILURE : EXIT_OK;
  }
  return isGood(outcome.run) ? EXIT_OK : EXIT_FAILURE;
}

/** What reports tell of the options. */
function settingsOf(options: Options): RunSettings {
  const { shuffle, shard, repeat } = options;
  const seed = options.seed ?? Math.floor(Math.random() * CHOSEN_SEEDS);
  return {
    ...shuffle && { seed },
    ...shard && { shard: `${shard.index}/${shard.count}` },
    ...repeat !== undefined && { repeat },
  };
}

/** Creates the files of the reports, so that a bad path is found before the run and not after it. */
function openReports(options: Options, host: Host): Report[] {
  const commands = reproduceCommands(options);
  return options.reports.map(({ format, path }) =>
    openReport(format, {
      write: path === undefined
        ? (text) => host.out(text)
        : createReport(path, host),
      color: path === undefined && host.color,
      commands,
    })
  );
}

function createReport(path: string, host: Host): (text: string) => void {
  try {
    return host.create(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`Cannot write the report to "${path}": ${why}`);
  }
}
