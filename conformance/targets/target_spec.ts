// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a target is before it is started.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Target } from "../../selftests/target/target.ts";
import type { Status } from "../reports/results.ts";
import { UsageError } from "../lib/usage_error.ts";
import type { Connection } from "../protocol/connection.ts";

/** A target that was named but not started yet. */
export interface TargetSpec {
  /** What was named, such as `impl:6.12,scattered=7`. */
  readonly spec: string;
  /**
   * The revisions that it can be started with. Some targets are started for
   * the answer: rejects when that fails.
   */
  revisions(options?: OpenOptions): Promise<readonly RevisionName[]>;
  /** Starts it with one of them. */
  open(uapi: RevisionName, options?: OpenOptions): Promise<Target>;
  /** Starts the adapter only, where there is one: nothing has been said to it. */
  connect?(): Promise<Connection>;
  /** The only test that it can run, where it is a recording: its capabilities are not probed either. */
  readonly onlyTest?: string;
  /** What it came to elsewhere, in the place of a target that can be started. */
  readonly results?: GivenResults;
  /** True for one that runs in this process: several at a time gain nothing. */
  readonly inProcess?: boolean;
  /** True where a system call costs many times what it costs Linux: a benchmark takes that off. */
  readonly emulatesCalls?: boolean;
}

/** How a test ended that somebody else ran. */
export interface GivenResult {
  /** The test, or a list of tests. */
  readonly name: string;
  /** How. */
  readonly status: Status;
  /** Why it was skipped, or ended in another way; empty where that is not told. */
  readonly reason: string;
  /** What was said before its end, a line each. */
  readonly said: readonly string[];
  /** The results of the list that it is, or of a test's cases. */
  readonly parts: readonly GivenResult[];
}

/** Results that somebody else came to. */
export interface GivenResults {
  /** What reports call it. */
  readonly name: string;
  /** And its version. */
  readonly version: string;
  /** The results. */
  readonly results: readonly GivenResult[];
  /** Why there are not all of them, in a sentence. */
  readonly stopped?: string;
}

/** Throws a {@link UsageError} about the name of a target. */
export function refuseTarget(spec: string, why: string): never {
  throw new UsageError(`Cannot parse target "${spec}": ${why}`);
}

/** How a target is started. */
export interface OpenOptions {
  /** Milliseconds that it has for the answer to a call, and at least as many to start; default 30 s. */
  readonly timeoutMs?: number;
}

/** What is chosen of a target: its revision if that was named, and options by their names. */
export interface Chosen {
  readonly revision: string | undefined;
  readonly options: ReadonlyMap<string, string>;
}

/** Reads `[REVISION][,OPTION=VALUE]…`; undefined where an option, or its value, is none of `known`. */
export function parseChosen(
  text: string,
  known: Readonly<Record<string, readonly string[]>>,
): Chosen | undefined {
  const words = text === "" ? [] : text.split(",");
  const revision = words[0]?.includes("=") ? undefined : words.shift();
  const options = new Map<string, string>();
  for (const word of words) {
    const [, name, value] = /^(\w+)=(\w+)$/.exec(word) ?? [];
    if (name === undefined || value === undefined) return undefined;
    if (options.has(name) || !known[name]?.includes(value)) return undefined;
    options.set(name, value);
  }
  return { revision, options };
}

/** The options of a target in words, for who chose wrongly. */
export function describeOptions(
  known: Readonly<Record<string, readonly string[]>>,
): string {
  return Object.entries(known).map(([name, values]) =>
    `${name}= with ${values.join(" or ")}`
  ).join(", ");
}
