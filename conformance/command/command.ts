// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the command does, apart from the suite, the targets and the system it
 * works with.
 *
 * @module
 */

import { runCheckAdapter } from "../check_adapter/command.ts";
import {
  readExpectations,
  rewriteExpectations,
} from "../expectations/expectations_file.ts";
import { formatExplanation } from "./explain.ts";
import { HELP } from "./help.ts";
import type { Host } from "../lib/host.ts";
import { runLadder } from "../ladder/command.ts";
import { formatList, formatListJson, type ListedColumn } from "./listing.ts";
import type { Options } from "../running/options.ts";
import { parseOptions } from "./options.ts";
import {
  plan,
  type PlanOptions,
  type Sources,
  starting,
} from "../running/plan.ts";
import { runMerge } from "./merge.ts";
import { reproduceCommands, shellWord } from "./reproduce.ts";
import { allResults, isGood, type RunSettings } from "../reports/results.ts";
import { type EndingSignal, exitCodeOf } from "../lib/ending.ts";
import { Interrupted } from "../lib/interrupted.ts";
import { AllRunner, type RunOutcome } from "../running/run_targets.ts";
import { endReports, openReports } from "./writing.ts";
import { suiteInfo } from "../running/suite.ts";
import { runToExitCode } from "../lib/exit_code.ts";

/** Everything went as expected. */
const EXIT_OK = 0;
/** A test failed. */
const EXIT_FAILURE = 1;

/** Seeds that are chosen are below this, so that a person can type them. */
const CHOSEN_SEEDS = 1_000_000;

/** What the command works with. */
export interface Environment extends Sources {
  /** Where output goes. */
  readonly host: Host;
  /** What calls this command again, for a shell. */
  readonly command: string;
}

/** Runs the command with its arguments; resolves to the exit code. */
export function runCommand(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const { host, parseTarget, command } = environment;
  return runToExitCode(() => {
    const [action, ...rest] = args;
    if (action === "check-adapter") {
      return runCheckAdapter(rest, host, parseTarget);
    }
    if (action === "merge") return runMerge(rest, host, command);
    return runAction(parseOptions(args), args, environment);
  }, (message) => host.err(`${message}\n`));
}

async function runAction(
  options: Options,
  args: readonly string[],
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
    case "ladder": {
      const columns = await plan(options, environment);
      const commands = reproduceCommands(environment.command, options);
      await runLadder(columns, options, commands, host);
      return EXIT_OK;
    }
    case "run":
      return await run(options, args, environment);
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
  const commands = reproduceCommands(environment.command, options);
  environment.host.out(
    formatExplanation(options.ids, columns, expectations, commands),
  );
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
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  const { host } = environment;
  const columns = await plan(options, environment);
  const expectations = readExpectations(options, host);
  const commands = reproduceCommands(environment.command, options);
  const reports = openReports(options.reports, host, commands);
  const interruption = new AbortController();
  let signal: EndingSignal | undefined;
  const forget = host.onSignal((which) => {
    signal = which;
    interruption.abort(new Interrupted(`Interrupted by ${which}`));
  });
  let outcome: RunOutcome;
  try {
    outcome = await new AllRunner(columns, {
      options,
      host,
      interruption: interruption.signal,
      suite: await suiteInfo(),
      settings: settingsOf(options),
      origin: {
        started: host.now().toISOString(),
        command: [environment.command, ...args.map(shellWord)].join(" "),
        machine: host.machine(),
      },
      expectations,
      reports,
    }).run();
    endReports(reports, outcome.run);
  } finally {
    forget();
  }
  if (signal !== undefined) return exitCodeOf(signal);
  if (outcome.startError) {
    host.err(`${outcome.startError.message}\n`);
    return outcome.startError.exitCode;
  }
  if (options.updateExpectations) {
    const difference = rewriteExpectations(
      options.expectations!,
      expectations,
      columns,
      outcome.raw,
      host,
    );
    tellDifference(difference, options, host);
    const unknown = allResults(outcome.run)
      .some(({ status }) => status === "notrun");
    return unknown ? EXIT_FAILURE : EXIT_OK;
  }
  return isGood(outcome.run) ? EXIT_OK : EXIT_FAILURE;
}

/** Tells what became of the expectations. */
function tellDifference(
  difference: string,
  { reports }: Options,
  host: Host,
): void {
  // A report for programs must stay alone on standard output.
  const pretty = reports.some(({ format, path }) =>
    format === "pretty" && path === undefined
  );
  if (pretty) host.out(`\n${difference}`);
  else host.err(difference);
}

/** What reports tell of the options. */
function settingsOf(options: Options): RunSettings {
  const { shuffle, suite, filters, shard, repeat } = options;
  const seed = options.seed ?? Math.floor(Math.random() * CHOSEN_SEEDS);
  return {
    ...shuffle && { seed },
    ...suite !== "all" && { suite },
    ...filters.length > 0 && { filters },
    ...shard && { shard: `${shard.index}/${shard.count}` },
    ...repeat !== undefined && { repeat },
  };
}
