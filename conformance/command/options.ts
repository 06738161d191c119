// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command line.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { REPORT_FORMATS } from "../reports/reports.ts";
import { ISOLATIONS } from "../running/run_on_target.ts";
import type { Options, ReportRequest } from "../running/options.ts";
import type { Shard } from "../running/schedule.ts";
import { SUITES } from "../running/select.ts";
import { type Need, NEEDS } from "../../selftests/target/capabilities.ts";
import { numberOf, oneOf, textOf, valueOf, type Values } from "../lib/flags.ts";
import { suggestion, UsageError } from "../lib/usage_error.ts";

/** Where the calls of failed tests go by default. */
const DEFAULT_TRANSCRIPTS = ".cache/transcripts";

/** The most targets at the same time. */
const MAX_JOBS = 256;
/** Seeds are below this. */
const MAX_SEED = 2 ** 32 - 1;
/** The most times that one run repeats a test. */
const MAX_REPEAT = 1_000_000;

const COMMANDS = [
  "run",
  "list",
  "explain",
  "ladder",
  "check-adapter",
  "merge",
] as const;

const BOOLEAN = [
  "help",
  "list",
  "version",
  "shuffle",
  "until-fail",
  "fail-fast",
  "update-expectations",
  "no-transcripts",
] as const;
const STRING = [
  "uapi",
  "suite",
  "shard",
  "timeout",
  "isolate",
  "jobs",
  "seed",
  "repeat",
  "expectations",
  "link",
  "transcripts",
] as const;
const COLLECT = ["target", "filter", "report", "no-skip"] as const;
const FLAGS = [...BOOLEAN, ...STRING, ...COLLECT].map((name) => `--${name}`);

/** Reads the command line. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): Options {
  const command = COMMANDS.find((name) => name === args[0]);
  const ids: string[] = [];
  function unknown(arg: string): boolean {
    if (command !== "explain" || arg.startsWith("-")) refuse(arg);
    ids.push(arg);
    return false;
  }
  // parseArgs() takes "no-" off where a value follows with an equals sign.
  const words = (command ? args.slice(1) : args)
    .flatMap((arg) => arg.startsWith("--no-skip=") ? arg.split("=") : arg);
  const parsed = parseArgs(words, {
    boolean: BOOLEAN,
    string: [...STRING, ...COLLECT],
    collect: COLLECT,
    alias: { help: "h" },
    unknown,
  });
  // What stands behind a bare "--" does not go through `unknown`.
  for (const arg of parsed._) unknown(String(arg));
  const action = actionOf(parsed, command);
  if (action === "explain" && ids.length === 0) {
    throw new UsageError(
      "explain needs the id of a test, the code of a rule or the name of an ioctl.",
    );
  }
  return {
    action,
    ids,
    ...selectionOptions(parsed),
    ...runOptions(parsed),
    ...expectationOptions(parsed),
    reports: parseReports(valuesOf(parsed.report, "--report")),
    transcripts: parsed["no-transcripts"]
      ? undefined
      : textOf(parsed, "transcripts") ?? DEFAULT_TRANSCRIPTS,
  };
}

function actionOf(
  values: Values,
  command: typeof COMMANDS[number] | undefined,
): Options["action"] {
  if (values.help) return "help";
  if (values.version) return "version";
  if (values.list || command === "list") return "list";
  return command === "explain" || command === "ladder" ? command : "run";
}

function selectionOptions(values: Values) {
  const targets = valuesOf(values.target, "--target");
  const twice = targets.find((spec, index) => targets.indexOf(spec) < index);
  if (twice !== undefined) {
    throw new UsageError(`--target "${twice}" is there twice.`);
  }
  return {
    targets: targets.length > 0 ? targets : ["impl:"],
    uapi: textOf(values, "uapi") ?? "all",
    filters: valuesOf(values.filter, "--filter"),
    suite: oneOf(textOf(values, "suite") ?? "all", SUITES, "suite"),
    shard: parseShard(textOf(values, "shard")),
  } satisfies Partial<Options>;
}

function runOptions(values: Values) {
  const seed = numberOf(values, "seed", 0, MAX_SEED);
  return {
    timeoutMs: parseTimeout(textOf(values, "timeout") ?? "30000"),
    isolate: oneOf(textOf(values, "isolate") ?? "run", ISOLATIONS, "isolation"),
    jobs: numberOf(values, "jobs", 1, MAX_JOBS) ?? 1,
    shuffle: Boolean(values.shuffle) || seed !== undefined,
    seed,
    repeat: numberOf(values, "repeat", 1, MAX_REPEAT),
    untilFail: Boolean(values["until-fail"]),
    failFast: Boolean(values["fail-fast"] || values["until-fail"]),
    noSkip: noSkipOf(values["no-skip"] as string[] | undefined),
  } satisfies Partial<Options>;
}

/** Capabilities, or "" for any. */
function noSkipOf(names: readonly string[] = []): readonly (Need | "")[] {
  return names.map((name) => name && oneOf(name, NEEDS, "capability"));
}

