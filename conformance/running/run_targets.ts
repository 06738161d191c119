// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs the selected tests on all targets.
 *
 * @module
 */

import type { Test } from "../../selftests/harness/harness.ts";
import { verdictIds } from "../../selftests/harness/table.ts";
import type { Host } from "../lib/host.ts";
import type { Options } from "./options.ts";
import { type PlannedColumn, starting } from "./plan.ts";
import { ProgressLine } from "./progress.ts";
import type { BegunRun, Report } from "../reports/reports.ts";
import {
  type Column,
  isFailure,
  nothingPassed,
  refusedSkips,
  type RevisionRun,
  type Run,
  type TestResult,
} from "../reports/results.ts";
import { Interrupted } from "../lib/interrupted.ts";
import { givenRun } from "./given.ts";
import { aboutTest } from "./run_one.ts";
import { INTERRUPTED, runTests } from "./run_on_target.ts";
import { mergeRuns, scheduleTests } from "./schedule.ts";
import { TargetStartError } from "../targets/test_target.ts";
import { Coverage } from "../api_coverage/coverage.ts";
import { covered } from "../api_coverage/covered_target.ts";
import { unknownPairs } from "../api_coverage/measure.ts";
import { TranscriptFolder } from "../traces/transcript_folder.ts";

/** Ends a run that is to go no further than the first failure. */
const STOPPED = "Stopped after the first failure";

/** A target in a revision, and the suite there. */
export interface SuiteColumn extends Pick<Column, "spec" | "uapi"> {
  /** The ids of all tests of the suite and of their cases, also of those that were not selected. */
  readonly ids: readonly string[];
}

/** Who knows what is expected to fail; the folder above has it. */
export interface Judge {
  /** A result as it counts: a failure may be known. */
  judge(spec: string, result: TestResult): TestResult;
  /** A sentence for each thing that is known and not true. */
  problems(columns: readonly SuiteColumn[]): string[];
}

/** What a run is made of. */
export interface RunContext extends BegunRun {
  /** How to run. */
  readonly options: Options;
  /** Where output goes. */
  readonly host: Host;
  /** What is known to fail. */
  readonly expectations: Judge;
  /** The reports. */
  readonly reports: readonly Report[];
  /** Ends the run before its end, with an {@link Interrupted} as the reason. */
  readonly interruption: AbortSignal;
}

/** What a run came to. */
export interface RunOutcome {
  /** The run. */
  readonly run: Run;
  /** The results as the targets gave them, in the order of the columns. */
  readonly raw: readonly (readonly TestResult[])[];
  /** The first of several targets that did not start. */
  readonly startError: TargetStartError | undefined;
}

/** Everything that is planned, to be run once. */
export class AllRunner {
  readonly #planned: readonly PlannedColumn[];
  readonly #context: RunContext;
  readonly #progress: ProgressLine;
  readonly #transcripts: TranscriptFolder;
  /** What each column came to in the passes that are over. */
  readonly #columns: (Column | undefined)[];
  readonly #raw: TestResult[][];
  /** Which part of the API each column reached, where a report asks for that. */
  readonly #coverage: readonly (Coverage | undefined)[];
  #passes = 0;
  #failed = false;
  #startError: TargetStartError | undefined;

