// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks the suite: every mutant of the model must be killed by the test that
 * is named for it. `--help` lists the options.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { runToExitCode } from "../lib/exit_code.ts";
import { UsageError } from "../lib/usage_error.ts";
import { inOrder } from "./in_order.ts";
import { describeTest, killerOf, type Mutant } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";
import { selectMutants } from "./select.ts";
import {
  checkKillers,
  killersOf,
  type Outcome,
  tryMutant,
  type Verdict,
} from "./trial.ts";

const HELP = `Usage: deno task mutants [OPTION…] [NAME…]

Puts faults into the model, one at a time, and runs the conformance tests
against it. Fails unless each fault is noticed by the test that is named for
it. NAMEs choose mutants; a * stands for anything.

  --jobs N   try N mutants at a time (default: one per processor)
  --killers  show all tests that notice, not only the first
  --list     show the mutants and what they break
  --help     show this`;

/** Every mutant was killed as it should. */
const EXIT_OK = 0;
/** One was not, or the table is wrong. */
const EXIT_FAILURE = 1;

/** What the command line asks for. */
interface Options {
  readonly action: "help" | "list" | "killers" | "run";
  readonly mutants: readonly Mutant[];
  readonly jobs: number;
}

/** Runs the command with its arguments; resolves to the exit code. */
function main(args: readonly string[]): number | Promise<number> {
  const { action, mutants, jobs } = parseOptions(args);
  switch (action) {
    case "help":
      console.log(HELP);
      return EXIT_OK;
    case "list":
      return list(mutants);
    case "killers":
      return showKillers(mutants);
    case "run":
      return run(mutants, jobs);
  }
}

/** Reads the command line. Throws {@link UsageError}. */
function parseOptions(args: readonly string[]): Options {
  const parsed = parseArgs([...args], {
    boolean: ["help", "killers", "list"],
    string: ["jobs"],
    alias: { help: "h" },
    unknown(arg) {
      if (!arg.startsWith("-")) return true;
      throw new UsageError(`There is no option ${arg}: see --help.`);
    },
  });
  const jobs = Number(parsed.jobs ?? navigator.hardwareConcurrency);
  if (!Number.isInteger(jobs) || jobs < 1) {
    throw new UsageError(
      `--jobs must be a number from 1 on, not "${parsed.jobs}".`,
    );
  }
  const actions = ["help", "list", "killers"] as const;
  const action = actions.find((name) => parsed[name]) ?? "run";
  return {
    action,
    mutants: selectMutants(MUTANTS, parsed._.map(String)),
    jobs,
  };
}

function list(mutants: readonly Mutant[]): number {
  for (const mutant of mutants) {
    const { name, file, breaks } = mutant;
    console.log(`${name}\n  ${file}: ${breaks}`);
    console.log(`  killed by ${describeTest(killerOf(mutant))}`);
  }
  console.log(`${mutants.length} mutants`);
  return EXIT_OK;
}

async function showKillers(mutants: readonly Mutant[]): Promise<number> {
  for (const mutant of mutants) {
    const killers = await killersOf(mutant);
    console.log(`${mutant.name}: ${killers.length} tests notice`);
    for (const killer of killers) {
      const { status, message } = killer;
      console.log(`  ${describeTest(killer)}: ${status}: ${message}`);
    }
  }
  return EXIT_OK;
}

/** Tries all and prints the table. */
async function run(mutants: readonly Mutant[], jobs: number): Promise<number> {
  const start = performance.now();
  const problems = await checkKillers(mutants);
  const nameWidth = Math.max(...mutants.map(({ name }) => name.length));
  const tried = inOrder(mutants, jobs, (mutant) => tryMutant(mutant));
  for await (const { item: mutant, result: verdict, ms } of tried) {
    const time = `${(ms / 1000).toFixed(1)} s`.padStart(6);
    const name = mutant.name.padEnd(nameWidth);
    const { word, problem } = describe(mutant, verdict);
    console.log(`${name}  ${time}  ${word}`);
    if (problem === undefined) continue;
    problems.push(`${mutant.name} (${mutant.breaks}): ${problem}`);
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  if (problems.length > 0) {
    console.error(["", ...problems].join("\n"));
    return EXIT_FAILURE;
  }
  console.log(
    `\nAll ${mutants.length} mutants were killed, in ${seconds} seconds.`,
  );
  return EXIT_OK;
}

/** A verdict in the table, and what is wrong if it is not as it should be. */
function describe(
  mutant: Mutant,
  verdict: Verdict,
): { word: string; problem?: string } {
  const killer = describeTest(killerOf(mutant));
  switch (verdict.verdict) {
    case "killed":
      return { word: describeOutcome(verdict.by) };
    case "killed by another":
      return {
        word: `ANOTHER: ${describeOutcome(verdict.by)}`,
        problem: `${killer} passes, but ${describeTest(verdict.by)} does not`,
      };
    case "survived":
      return {
        word: "SURVIVED",
        problem: `${killer} and all other tests pass`,
      };
    case "broken":
      return { word: "BROKEN", problem: verdict.why };
  }
}

/** A test, and how it ended if not by an assertion. */
function describeOutcome(outcome: Outcome): string {
  const { status } = outcome;
  const how = status === "fail" ? "" : ` (${status})`;
  return `${describeTest(outcome)}${how}`;
}

if (import.meta.main) {
  Deno.exit(await runToExitCode(() => main(Deno.args), console.error));
}
