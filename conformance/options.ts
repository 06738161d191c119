// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command line.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Isolation, ISOLATIONS } from "./run_tests.ts";
import { type Suite, SUITES } from "./select.ts";
import { suggestion, UsageError } from "./usage_error.ts";

/** The kinds of reports. */
export const REPORT_FORMATS = ["pretty", "ktap", "json"] as const;

/** A kind of report. */
export type ReportFormat = typeof REPORT_FORMATS[number];

/** A report that was asked for. */
export interface ReportRequest {
  /** What kind. */
  readonly format: ReportFormat;
  /** The file it goes to; undefined for standard output. */
  readonly path: string | undefined;
}

/** What the command line asks for. */
export interface Options {
  /** What to do. */
  readonly action: "run" | "list" | "help" | "version";
  /** The target's name. */
  readonly target: string;
  /** Name of a revision, or `all`. */
  readonly uapi: string;
  /** Globs over ids. */
  readonly filters: readonly string[];
  /** The part of the suite. */
  readonly suite: Suite;
  /** The reports; exactly one of them goes to standard output. */
  readonly reports: readonly ReportRequest[];
  /** Time limit of a test in milliseconds. */
  readonly timeoutMs: number;
  /** When a new target is started although nothing broke. */
  readonly isolate: Isolation;
  /** How many targets run tests at the same time. */
  readonly jobs: number;
}

/** The most targets at the same time. */
const MAX_JOBS = 256;

/** What `--help` prints. */
export const HELP = `Runs the iommufd selftests against a target.

Usage: deno task conformance [OPTION]…
       deno task conformance check-adapter TARGET

  --target TARGET        what to test; default impl:
                           impl:[REVISION][,scattered=SEED]
                                 the model of this package; scattered hands
                                 its memory out in an order decided by SEED
                           module:./X.ts
                                 a module that exports target()
                           stdio:CMD ARGS…, unix:PATH, tcp:HOST:PORT
                                 an adapter that speaks the protocol of
                                 protocol.md: a program to start, or a socket
  --uapi REVISION        v3, 6.12 or all; default: all the target offers
  --filter GLOB          only tests whose id matches: fixture.variant.test, or
                         the beginning of one up to a dot; * and ? are
                         wildcards, a leading ! leaves tests out; repeatable
  --suite PART           kernel: the kernel's own tests, kit: those that only
                         this kit has, all; default all
  --timeout SECONDS      time limit of a test; default 30
  --isolate HOW          start a new target once for the whole run, or for each
                         fixture (in each variant), or for each test; default
                         run: a new one only after a test that broke the target
  --jobs N               run tests on N targets at the same time; default 1
  --report FORMAT[:PATH] pretty, ktap or json; with PATH into that file, else
                         to standard output, where pretty is the default;
                         repeatable
  --list                 list the selected tests, do not run them
  --help, -h             print this
  --version              print the version

Exit codes: 0 all passed or were skipped, 1 something failed, 2 the command
line is wrong or selects nothing, 3 the target could not be started.
`;

const BOOLEAN = ["help", "list", "version"] as const;
const STRING = [
  "target",
  "uapi",
  "suite",
  "timeout",
  "isolate",
  "jobs",
] as const;
const COLLECT = ["filter", "report"] as const;
const FLAGS = [...BOOLEAN, ...STRING, ...COLLECT].map((name) => `--${name}`);

/** Reads the command line. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): Options {
  const parsed = parseArgs(args, {
    boolean: BOOLEAN,
    string: [...STRING, ...COLLECT],
    collect: COLLECT,
    alias: { help: "h" },
    unknown: refuse,
  });
  // What stands behind a bare "--" does not go through `unknown`.
  if (parsed._.length > 0) refuse(String(parsed._[0]));
  return {
    action: parsed.help
      ? "help"
      : parsed.version
      ? "version"
      : parsed.list
      ? "list"
      : "run",
    target: valueOf(parsed.target, "--target") ?? "impl:",
    uapi: valueOf(parsed.uapi, "--uapi") ?? "all",
    filters: valuesOf(parsed.filter, "--filter"),
    suite: parseSuite(valueOf(parsed.suite, "--suite") ?? "all"),
    reports: parseReports(valuesOf(parsed.report, "--report")),
    timeoutMs: parseTimeout(valueOf(parsed.timeout, "--timeout") ?? "30"),
    isolate: parseIsolation(valueOf(parsed.isolate, "--isolate") ?? "run"),
    jobs: parseJobs(valueOf(parsed.jobs, "--jobs") ?? "1"),
  };
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
    `Unexpected argument "${arg}": to select tests, use --filter "${arg}".`,
  );
}

function valueOf(value: unknown, flag: string): string | undefined {
  if (value === undefined) return undefined;
  if (value === "") throw new UsageError(`${flag} needs a value.`);
  return String(value);
}

function valuesOf(values: unknown, flag: string): string[] {
  return (values as unknown[] ?? []).map((value) => valueOf(value, flag)!);
}

function parseSuite(name: string): Suite {
  const suite = SUITES.find((known) => known === name);
  if (suite !== undefined) return suite;
  throw new UsageError(
    `Unknown suite "${name}": it must be ${SUITES.join(", ")}.${
      suggestion(name, SUITES)
    }`,
  );
}

function parseIsolation(name: string): Isolation {
  const isolation = ISOLATIONS.find((known) => known === name);
  if (isolation !== undefined) return isolation;
  throw new UsageError(
    `Unknown isolation "${name}": it must be ${ISOLATIONS.join(", ")}.${
      suggestion(name, ISOLATIONS)
    }`,
  );
}

function parseJobs(number: string): number {
  const jobs = Number(number);
  if (Number.isInteger(jobs) && jobs > 0 && jobs <= MAX_JOBS) return jobs;
  throw new UsageError(
    `Cannot parse --jobs "${number}": it must be a number from 1 to ${MAX_JOBS}.`,
  );
}

function parseTimeout(seconds: string): number {
  const timeoutMs = Number(seconds) * 1000;
  // A longer timer would fire at once.
  if (timeoutMs > 0 && timeoutMs < 2 ** 31) return timeoutMs;
  throw new UsageError(
    `Cannot parse --timeout "${seconds}": it must be a number of seconds above 0.`,
  );
}

function parseReports(values: readonly string[]): ReportRequest[] {
  const reports = values.map(parseReport);
  const toStdout = reports.filter(({ path }) => path === undefined);
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
  const format = REPORT_FORMATS.find((known) => known === name);
  if (format === undefined) {
    throw new UsageError(
      `Unknown report "${name}": it must be ${REPORT_FORMATS.join(", ")}.${
        suggestion(name, REPORT_FORMATS)
      }`,
    );
  }
  if (colon < 0) return { format, path: undefined };
  const path = valueOf(value.slice(colon + 1), `--report ${name}:`)!;
  return { format, path };
}