  /** Nothing runs yet. */
  constructor(planned: readonly PlannedColumn[], context: RunContext) {
    const { host, options } = context;
    this.#planned = planned;
    this.#context = context;
    this.#progress = new ProgressLine(
      host.errIsTerminal ? (text) => host.err(text) : undefined,
    );
    this.#transcripts = new TranscriptFolder(options.transcripts, host);
    this.#columns = planned.map(() => undefined);
    this.#raw = planned.map(() => []);
    const isAsked = options.reports.some(({ format }) => format === "coverage");
    this.#coverage = planned.map(({ target, uapi }) =>
      isAsked && !target.results ? new Coverage(uapi) : undefined
    );
  }

  /**
   * Runs it all. Rejects with a {@link TargetStartError} where there is only
   * one target and it does not start.
   */
  async run(): Promise<RunOutcome> {
    const { options, expectations, reports, interruption } = this.#context;
    const { suite, settings, origin } = this.#context;
    const began = performance.now();
    for (const report of reports) report.begin?.({ suite, settings, origin });
    const again = options.untilFail && options.repeat === undefined;
    try {
      do {
        await this.#pass();
        this.#passes++;
      } while (again && !this.#failed && !interruption.aborted);
    } finally {
      this.#progress.clear();
    }
    const columns = this.#columns.map((column) => column!);
    const known = this.#planned.map(({ target, uapi, suite }, index) => ({
      spec: target.spec,
      uapi,
      ids: [...verdictIds(suite), ...this.#raw[index]!.map(({ id }) => id)],
    }));
    const run: Run = {
      suite,
      settings,
      origin,
      durationMs: Math.round(performance.now() - began),
      columns,
      problems: [
        ...options.updateExpectations ? [] : expectations.problems(known),
        ...columns.flatMap(nothingPassed),
        ...columns.flatMap((each) => refusedSkips(each, options.noSkip)),
        ...columns.flatMap(unknownPairs),
      ],
    };
    return { run, raw: this.#raw, startError: this.#startError };
  }

  /** Runs all columns once. */
  async #pass(): Promise<void> {
    for (const [index, planned] of this.#planned.entries()) {
      const column = await this.#runColumn(planned, index);
      for (const report of this.#context.reports) report.column?.(column);
      const before = this.#columns[index]?.results ?? [];
      const ids = planned.tests.map(({ id }) => id);
      const results = mergeRuns([...before, ...column.results], ids);
      this.#columns[index] = { ...column, results };
    }
  }

  async #runColumn(planned: PlannedColumn, index: number): Promise<Column> {
    const { spec } = planned.target;
    if (this.#failed && this.#context.options.failFast) {
      return notStarted(planned, STOPPED, "the run ended early");
    }
    /** What became of the results that reports were told of. */
    const told = new Map<TestResult, TestResult>();
    let run: RevisionRun;
    try {
      this.#context.interruption.throwIfAborted();
      if (planned.startError) throw planned.startError;
      run = planned.target.results
        ? givenRun(planned.target.results, planned)
        : await this.#runTests(planned, index, (result) => {
          const judged = this.#judge(spec, result);
          told.set(result, judged);
          return this.#tell(spec, judged);
        });
    } catch (error) {
      if (error instanceof Interrupted) {
        return notStarted(planned, error.message, INTERRUPTED);
      }
      const alone = this.#planned.length === 1;
      if (alone || !(error instanceof TargetStartError)) throw error;
      this.#startError ??= error;
      this.#failed = true;
      return notStarted(planned, error.message, "no working target");
    }
    this.#raw[index]!.push(...run.results);
    const results = run.results.map((result) => {
      const known = told.get(result);
      if (known) return known;
      const judged = this.#judge(spec, result);
      this.#tell(spec, judged);
      return judged;
    });
    const reached = this.#coverage[index]?.reached;
    return { ...run, results, spec, ...reached && { reached } };
  }

  #runTests(
    { target, uapi, tests }: PlannedColumn,
    index: number,
    onResult: (result: TestResult) => string | undefined,
  ): Promise<RevisionRun> {
    const { options, settings } = this.#context;
    const { timeoutMs, isolate, jobs, repeat = 1 } = options;
    // A pass of its own order each, decided by the one seed.
    const seed = settings.seed === undefined
      ? undefined
      : settings.seed + this.#passes;
    const schedule: Test[] = scheduleTests(tests, { repeat, seed });
    return runTests(uapi, schedule, {
      interruption: this.#context.interruption,
      timeoutMs,
      isolate,
      jobs: target.inProcess ? 1 : jobs,
      recording: target.onlyTest !== undefined,
      open: async () => {
        const open = () => target.open(uapi, options);
        const started = await starting(target, open);
        const coverage = this.#coverage[index];
        return coverage ? covered(started, coverage) : started;
      },
      onTest: ({ id }, done) =>
        this.#progress.show(this.#progressText(
          target.spec,
          `${uapi} ${done + 1}/${schedule.length} ${id}`,
        )),
      onResult,
    });
  }

  #progressText(spec: string, text: string): string {
    const { targets } = this.#context.options;
    const pass = this.#passes > 0 ? `pass ${this.#passes + 1}, ` : "";
    return `${pass}${targets.length > 1 ? `${spec} ` : ""}${text}`;
  }

  /** What expectations make of a result; the calls of a failure are saved. */
  #judge(spec: string, result: TestResult): TestResult {
    return this.#saveCalls(
      spec,
      this.#context.expectations.judge(spec, result),
    );
  }

  #saveCalls(spec: string, result: TestResult): TestResult {
    const { transcript, ...rest } = result;
    const saved = transcript && isFailure(result.status)
      ? this.#transcripts.save(spec, result)
      : rest;
    const cases = result.cases?.map((each) => this.#saveCalls(spec, each));
    return cases ? { ...saved, cases } : saved;
  }

  /** Tells reports of a result. Returns why the run is to end, if it is. */
  #tell(spec: string, result: TestResult): string | undefined {
    for (const report of this.#context.reports) report.result?.(spec, result);
    if (!isFailure(result.status)) return undefined;
    this.#failed = true;
    return this.#context.options.failFast ? STOPPED : undefined;
  }
}

/** A column whose target was not started. */
function notStarted(
  { target, uapi, tests }: PlannedColumn,
  stopped: string,
  reason: string,
): Column {
  return {
    spec: target.spec,
    uapi,
    target: "(not started)",
    targetVersion: "",
    results: tests.map((test) => ({
      ...aboutTest(test, { uapi }),
      status: "notrun",
      durationMs: 0,
      reason,
      message: stopped,
    })),
    stopped,
  };
}