function expectationOptions(values: Values) {
  const expectations = textOf(values, "expectations");
  const updateExpectations = Boolean(values["update-expectations"]);
  if (updateExpectations && expectations === undefined) {
    throw new UsageError(
      "--update-expectations needs the file: --expectations FILE.",
    );
  }
  const link = textOf(values, "link");
  if (link !== undefined && !updateExpectations) {
    throw new UsageError("--link goes with --update-expectations.");
  }
  return { expectations, updateExpectations, link } satisfies Partial<Options>;
}

/** Called for each argument that is not declared. */
function refuse(arg: string): never {
  const [flag] = arg.split("=", 1);
  if (flag!.startsWith("-")) {
    throw new UsageError(
      `Unknown option "${flag}".${suggestion(flag!, FLAGS)} Try --help.`,
    );
  }
  throw new UsageError(
    `Unexpected argument "${arg}": to select tests, use --filter "${arg}".${
      suggestion(arg, COMMANDS)
    }`,
  );
}

function valuesOf(values: unknown, flag: string): string[] {
  return (values as unknown[] ?? []).map((value) => valueOf(value, flag)!);
}

function parseShard(text: string | undefined): Shard | undefined {
  if (text === undefined) return undefined;
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text)?.map(Number) ??
    [];
  if (index && count && index <= count) return { index, count };
  throw new UsageError(
    `Cannot parse --shard "${text}": it must be I/N with I from 1 to N, as in 2/5.`,
  );
}

function parseTimeout(text: string): number {
  const timeoutMs = Number(text);
  // A longer timer would fire at once.
  if (timeoutMs > 0 && timeoutMs < 2 ** 31) return timeoutMs;
  throw new UsageError(
    `Cannot parse --timeout "${text}": it must be a number of milliseconds above 0.`,
  );
}

/** Reads what `--report` is given. Throws {@link UsageError}. */
export function parseReports(values: readonly string[]): ReportRequest[] {
  const reports = values.map(parseReport);
  // Annotations are lines that stand out between others.
  const toStdout = reports.filter(({ format, path }) =>
    path === undefined && format !== "github"
  );
  if (toStdout.length > 1) {
    throw new UsageError(
      "Only one report can go to standard output: give the others a file, " +
        `as in --report ${toStdout[1]!.format}:report.txt.`,
    );
  }
  if (toStdout.length === 1) return reports;
  return [{ format: "pretty", path: undefined }, ...reports];
}

function parseReport(value: string): ReportRequest {
  const colon = value.indexOf(":");
  const name = colon < 0 ? value : value.slice(0, colon);
  const format = oneOf(name, REPORT_FORMATS, "report");
  if (colon < 0) return { format, path: undefined };
  const path = valueOf(value.slice(colon + 1), `--report ${name}:`)!;
  return { format, path };
}
