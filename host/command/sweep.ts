// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a program again and again, with a further step of the kernel failing
 * each time.
 *
 * @module
 */

import { printable } from "../../conformance/lib/printable.ts";
import { count } from "../../impl/inspect/units.ts";
import type { FailingStep, Step } from "../watch/failing_step.ts";
import { describeEnd, type ProgramStatus } from "../watch/status.ts";

/** What a run came to. */
export interface SweptRun {
  /** How the program ended; undefined if it took too long. */
  readonly status: ProgramStatus | undefined;
  /** The steps it came to, and the one that failed. */
  readonly step: FailingStep;
  /** What it left behind. */
  readonly left: readonly string[];
  /** What the kernel warned about. */
  readonly warnings: readonly string[];
}

/** Runs the program while a step fails; none if that is infinite. */
export type RunOnce = (failNth: number) => Promise<SweptRun>;

/** What a sweep came to. */
export interface SweepResult {
  /** Runs that hung, were ended by a signal or made the kernel warn. */
  readonly bad: number;
  /** Runs that left something behind. */
  readonly left: number;
}

/** Sweeps; `write` takes the report line by line. */
export async function sweep(
  runOnce: RunOnce,
  write: (line: string) => void,
): Promise<SweepResult> {
  const report = new Report(write);
  const whole = await runOnce(Infinity);
  report.begin(whole);
  for (const { number } of whole.step.steps) {
    report.add(number, await runOnce(number));
  }
  return report.end();
}

/** The report, as it grows. */
class Report {
  readonly #write: (line: string) => void;
  readonly #ends = new Map<string, number>();
  #widths: readonly number[] = [];
  #bad = 0;
  #left = 0;

  constructor(write: (line: string) => void) {
    this.#write = (line) => write(`${printable(line).trimEnd()}\n`);
  }

  /** Tells of the run in which nothing failed, whose steps will. */
  begin({ status, step: { steps }, left }: SweptRun): void {
    this.#write(
      `${count(steps.length, "step")} can fail; without a failure the program ${
        endOf(status)
      }`,
    );
    this.#tellLeft(left);
    this.#widths = [
      String(steps.at(-1)?.number ?? 0).length,
      widest(steps, ({ name }) => name),
      widest(steps, ({ call }) => call),
      "went on".length,
    ];
  }

  /** Tells of a run. */
  add(number: number, { status, step, left, warnings }: SweptRun): void {
    const { failed, outcome } = step;
    const [first, ...rest] = failed === undefined
      ? [number, "not reached", "", ""]
      : [failed.number, failed.name, failed.call, outcome];
    const cells = [
      String(first).padStart(this.#widths[0]!),
      ...rest.map((text, i) => text.padEnd(this.#widths[i + 1]!)),
      endOf(status),
    ];
    this.#write(cells.join("  "));
    for (const what of warnings) this.#write(`    the kernel warned: ${what}`);
    this.#tellLeft(left);
    const end = endOf(status);
    this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
    const bad = status === undefined || status.signal !== null ||
      warnings.length > 0;
    if (bad) this.#bad++;
    if (left.length > 0) this.#left++;
  }

  /** Sums up. */
  end(): SweepResult {
    const ends = [...this.#ends].map(([end, runs]) => `${runs} ${end}`);
    const runs = [...this.#ends.values()].reduce((sum, n) => sum + n, 0);
    if (runs > 0) this.#write(`${count(runs, "run")}: ${ends.join(", ")}`);
    return { bad: this.#bad, left: this.#left };
  }

  #tellLeft(left: readonly string[]): void {
    for (const what of left) this.#write(`    left: ${what}`);
  }
}

function endOf(status: ProgramStatus | undefined): string {
  return status === undefined ? "hung" : describeEnd(status);
}

function widest(
  steps: readonly Step[],
  textOf: (step: Step) => string,
): number {
  return Math.max(0, ...steps.map((step) => textOf(step).length));
}
