// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command line of `deno task bench`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { suggestion, UsageError } from "../conformance/lib/usage_error.ts";
import { textOf } from "../conformance/lib/flags.ts";
import { scenariosToCompare } from "./reporting/compare.ts";
import { allScenarios } from "./operations.ts";
import { namesOf, type Scenario } from "./measuring/scenario.ts";
import { benchNames } from "./register.ts";

/** What `--help` prints. */
export const HELP = `Measures how long system calls of the model take.

Usage: deno task bench [--filter TEXT] [OPTION OF deno bench]…
       deno task bench --target TARGET [--filter TEXT]
       deno task bench --list [--filter TEXT]

  --filter TEXT    only operations with TEXT in their name; /TEXT/ is a regular
                   expression (not with --target)
  --list           the names of the operations, and measure none
  --target TARGET  on a target, beside the model: linux-vm:, linux-uml:6.12,
                   "stdio:CMD ARGS", all that deno task conformance takes and
                   that can take the time
  --help           this text

Without --target it is deno bench, whose options are taken too: --json, for
instance. A figure is of one round: of "IOAS_MAP, 4 KiB × 1,000" of a thousand
calls. "floor of" an operation is the least work on typed arrays that it comes
down to.

Other commands: deno task bench:report for figures per call and against the
floors, in a table; bench:guard, whether something became slower; bench:host,
calls of real programs. bench/README.md says what they mean.
`;

/** What is to be done. */
export type BenchOptions =
  | { readonly action: "help" }
  | { readonly action: "list"; readonly names: readonly string[] }
  | {
    readonly action: "target";
    readonly target: string;
    readonly filter: string;
  }
  | {
    readonly action: "bench";
    /** The files that have what is chosen. */
    readonly files: readonly string[];
    /** What `deno bench` is told. */
    readonly args: readonly string[];
  };

/** Reads the arguments. Throws {@link UsageError}, also where no operation is chosen. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const values = parseArgs([...args], {
    boolean: ["help", "list"],
    string: ["target", "filter"],
    alias: { h: "help" },
  });
  if (values.help) return { action: "help" };
  const filter = textOf(values, "filter") ?? "";
  const target = textOf(values, "target");
  if (target !== undefined || values.list) {
    for (const arg of args) refuseOther(arg);
  }
  if (target !== undefined) {
    if (scenariosToCompare(filter).length === 0) {
      throw nothingNamed(filter, scenariosToCompare("").flatMap(namesOf));
    }
    return { action: "target", target, filter };
  }
  const chosen = allScenarios()
    .map((scenario) => [scenario, namesChosen(scenario, filter)] as const)
    .filter(([, names]) => names.length > 0);
  if (chosen.length === 0) {
    throw nothingNamed(filter, allScenarios().flatMap(namesOf));
  }
  if (values.list) {
    return { action: "list", names: chosen.flatMap(([, names]) => names) };
  }
  const files = new Set(chosen.map(([{ group }]) => fileOf(group)));
  return { action: "bench", files: [...files], args };
}

/** The file that registers a group: `bench/benches/system_calls_bench.ts`. */
function fileOf(group: string): string {
  return `bench/benches/${group.replaceAll(" ", "_")}_bench.ts`;
}

/** The options of ours; all others are those of `deno bench`. */
const OWN = /^--(target|filter|list)(=|$)/;

function refuseOther(arg: string): void {
  if (!arg.startsWith("-") || OWN.test(arg)) return;
  throw new UsageError(
    `${arg} is an option of deno bench: --target and --list take only --filter.`,
  );
}

/** The benchmarks of a scenario that `deno bench --filter` chooses. */
function namesChosen(scenario: Scenario, filter: string): string[] {
  const names = benchNames(scenario);
  const [, pattern] = /^\/(.*)\/$/s.exec(filter) ?? [];
  if (pattern === undefined) {
    return names.filter((name) => name.includes(filter));
  }
  try {
    const expression = new RegExp(pattern);
    return names.filter((name) => expression.test(name));
  } catch (error) {
    throw new UsageError(
      `Cannot parse --filter "${filter}": ${(error as Error).message}`,
    );
  }
}

/** At most that many names are suggested. */
const MAX_NEAR = 3;

/** The error of a text that is in none of the names: with some that are near. */
export function nothingNamed(
  text: string,
  names: readonly string[],
): UsageError {
  const heads = new Set(names.map((name) => name.split(",", 1)[0]!));
  const near = namesWithWords(text, names).slice(0, MAX_NEAR)
    .map((name) => `"${name}"`).join(" or ");
  return new UsageError(
    `No operation has "${text}" in its name.${
      near ? ` Did you mean ${near}?` : suggestion(text, [...heads, ...names])
    } "deno task bench --list" prints all names.`,
  );
}

/** The names with the most words of a text, whatever their case; none that lacks more than half of them. */
function namesWithWords(text: string, names: readonly string[]): string[] {
  const words = text.toLowerCase().split(/[\s,]+/);
  const found = Map.groupBy(names, (name) => {
    const lower = name.toLowerCase();
    return words.filter((word) => lower.includes(word)).length;
  });
  const most = Math.max(...found.keys());
  return most * 2 < words.length ? [] : found.get(most)!;
}
