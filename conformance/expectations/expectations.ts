// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which tests are known to fail on which target, and why.
 *
 * The file is a JSON array of {@link Expectation}s, or an object with such an
 * array and a link for those that have none. The first that applies to a test
 * on a target decides; one that decides nothing is out of date, one that lets
 * several tests pass or not says nothing, and the run fails for both.
 *
 * @module
 */

import { REVISION_NAMES, type RevisionName } from "../../impl/uapi/revision.ts";
import { sumUp } from "../reports/cases.ts";
import { isFailure, type Status, type TestResult } from "../reports/results.ts";
import { Glob } from "../lib/glob.ts";
import type { SuiteColumn } from "../running/run_targets.ts";
import { printable } from "../lib/printable.ts";
import { orUsageError, suggestion, UsageError } from "../lib/usage_error.ts";

/** How a test can be expected to end. */
export const EXPECTED_STATUSES = [
  "pass",
  "fail",
  "crash",
  "timeout",
  "error",
] as const;

/** How a test can be expected to end. */
export type ExpectedStatus = typeof EXPECTED_STATUSES[number];

/** Where an expectation applies; everywhere what is left out. */
export interface Condition {
  /** A pattern for the target as it is named on the command line. */
  readonly target?: string;
  /** The revision. */
  readonly uapi?: RevisionName;
}

/** An entry of the file. */
export interface Expectation {
  /** A pattern for ids, as `--filter` takes it; several for failures of one cause. */
  readonly id: string | readonly string[];
  /** Where it applies; everywhere if left out. */
  readonly when?: Condition;
  /** How the test ends there. Several for one that does not always end in the same way; `pass` may be one of them. */
  readonly expect: ExpectedStatus | readonly ExpectedStatus[];
  /** Why it fails. */
  readonly reason: string;
  /** Where that is tracked; that of the file if left out. */
  readonly link?: string;
}

const FILE_KEYS = ["link", "expectations"];
const KEYS = ["id", "when", "expect", "reason", "link"];
const CONDITION_KEYS = ["target", "uapi"];

/** What the expectations of a file make of results. */
export class Expectations {
  /** The entries in the file's order. */
  readonly entries: readonly Expectation[];
  /** Where those are tracked that have no link of their own. */
  readonly link: string | undefined;
  readonly #path: string;
  readonly #globs: readonly (readonly Glob[])[];
  readonly #targets: readonly (Glob | undefined)[];

