// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks the fuzzer: it must find the mutants of the model, and make what it
 * found small. `--help` lists the options.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { PROFILES } from "../../fuzz/generate/generate.ts";
import { runToExitCode } from "../../lib/exit_code.ts";
import { UsageError } from "../../lib/usage_error.ts";
import { inOrder } from "../in_order.ts";
import type { Mutant } from "../mutant.ts";
import { MUTANTS } from "../mutants.ts";
import { selectMutants } from "../select.ts";
import { formatFigures } from "./figures.ts";
import type { FoundDifference } from "./events.ts";
import { SAMPLE } from "./sample.ts";
import { fuzzMutants, type FuzzVerdict } from "./trial.ts";
import { type Lists, MOST_CALLS, problemOf } from "./judge.ts";
import { LONG } from "./long.ts";
import { NOT_FOUND } from "./not_found.ts";

const HELP = `Usage: deno task mutants:fuzz [OPTION…] [NAME…]

Puts faults into the model, one at a time, and fuzzes it beside the model as it
is. Fails unless each fault is found, with a smallest program of at most eight
calls, but for those that are listed with a reason in not_found.ts and long.ts of
conformance/mutants/fuzzed. NAMEs choose mutants; a * stands for anything.

  --sample     a fixed few of them
  --listed     those too that are listed as not found
  --profile P  programs of this profile only (default: those for the folder of the fault)
  --seed N     the run of the first profile (default: 1)
  --seconds N  give a mutant up after so much processor time (default: 60)
  --jobs N     fuzz N mutants at a time (default: one per processor)
  --help       show this`;

/** Every mutant was found. */
const EXIT_OK = 0;
/** One was not. */
const EXIT_FAILURE = 1;

const ALL_PROFILES = Object.keys(PROFILES);
/** Calls of a program. */
const LENGTH = 40;
/** How many mutants are fuzzed in one process: what the model as it is does, it does once for them. */
const TOGETHER = 5;
/** What is known of the mutants. */
const LISTS: Lists = { notFound: NOT_FOUND, long: LONG };

/** What the command line asks for. */
interface Options {
  readonly help: boolean;
  readonly mutants: readonly Mutant[];
  /** Undefined for those that are about what is in the folder of a fault. */
  readonly profile: string | undefined;
  readonly seed: number;
  readonly seconds: number;
  readonly jobs: number;
}

/** Runs the command with its arguments; resolves to the exit code. */
function main(args: readonly string[]): number | Promise<number> {
  const options = parseOptions(args);
  if (!options.help) return run(options);
  console.log(HELP);
  return EXIT_OK;
}

/** Reads the command line. Throws {@link UsageError}. */
function parseOptions(args: readonly string[]): Options {
  const parsed = parseArgs([...args], {
    boolean: ["help", "sample", "listed"],
    string: ["jobs", "seed", "seconds", "profile"],
    alias: { help: "h" },
    unknown(arg) {
      if (!arg.startsWith("-")) return true;
      throw new UsageError(`There is no option ${arg}: see --help.`);
    },
  });
  function number(name: "jobs" | "seed" | "seconds", usual: number): number {
    const value = Number(parsed[name] ?? usual);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new UsageError(
      `--${name} must be a number from 1 on, not "${parsed[name]}".`,
    );
  }
  const profile = ALL_PROFILES.find((name) => name === parsed.profile);
  if (profile === undefined && parsed.profile !== undefined) {
    const all = ALL_PROFILES.join(", ");
    throw new UsageError(`There is no profile ${parsed.profile}, only ${all}.`);
  }
  const names = parsed._.map(String);
  const chosen = selectMutants(MUTANTS, parsed.sample ? SAMPLE : names);
  return {
    help: Boolean(parsed.help),
    mutants: parsed.listed
      ? chosen
      : chosen.filter(({ name }) => !NOT_FOUND.has(name)),
    profile,
    seed: number("seed", 1),
    seconds: number("seconds", 60),
    jobs: number("jobs", navigator.hardwareConcurrency),
  };
}

/** Some of many at a time, in order. */
function inGroups<T>(all: readonly T[], size: number): T[][] {
  const groups = Math.ceil(all.length / size);
  return Array.from(
    { length: groups },
    (_, i) => all.slice(size * i, size * (i + 1)),
  );
}

/** Fuzzes all, and prints a table. */
async function run(
  { mutants, jobs, seconds, seed, profile }: Options,
): Promise<number> {
  const nameWidth = Math.max(...mutants.map(({ name }) => name.length));
  const found: FoundDifference[] = [];
  const problems: string[] = [];
  const how = { seed, profile, length: LENGTH, limitMs: 1000 * seconds };
  const fuzzed = inOrder(
    inGroups(mutants, TOGETHER),
    jobs,
    (group) => fuzzMutants(group, how),
  );
  function tell({ name, breaks }: Mutant, verdict: FuzzVerdict): void {
    console.log(`${name.padEnd(nameWidth)}  ${describe(verdict)}`);
    const problem = problemOf(name, verdict, LISTS);
    if (problem) problems.push(`${name} (${breaks}): ${problem}`);
    if (verdict.verdict !== "found") return;
    found.push(verdict);
    if (verdict.size > MOST_CALLS) console.log(verdict.program);
  }
  for await (const { item: group, result } of fuzzed) {
    for (const [i, mutant] of group.entries()) tell(mutant, result[i]!);
  }
  const noticed = mutants.length - problems.length;
  console.log(["", ...formatFigures(found)].join("\n"));
  if (problems.length > 0) {
    console.error(["", ...problems].join("\n"));
    return EXIT_FAILURE;
  }
  console.log(`All ${noticed} mutants are as they should be.`);
  return EXIT_OK;
}

/** A verdict in the table. */
function describe(verdict: FuzzVerdict): string {
  if (verdict.verdict === "broken") return "BROKEN";
  const { programs, calls, processorMs } = verdict;
  const effort = `${programs} programs, ${calls} calls, ${
    (processorMs / 1000).toFixed(1)
  } s`;
  if (verdict.verdict !== "found") {
    return `${verdict.verdict.toUpperCase()}: ${effort}`;
  }
  const { profile, cause, size } = verdict;
  return `${size} calls: ${cause} (${profile}, ${effort})`;
}

if (import.meta.main) {
  Deno.exit(await runToExitCode(() => main(Deno.args), console.error));
}
