// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command line of the fuzzer.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { numberOf, oneOf, textOf, type Values } from "../lib/flags.ts";
import { suggestion, UsageError } from "../lib/usage_error.ts";
import { PROFILES } from "./generate/generate.ts";
import type { Given } from "./run/given.ts";
import { parseSeed, type Seed } from "./run/seed.ts";

/** What is asked for. */
export interface Options {
  /** Print the help. */
  readonly help: boolean;
  /** What is compared with the model; undefined for the model with scattered frames. */
  readonly target: string | undefined;
  /** The revision; undefined for the target's own. */
  readonly uapi: string | undefined;
  /** The name of a profile. */
  readonly profile: string;
  /** Steps of a program. */
  readonly length: number;
  /** Programs; undefined for as many as the time allows. */
  readonly count: number | undefined;
  /** Milliseconds; undefined for as long as the count takes. */
  readonly timeMs: number | undefined;
  /** What is repeated; undefined for a new one. */
  readonly seed: Seed | undefined;
  /** Look at the target alone. */
  readonly onlyInvariants: boolean;
  /** Make new programs only: none that are changed ones of those that reached something. */
  readonly unguided: boolean;
  /** The file of programs that are run first and kept; undefined for none. */
  readonly corpus: string | undefined;
  /** A file with a program that is run instead. */
  readonly given: Given | undefined;
  /** The folder for findings. */
  readonly out: string;
  /** How many of the target run programs at once. */
  readonly jobs: number;
  /** Milliseconds that a target has for an answer. */
  readonly timeoutMs: number;
}

/** Minutes of a run that was told neither a time nor a count. */
export const DEFAULT_MINUTES = 1;
/** Steps of a program. */
export const DEFAULT_LENGTH = 60;
/** How many targets a run has at most. */
const MAX_JOBS = 256;
/** Where findings go. */
export const DEFAULT_OUT = ".cache/fuzz";

const BOOLEAN = ["help", "only-invariants", "unguided"] as const;
const STRING = [
  "target",
  "uapi",
  "profile",
  "length",
  "count",
  "minutes",
  "seed",
  "corpus",
  "replay",
  "import",
  "out",
  "jobs",
  "timeout",
] as const;

/** Reads the command line. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): Options {
  const values: Values = parseArgs([...args], {
    boolean: BOOLEAN,
    string: STRING,
    alias: { help: "h" },
    unknown: refuse,
  });
  const count = numberOf(values, "count", 1, 1e9);
  const minutes = numberOf(values, "minutes", 0, 1e5, /^\d+(\.\d+)?$/) ??
    (count === undefined ? DEFAULT_MINUTES : undefined);
  const options: Options = {
    help: Boolean(values.help),
    target: textOf(values, "target"),
    uapi: textOf(values, "uapi"),
    profile: oneOf(
      textOf(values, "profile") ?? "mixed",
      Object.keys(PROFILES),
      "profile",
    ),
    length: numberOf(values, "length", 1, 10_000) ?? DEFAULT_LENGTH,
    count,
    timeMs: minutes && minutes * 60_000,
    seed: seedOf(textOf(values, "seed")),
    onlyInvariants: Boolean(values["only-invariants"]),
    unguided: Boolean(values.unguided),
    corpus: textOf(values, "corpus"),
    given: givenOf(textOf(values, "replay"), textOf(values, "import")),
    out: textOf(values, "out") ?? DEFAULT_OUT,
    jobs: numberOf(values, "jobs", 1, MAX_JOBS) ?? 1,
    timeoutMs: numberOf(values, "timeout", 1, 2 ** 31 - 1) ?? 30_000,
  };
  if (options.onlyInvariants && options.target === undefined) {
    throw new UsageError("--only-invariants needs a --target.");
  }
  if (options.corpus !== undefined && !isGuided(options)) {
    throw new UsageError(
      "--corpus keeps what a guided run finds: it excludes --unguided, --replay, --import and the --seed of one program.",
    );
  }
  return options;
}

/** Whether what a run does depends on what its programs reached. */
export function isGuided(
  { unguided, given, seed }: Pick<Options, "unguided" | "given" | "seed">,
): boolean {
  return !unguided && given === undefined && seed?.only === undefined;
}

function givenOf(
  replay: string | undefined,
  imported: string | undefined,
): Given | undefined {
  if (replay !== undefined && imported !== undefined) {
    throw new UsageError("--replay and --import exclude each other.");
  }
  if (imported !== undefined) return { path: imported, by: "syzkaller" };
  return replay === undefined ? undefined : { path: replay, by: "us" };
}

function refuse(arg: string): never {
  const [flag] = arg.split("=", 1);
  const flags = [...BOOLEAN, ...STRING].map((name) => `--${name}`);
  throw new UsageError(
    flag!.startsWith("-")
      ? `Unknown option "${flag}".${suggestion(flag!, flags)} Try --help.`
      : `Unexpected argument "${arg}". Try --help.`,
  );
}

function seedOf(text: string | undefined): Seed | undefined {
  if (text === undefined) return undefined;
  const seed = parseSeed(text);
  if (seed) return seed;
  throw new UsageError(
    `Cannot parse --seed "${text}": it must be a number, as in 7, or that of a program of such a run, as in 7.12.`,
  );
}
