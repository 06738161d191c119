// SPDX-License-Identifier: GPL-2.0-only

/**
 * The command lines of traces.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { suggestion, UsageError } from "../lib/usage_error.ts";

/** What is asked for. */
export interface Options {
  /** Print the help. */
  readonly help: boolean;
  /** Record, and do not play. */
  readonly record: boolean;
  /** Keep the traces of other machines. */
  readonly add: boolean;
  /** The targets by name; none for the usual ones. */
  readonly targets: readonly string[];
  /** What the names of traces that are played have in them. */
  readonly filter: string;
}

const FLAGS = ["--help", "--add", "--target", "--filter"];

/** Reads a command line. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): Options {
  const parsed = parseArgs([...args], {
    boolean: ["help", "record", "add"],
    string: ["target", "filter"],
    collect: ["target"],
    alias: { help: "h" },
    unknown: refuse,
  });
  const help = Boolean(parsed.help);
  const record = Boolean(parsed.record);
  const add = Boolean(parsed.add);
  const targets = parsed.target as string[];
  const filter = parsed.filter as string | undefined;
  if (help) return { help, record, add, targets: [], filter: "" };
  if (targets.includes("")) throw new UsageError("--target needs a value.");
  if (filter === "") throw new UsageError("--filter needs a value.");
  if (add && !record) {
    throw new UsageError(
      "--add is for traces:record: nothing is added by playing.",
    );
  }
  if (record && filter !== undefined) {
    throw new UsageError("--filter is for traces: a file is recorded whole.");
  }
  if (record && targets.length === 0) {
    throw new UsageError("Recording needs a --target, such as linux-vm:7.3.");
  }
  return { help, record, add, targets, filter: filter ?? "" };
}

function refuse(arg: string): never {
  const isFlag = arg.startsWith("-");
  throw new UsageError(
    isFlag
      ? `Unknown option "${arg}".${suggestion(arg, FLAGS)} See --help.`
      : `Unexpected argument "${arg}". See --help.`,
  );
}
