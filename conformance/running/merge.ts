// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reports of shards as one run: those of machines that shared the tests.
 *
 * @module
 */

import type {
  JsonCase,
  JsonReport,
  JsonTarget,
} from "../reports/formats/json.ts";
import type {
  Column,
  Origin,
  Run,
  RunSettings,
  TestResult,
} from "../reports/results.ts";
import { UsageError } from "../lib/usage_error.ts";
import { PROBE_FIXTURE } from "../targets/probes.ts";
import { mergeRuns } from "./schedule.ts";

/** A report that was read. */
export interface ReadReport {
  /** What messages call it. */
  readonly path: string;
  /** The report. */
  readonly report: JsonReport;
}

/** A report with the part of the tests that it is of. */
interface ShardReport extends ReadReport {
  readonly index: number;
  readonly count: number;
}

/**
 * The run that shards are the parts of; shards that are missing or there twice
 * are problems of it. `command` is what the run is said to have come from, and
 * `textOf` finds the calls of a failure. Throws {@link UsageError} for reports
 * that are no shards of one run.
 */
export function mergeReports(
  reports: readonly ReadReport[],
  command: string,
  textOf: (path: string) => string | undefined,
): Run {
  const shards = reports.map(shardOf).sort((a, b) => a.index - b.index);
  const [first, ...others] = shards;
  for (const other of others) refuseOther(first!, other);
  const columns = first!.report.targets.map((target, place) =>
    mergeColumn(target, shards.map(({ report }) => report.targets[place]!))
  );
  const { suite, settings } = first!.report;
  const problems = [
    ...shards.flatMap(({ report }) => report.problems),
    ...absent(shards),
    ...repeated(shards),
  ];
  return {
    suite,
    settings: commonSettings(settings, shards),
    origin: originOf(shards, command),
    durationMs: Math.max(...shards.map(({ report }) => report.durationMs)),
    columns,
    problems: [...new Set(problems)],
  };

  function mergeColumn(target: JsonTarget, parts: JsonTarget[]): Column {
    const { spec, uapi } = target;
    const results = parts.map(({ tests }) =>
      tests.map((test) => resultOf(test, uapi, textOf))
    );
    const started = parts.find(isStarted) ?? target;
    const stopped = [...new Set(parts.flatMap(({ stopped = [] }) => stopped))];
    const unmatched = parts.flatMap(({ unmatched = [] }) => unmatched);
    return {
      spec,
      uapi,
      target: started.name,
      targetVersion: started.version,
      results: mergeRuns(results.flat(), inTurns(results)),
      ...stopped.length > 0 && { stopped: stopped.join("; ") },
      ...unmatched.length > 0 && {
        unmatched: {
          unknown: unique(unmatched.flatMap(({ unknown }) => unknown)),
          missing: unique(unmatched.flatMap(({ missing }) => missing)),
        },
      },
    };
  }
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function shardOf({ path, report }: ReadReport): ShardReport {
  const { shard } = report.settings;
  if (shard === undefined) {
    throw new UsageError(
      `"${path}" is the report of no shard: it was made without --shard.`,
    );
  }
  const [index, count] = shard.split("/").map(Number);
  return { path, report, index: index!, count: count! };
}

/** Throws unless two reports can be of one run. */
function refuseOther(a: ShardReport, b: ShardReport): void {
  const facts: [what: string, of: (shard: ShardReport) => string][] = [
    ["suites", ({ report: { suite } }) => `${suite.version} (${suite.hash})`],
    ["numbers of shards", ({ count }) => `${count}`],
    [
      "tests",
      ({ report: { settings: { suite = "all", filters = [] } } }) =>
        [suite, ...filters].join(" "),
    ],
    [
      "repetitions",
      ({ report: { settings: { repeat = 1 } } }) => `${repeat}`,
    ],
    [
      "targets or revisions",
      ({ report }) =>
        report.targets.map(({ spec, uapi }) => `${spec} ${uapi}`).join(", "),
    ],
  ];
  for (const [what, of] of facts) refuse(what, of(a), of(b));
  for (const [place, target] of a.report.targets.entries()) {
    const other = b.report.targets[place]!;
    if (!isStarted(target) || !isStarted(other)) continue;
    refuse("implementations", nameOf(target), nameOf(other));
  }

  function refuse(what: string, one: string, two: string): void {
    if (one === two) return;
    throw new UsageError(
      `"${a.path}" and "${b.path}" are of different ${what}: ${one}, and ${two}.`,
    );
  }
}

function nameOf({ name, version }: JsonTarget): string {
  return `${name} ${version}`;
}

/** False for a target that gave no name, as it did not start there. */
function isStarted({ version }: JsonTarget): boolean {
  return version !== "";
}

/** What is true of all shards. */
function commonSettings(
  { shard: _, seed, ...common }: RunSettings,
  shards: readonly ShardReport[],
): RunSettings {
  const same = shards.every(({ report }) => report.settings.seed === seed);
  return { ...common, ...same && seed !== undefined && { seed } };
}

function originOf(shards: readonly ShardReport[], command: string): Origin {
  const [first] = shards.map(({ report }) => report.origin)
    .sort((a, b) => a.started < b.started ? -1 : 1);
  return { ...first!, command };
}

/** A sentence for each shard that is not there. */
function absent(shards: readonly ShardReport[]): string[] {
  const { count } = shards[0]!;
  const there = new Set(shards.map(({ index }) => index));
  const missing: string[] = [];
  for (let index = 1; index <= count; index++) {
    if (!there.has(index)) missing.push(`${index}/${count}`);
  }
  return missing.map((shard) => `shard ${shard} is missing with its tests`);
}

/** A sentence for each shard that is there more than once, and for tests that are in several. */
function repeated(shards: readonly ShardReport[]): string[] {
  const byIndex = Map.groupBy(shards, ({ index }) => index);
  const twice = [...byIndex].filter(([, same]) => same.length > 1)
    .map(([index, same]) => {
      const paths = same.map(({ path }) => path).join(", ");
      return `shard ${index}/${
        same[0]!.count
      } is there ${same.length} times: ${paths}`;
    });
  const places = Map.groupBy(
    [...byIndex.values()].flatMap(([shard]) =>
      shard!.report.targets.flatMap(({ spec, uapi, tests }) =>
        tests.map(({ id }) => ({ id, where: `${spec} ${uapi} ${id}` }))
      )
    ).filter(({ id }) => !id.startsWith(`${PROBE_FIXTURE}.`)),
    ({ where }) => where,
  );
  const inSeveral = [...places].filter(([, each]) => each.length > 1)
    .map(([where]) => `${where} is in several shards`);
  return [...twice, ...inSeveral];
}

/** The ids of shards in the order of the suite: each has every Nth test. Probes come first by themselves. */
function inTurns(shards: readonly (readonly TestResult[])[]): string[] {
  const ids = shards.map((results) =>
    results.filter(({ fixture }) => fixture !== PROBE_FIXTURE)
      .map(({ id }) => id)
  );
  const longest = Math.max(...ids.map(({ length }) => length));
  return unique(
    Array.from(
      { length: longest },
      (_, turn) => ids.flatMap((each) => each[turn] ?? []),
    ).flat(),
  );
}

/** A test of a report as a result. */
function resultOf(
  { program, cases, reference, rules, ...test }: JsonTarget["tests"][number],
  uapi: Column["uapi"],
  textOf: (path: string) => string | undefined,
): TestResult {
  const [fixture, ...names] = test.id.split(".");
  const about = {
    fixture: fixture!,
    variant: names.slice(0, -1).join(".") || undefined,
    program: program ?? undefined,
    reference,
    rules,
    uapi,
  };
  function one({ transcript: path, ...each }: JsonCase): TestResult {
    const text = path === undefined ? undefined : textOf(path);
    return {
      ...about,
      ...each,
      ...path !== undefined && {
        transcript: { path, text: text ?? `# in ${path}\n` },
      },
    };
  }
  return { ...one(test), ...cases && { cases: cases.map(one) } };
}