  /** `path` is what messages call the file. */
  constructor(entries: readonly Expectation[], path: string, link?: string) {
    this.entries = entries;
    this.link = link;
    this.#path = path;
    this.#globs = entries.map((entry) =>
      patternsOf(entry).map((pattern) => new Glob(pattern))
    );
    this.#targets = entries.map(({ when }) =>
      when?.target === undefined ? undefined : new Glob(when.target)
    );
  }

  /** The entry that decides on a test on a target, as its index; -1 if none does. */
  find(id: string, spec: string, uapi: RevisionName): number {
    return this.#findPattern(id, spec, uapi).entry;
  }

  /** The same, with the place of the pattern in the entry. */
  #findPattern(
    id: string,
    spec: string,
    uapi: RevisionName,
  ): { entry: number; pattern: number } {
    for (const [entry, globs] of this.#globs.entries()) {
      if (!this.#appliesTo(entry, spec, uapi)) continue;
      const pattern = globs.findIndex((glob) => glob.matches(id));
      if (pattern >= 0) return { entry, pattern };
    }
    return { entry: -1, pattern: -1 };
  }

  /** The same with another link for those that have none of their own: an empty one is none. */
  withLink(link: string): Expectations {
    const entries = this.entries.map(({ link: own, ...entry }) =>
      own === undefined || own.trim() === "" ? entry : { ...entry, link: own }
    );
    return new Expectations(entries, this.#path, link);
  }

  /** Where an entry's failures are tracked; "" where nothing says so yet. */
  linkOf({ link }: Expectation): string {
    return link ?? this.link ?? "";
  }

  /** A result as the expectations see it: a failure may become `xfail`, a pass `xpass`. */
  judge(spec: string, result: TestResult): TestResult {
    const { cases, durationMs } = result;
    if (cases === undefined) return this.#judgeOne(spec, result);
    const judged = cases.map((each) => this.#judgeOne(spec, each));
    const own = result.failure && this.#judgeOne(spec, result);
    const same = judged.every((each, index) => each === cases[index]) &&
      (own ?? result) === result;
    return same ? result : { ...sumUp(result, judged, own), durationMs };
  }

  #judgeOne(spec: string, result: TestResult): TestResult {
    const entry = this.entries[this.find(result.id, spec, result.uapi)];
    if (entry === undefined) return result;
    return judgeBy(entry, this.linkOf(entry), result);
  }

  /**
   * The patterns of each entry that decide nothing although one of the targets
   * is one of those that the entry is about.
   */
  stalePatterns(columns: readonly SuiteColumn[]): string[][] {
    const used = this.entries.map(() => new Set<number>());
    for (const { spec, uapi, ids } of columns) {
      for (const id of ids) {
        const { entry, pattern } = this.#findPattern(id, spec, uapi);
        used[entry]?.add(pattern);
      }
    }
    return this.entries.map((entry, index) =>
      columns.some(({ spec, uapi }) => this.#appliesTo(index, spec, uapi))
        ? patternsOf(entry).filter((_, place) => !used[index]!.has(place))
        : []
    );
  }

  /** A sentence for each of these patterns, and for entries that excuse whatever happens. */
  problems(columns: readonly SuiteColumn[]): string[] {
    const stale = this.stalePatterns(columns);
    return this.entries.flatMap((entry, index) => {
      const vague = this.#whyVague(index, columns);
      const wrong = stale[index]!.map((pattern) =>
        [pattern, whyUnused(pattern, columns)] as const
      );
      if (wrong.length === 0 && vague !== undefined) {
        wrong.push([patternsOf(entry).join(", "), vague]);
      }
      return wrong.map(([what, why]) =>
        `${this.#path}, entry ${index + 1}: "${what}" ${why}`
      );
    });
  }

  /** An entry that lets several tests pass or not: no change of theirs would be noticed. */
  #whyVague(
    index: number,
    columns: readonly SuiteColumn[],
  ): string | undefined {
    if (!expectedStatuses(this.entries[index]!).includes("pass")) return;
    const tests = columns.map(({ spec, uapi, ids }) =>
      new Set(
        ids.filter((id) => this.find(id, spec, uapi) === index)
          .map((id) => id.split("/", 1)[0]),
      ).size
    );
    const most = Math.max(...tests);
    if (most <= 1) return;
    return `lets ${most} tests pass or not: one that does not always end ` +
      "in the same way needs an entry of its own";
  }

  #appliesTo(index: number, spec: string, uapi: RevisionName): boolean {
    const { when } = this.entries[index]!;
    if (when?.uapi !== undefined && when.uapi !== uapi) return false;
    return this.#targets[index]?.matchesAll(spec) ?? true;
  }
}

/** Why a pattern decides nothing. */
function whyUnused(pattern: string, columns: readonly SuiteColumn[]): string {
  const glob = new Glob(pattern);
  return columns.some(({ ids }) => ids.some((id) => glob.matches(id)))
    ? "decides nothing: earlier entries match all its tests"
    : "matches no test";
}

/** The patterns of an entry. */
export function patternsOf({ id }: Expectation): readonly string[] {
  return typeof id === "string" ? [id] : id;
}

/** The statuses that an entry expects. */
export function expectedStatuses(
  { expect }: Expectation,
): readonly ExpectedStatus[] {
  return typeof expect === "string" ? [expect] : expect;
}

/** A result as the entry that decides on it sees it. */
function judgeBy(
  entry: Expectation,
  link: string,
  result: TestResult,
): TestResult {
  const { status } = result;
  const { reason } = entry;
  const expected = { actual: status, reason, link };
  const statuses: readonly Status[] = expectedStatuses(entry);
  if (status === "pass" && !statuses.includes("pass")) {
    const message = `It passed, and was expected to end with ${
      statuses.join(" or ")
    }`;
    return { ...result, status: "xpass", message, expected };
  }
  if (isFailure(status) && statuses.includes(status)) {
    return { ...result, status: "xfail", expected };
  }
  return result;
}

