// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fuzzes mutants, one after the other: the model as it is makes the programs,
 * and the mutant, which is among the modules of a root of its own, is the other
 * side. Writes what happens to standard output, a {@link FuzzEvent} as JSON on
 * each line. It is a program of its own because a mutant can hang it.
 *
 * @module
 */

import { Masks } from "../../fuzz/compare/masks.ts";
import { formatProgram } from "../../fuzz/program/text.ts";
import { Findings } from "../../fuzz/run/findings.ts";
import { byComparison, fuzz, type Judge } from "../../fuzz/run/fuzzer.ts";
import { MACHINE, runOnModel } from "../../fuzz/run/on_model.ts";
import { Totals } from "../../fuzz/run/totals.ts";
import { causeOf } from "../../fuzz/shrink/cause.ts";
import { shrink } from "../../fuzz/shrink/shrink.ts";
import { processorMs } from "../../lib/processor_time.ts";
import type {
  Effort,
  FoundDifference,
  FuzzEvent,
  FuzzHow,
  FuzzOrder,
  Suspect,
} from "./events.ts";
import { MUCH_MEMORY } from "./golden_programs.ts";
import { type Pair, pairOf } from "./pair.ts";
import { goldenSource, randomSource, type Source } from "./sources.ts";

/** How many programs are run between two notes that it goes on. */
const PROGRAMS_PER_NOTE = 50;
/** Calls of a program that is small enough: no smaller one is looked for. */
const FEW_CALLS = 8;
/** How many programs are made small until one of them is. */
const MOST_FINDINGS = 6;

/** A mutant that is being fuzzed. */
class Trial {
  /** The smallest of all programs that showed the fault. */
  found: FoundDifference | undefined;
  readonly #suspect: Suspect;
  readonly #start = processorMs();
  /** Each program that was made, by its seed. */
  readonly #efforts = new Map<string, Effort & { readonly profile: string }>();
  #programs = 0;
  #calls = 0;
  #findings = 0;

  constructor(suspect: Suspect) {
    this.#suspect = suspect;
    this.#note();
  }

  /** What was done so far. */
  get effort(): Effort {
    return {
      programs: this.#programs,
      calls: this.#calls,
      processorMs: processorMs() - this.#start,
    };
  }

  /** Whether no more programs are needed. */
  get isOver(): boolean {
    if (this.#findings === MOST_FINDINGS) return true;
    return this.found !== undefined && this.found.size <= FEW_CALLS;
  }

  /** Tells that it goes on. */
  #note(): void {
    tell({ event: "note", childMs: processorMs(), ...this.effort });
  }

  /** Fuzzes with the programs of a source, until so many milliseconds are over. */
  async fuzz(
    source: Source,
    { model, side }: Pair,
    totals: Totals,
    limitMs: number,
  ): Promise<void> {
    const { uapi } = this.#suspect;
    const compared = byComparison(new Masks(uapi));
    const judge: Judge = (...all) => this.isOver ? undefined : compared(...all);
    await fuzz({
      next: () => this.#next(source),
      ours: (program) => runOnModel(model, program),
      sides: [side],
      judge,
      totals,
      // There is one fault, whatever it shows itself by; each program is made small by itself.
      findings: new Findings(() => `finding ${this.#findings}`),
      shrink: (program, isStill, outcomes) =>
        shrink(program, isStill, { uapi, outcomes }),
      onCause: ({ found: { program, difference }, seed }) =>
        this.#add({
          ...this.#efforts.get(seed)!,
          seed,
          cause: causeOf(program, difference, uapi),
          size: program.length,
          program: formatProgram(program, uapi),
          text: difference.text,
        }),
    }, () => this.isOver || this.effort.processorMs > limitMs);
  }

  /** The next program of a source. */
  async #next(source: Source) {
    const { value } = await source.next();
    if (!value) return undefined;
    const { profile, sample } = value;
    if (this.#programs % PROGRAMS_PER_NOTE === 0) this.#note();
    this.#programs++;
    this.#calls += sample.program.length;
    this.#efforts.set(sample.seed, { profile, ...this.effort });
    return sample;
  }

  /** Keeps the smallest. */
  #add(found: FoundDifference): void {
    this.#findings++;
    if (!this.found || found.size < this.found.size) this.found = found;
    this.#note();
  }
}

function tell(event: FuzzEvent): void {
  console.log(JSON.stringify(event));
}

/**
 * Fuzzes a mutant: with golden traces, and if those show nothing with random
 * programs, on one machine after the other.
 */
async function run(suspect: Suspect, how: FuzzHow): Promise<void> {
  const { limitMs } = how;
  const large = await pairOf(suspect, MUCH_MEMORY);
  const trial = new Trial(suspect);
  const totals = new Totals(suspect.uapi, () => performance.now());
  await trial.fuzz(goldenSource(suspect), large, totals, limitMs);
  const { rounds } = suspect;
  for (const [i, { needs, frameOrder }] of rounds.entries()) {
    if (trial.found) break;
    const { memory } = MACHINE;
    const pair = await pairOf({ ...suspect, needs }, { memory, frameOrder });
    const source = randomSource(suspect, how, pair, totals);
    await trial.fuzz(source, pair, totals, limitMs * (i + 1) / rounds.length);
  }
  const { processorMs } = trial.effort;
  if (trial.found) tell({ event: "found", ...trial.found, processorMs });
  else tell({ event: "end", ...trial.effort });
}

if (import.meta.main) {
  const { suspects, ...how } = JSON.parse(Deno.args[0]!) as FuzzOrder;
  for (const suspect of suspects) await run(suspect, how);
}
