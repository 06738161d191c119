// SPDX-License-Identifier: GPL-2.0-only

/**
 * The subcommand `merge FILE…`: reports of shards become one.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import type { Host } from "../lib/host.ts";
import { orUsageError, UsageError } from "../lib/usage_error.ts";
import type { JsonReport } from "../reports/formats/json.ts";
import { isGood } from "../reports/results.ts";
import type { Bundle } from "../reports/submission/bundle.ts";
import { mergeReports, type ReadReport } from "../running/merge.ts";
import { DEFAULT_TIMEOUT_MS } from "../running/run_one.ts";
import { parseReports } from "./options.ts";
import { reproduceCommands, shellWord } from "./reproduce.ts";
import { endReports, openReports } from "./writing.ts";

/** What `merge --help` prints. */
const HELP = `Makes one report of those of shards (--shard I/N).

Usage: deno task conformance merge FILE… [--report FORMAT[:PATH]]…

  FILE    what --report json or --report bundle wrote for a shard
  FORMAT  as for a run, but for coverage; default pretty

Reports of different suites, targets, revisions or selections are refused. What
is missing or there twice is a problem of the report that is written.

Exit codes: 0 all passed, were skipped, or failed as expected; 1 something did
not, or is missing; 2 the command line or a file is wrong.
`;

/** Runs the subcommand with its arguments; resolves to the exit code. Throws {@link UsageError}. */
export function runMerge(
  args: readonly string[],
  host: Host,
  command: string,
): number {
  const { _: names, help, report } = parseArgs([...args], {
    boolean: ["help"],
    string: ["report"],
    collect: ["report"],
    alias: { help: "h" },
    unknown(arg) {
      if (!arg.startsWith("-")) return true;
      throw new UsageError(`Unknown option "${arg}" of merge. Try --help.`);
    },
  });
  if (help) {
    host.out(HELP);
    return 0;
  }
  if (names.length === 0) {
    throw new UsageError(
      "merge needs reports of shards, as in merge 1.json 2.json.",
    );
  }
  const requests = parseReports(report as string[]);
  if (requests.some(({ format }) => format === "coverage")) {
    throw new UsageError("Reports do not have what --report coverage tells.");
  }
  const calls = new Map<string, string>();
  const reports = names.map((name) => read(String(name), host, calls));
  const readText = (path: string) => calls.get(path) ?? host.readText(path);
  const words = [command, "merge", ...args.map(shellWord)];
  const run = mergeReports(reports, words.join(" "), readText);
  const commands = reproduceCommands(command, {
    timeoutMs: DEFAULT_TIMEOUT_MS,
    expectations: undefined,
    isolate: "run",
  });
  const open = openReports(requests, host, commands, readText);
  for (const each of open) {
    each.begin?.(run);
    for (const column of run.columns) {
      for (const result of column.results) each.result?.(column.spec, result);
      each.column?.(column);
    }
  }
  endReports(open, run);
  return isGood(run) ? 0 : 1;
}

/** Reads a report, or the one in a bundle; `calls` takes the transcripts of that by their files. */
function read(
  path: string,
  host: Host,
  calls: Map<string, string>,
): ReadReport {
  return orUsageError(`Cannot read the report "${path}"`, () => {
    const text = host.readText(path);
    if (text === undefined) throw new Error("no such file");
    const value: Partial<Bundle & JsonReport> | null = JSON.parse(text);
    const report = value?.report ?? value as JsonReport | null;
    const isReport = typeof report?.suite === "object" &&
      Array.isArray(report.targets);
    if (!isReport) throw new Error("it is neither a JSON report nor a bundle");
    const files = pathsIn(report);
    for (const { spec, uapi, id, text } of value?.transcripts ?? []) {
      const file = files.get(`${spec} ${uapi} ${id}`);
      if (file !== undefined) calls.set(file, text);
    }
    return { path, report };
  });
}

/** The files of transcripts by target and test. */
function pathsIn({ targets }: JsonReport): Map<string, string> {
  return new Map(
    targets.flatMap(({ spec, uapi, tests }) =>
      tests.flatMap((test) => [test, ...test.cases ?? []])
        .flatMap(({ id, transcript }) =>
          transcript === undefined
            ? []
            : [[`${spec} ${uapi} ${id}`, transcript] as const]
        )
    ),
  );
}