/**
 * Reads the text of a file. Throws {@link UsageError} that says which entry is
 * wrong. `complete` is false where reason and link may still be empty.
 */
export function parseExpectations(
  text: string,
  path: string,
  complete = true,
): Expectations {
  const what = `Cannot parse expectations "${path}"`;
  const value: unknown = orUsageError(
    what,
    // Some editors begin a file with a mark.
    () => JSON.parse(text.replace(/^\ufeff/, "")),
  );
  const { link, list } = fileOf(value, what);
  const entries = list.map((entry, index) =>
    readEntry(
      entry,
      `${path}, entry ${index + 1}`,
      complete,
      link !== undefined,
    )
  );
  return new Expectations(entries, path, link);
}

/** The entries of a file, and their link. */
function fileOf(
  value: unknown,
  what: string,
): { link: string | undefined; list: readonly unknown[] } {
  if (Array.isArray(value)) return { link: undefined, list: value };
  const { link, expectations, ...more } = Object(value) as Record<
    string,
    unknown
  >;
  const isLink = link === undefined ||
    typeof link === "string" && link.trim() !== "";
  const known = isLink && Object.keys(more).length === 0;
  if (!known || !Array.isArray(expectations)) {
    throw new UsageError(
      `${what}: it must hold an array, or an object with ${
        FILE_KEYS.join(" and ")
      }.`,
    );
  }
  return {
    link: link === undefined ? undefined : printable(link),
    list: expectations,
  };
}

/**
 * Reads one entry; `where` is what messages call it. `complete` is false where
 * reason and link may be empty, `linked` is true where the file has a link.
 */
function readEntry(
  value: unknown,
  where: string,
  complete: boolean,
  linked: boolean,
): Expectation {
  const read = new EntryReader(where);
  const entry = read.object(value, "It", KEYS);
  return {
    id: Array.isArray(entry.id) && entry.id.length > 0
      ? entry.id.map((id) => read.text({ id }, "id", false))
      : read.text(entry, "id", false),
    ...entry.when !== undefined && { when: read.condition(entry.when) },
    expect: read.statuses(entry.expect),
    reason: read.text(entry, "reason", !complete),
    ...!(linked && entry.link === undefined) &&
      { link: read.text(entry, "link", !complete) },
  };
}

/** Reads the values of an entry. Throws a {@link UsageError} that says where. */
class EntryReader {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  object(
    value: unknown,
    what: string,
    keys: readonly string[],
  ): Record<string, unknown> {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.#refuse(`${what} must be an object.`);
    }
    for (const key of Object.keys(value)) {
      if (keys.includes(key)) continue;
      this.#refuse(
        `Unknown property "${key}": there are ${keys.join(", ")}.${
          suggestion(key, keys)
        }`,
      );
    }
    return value as Record<string, unknown>;
  }

  text(
    entry: Record<string, unknown>,
    key: string,
    mayBeEmpty: boolean,
  ): string {
    const value = entry[key];
    if (typeof value !== "string" || (value.trim() === "" && !mayBeEmpty)) {
      return this.#refuse(
        `"${key}" must be there, and a text that is not empty.`,
      );
    }
    return printable(value);
  }

  condition(value: unknown): Condition {
    const when = this.object(value, '"when"', CONDITION_KEYS);
    const { target, uapi } = when;
    if (uapi !== undefined) this.#oneOf(uapi, REVISION_NAMES, "uapi");
    return {
      ...target !== undefined && { target: this.text(when, "target", false) },
      ...uapi !== undefined && { uapi: uapi as RevisionName },
    };
  }

  statuses(value: unknown): Expectation["expect"] {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const status of list) {
      this.#oneOf(status, EXPECTED_STATUSES, "expect");
    }
    if (list.every((status) => status === "pass")) {
      this.#refuse('"expect" must name a way to fail.');
    }
    return value as Expectation["expect"];
  }

  #oneOf(value: unknown, known: readonly string[], key: string): void {
    if (known.some((each) => each === value)) return;
    this.#refuse(
      `"${key}" cannot be ${JSON.stringify(value)}: it must be ${
        known.join(", ")
      }.${suggestion(String(value), known)}`,
    );
  }

  #refuse(why: string): never {
    throw new UsageError(`${this.#where}: ${why}`);
  }
}
