// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fuzzes a mutant: the model as it is makes the programs, and the mutant, which
 * is among the modules of the second root, is the other side. Writes what
 * happens to standard output, a {@link FuzzEvent} as JSON on each line. It is
 * a program of its own because a mutant can hang it.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import * as impl from "../../../selftests/target/impl_target.ts";
import { Masks } from "../../fuzz/compare/masks.ts";
import { PROFILES } from "../../fuzz/generate/generate.ts";
import { Guide } from "../../fuzz/guide/guide.ts";
import { formatProgram } from "../../fuzz/program/text.ts";
import { Findings } from "../../fuzz/run/findings.ts";
import { byComparison, fuzz, type Sample } from "../../fuzz/run/fuzzer.ts";
import { MACHINE, runOnModel } from "../../fuzz/run/on_model.ts";
import type { Side } from "../../fuzz/run/side.ts";
import { randomPrograms } from "../../fuzz/run/source.ts";
import { Totals } from "../../fuzz/run/totals.ts";
import { causeOf } from "../../fuzz/shrink/cause.ts";
import { shrink } from "../../fuzz/shrink/shrink.ts";
import { processorMs } from "../../lib/processor_time.ts";
import { SECOND_ROOT } from "../patch.ts";

/** What the child is to do: its only argument, as JSON. */
export interface FuzzOrder {
  /** The revision. */
  readonly uapi: RevisionName;
  /** What the machine must have: what the test needs that notices the mutant. */
  readonly needs: readonly Need[];
  /** The run; that of each profile is one more than the last one's. */
  readonly seed: number;
  /** Profiles, of which each makes a program in turn. */
  readonly profiles: readonly string[];
  /** Calls of a program. */
  readonly length: number;
  /** Milliseconds of processor time until it gives up. */
  readonly limitMs: number;
}

/** A difference that was found. */
export interface FoundDifference {
  /** The profile whose program showed it. */
  readonly profile: string;
  /** What repeats that program. */
  readonly seed: string;
  /** How many programs, with that one, and how many calls they had. */
  readonly programs: number;
  readonly calls: number;
  /** Milliseconds of processor time since the start. */
  readonly processorMs: number;
  /** The cause of the smallest program. */
  readonly cause: string;
  /** How many calls that has, and what they are. */
  readonly size: number;
  readonly program: string;
  /** The difference in a line. */
  readonly text: string;
}

/** What the child tells. */
export type FuzzEvent =
  /** All modules are loaded. */
  | { readonly event: "loaded" }
  /** Programs begin, when it has had so many milliseconds of processor time. */
  | {
    readonly event: "begin";
    readonly processorMs: number;
    readonly programs: number;
    readonly calls: number;
  }
  /** A difference. */
  | ({ readonly event: "found" } & FoundDifference)
  /** It gives up. */
  | {
    readonly event: "end";
    readonly programs: number;
    readonly calls: number;
    readonly processorMs: number;
  };

/** How many programs are run between two notes that it goes on. */
const PROGRAMS_PER_NOTE = 50;

function tell(event: FuzzEvent): void {
  console.log(JSON.stringify(event));
}

/** A model with a small machine that has what is needed. */
function machineOf(
  { Model }: typeof impl,
  { uapi, needs }: FuzzOrder,
): impl.Model {
  class Machine extends Model {
    override spawn(): number {
      return super.spawn(needs);
    }
  }
  return new Machine(uapi, { memory: MACHINE.memory });
}

/** The mutant as a side. */
async function mutantSide(order: FuzzOrder): Promise<Side> {
  const url = new URL("selftests/target/impl_target.ts", SECOND_ROOT);
  const model = machineOf(await import(url.href), order);
  const { uapi } = order;
  return {
    name: "mutant",
    uapi,
    capabilities: model.info.capabilities,
    run(program) {
      const ran = runOnModel(model, program);
      // Its own machine found itself in a state that cannot be.
      const isBroken = ran.outcomes.length < program.length;
      return Promise.resolve(
        isBroken ? { failed: "error", message: ran.problems.join() } : ran,
      );
    },
    close: () => Promise.resolve(),
  };
}

/** A program, and what of the run it is. */
interface Numbered {
  readonly profile: string;
  readonly programs: number;
  readonly calls: number;
}

/** Programs of all profiles in turn, and which they are. */
class Source {
  readonly numbers = new Map<string, Numbered>();
  programs = 0;
  calls = 0;
  readonly #next: readonly {
    readonly profile: string;
    readonly next: () => Promise<Sample | undefined>;
  }[];

  constructor(
    { uapi, seed, profiles, length }: FuzzOrder,
    model: impl.Model,
    target: Side,
    totals: Totals,
  ) {
    // What programs of one profile reached is changed for the others too.
    const guide = new Guide({ uapi, length });
    this.#next = profiles.map((profile, i) => ({
      profile,
      next: randomPrograms({
        model,
        profile: PROFILES[profile]!,
        length,
        seed: { run: seed + i, only: undefined },
        count: Infinity,
        target,
        totals,
        guide,
      }),
    }));
  }

  async next(): Promise<Sample> {
    if (this.programs % PROGRAMS_PER_NOTE === 0) {
      const { programs, calls } = this;
      tell({ event: "begin", processorMs: processorMs(), programs, calls });
    }
    const { profile, next } = this.#next[this.programs % this.#next.length]!;
    const sample = (await next())!;
    this.programs++;
    this.calls += sample.program.length;
    const { programs, calls } = this;
    this.numbers.set(sample.seed, { profile, programs, calls });
    return sample;
  }
}

async function run(order: FuzzOrder): Promise<void> {
  const { uapi, limitMs } = order;
  const model = machineOf(impl, order);
  const side = await mutantSide(order);
  const totals = new Totals(uapi, () => performance.now());
  const findings = new Findings((program, difference) =>
    causeOf(program, difference, uapi)
  );
  tell({ event: "loaded" });
  const source = new Source(order, model, side, totals);
  await fuzz({
    next: () => source.next(),
    ours: (program) => runOnModel(model, program),
    sides: [side],
    judge: byComparison(new Masks(uapi)),
    totals,
    findings,
    shrink: (program, isStill) => shrink(program, isStill, { uapi }),
    onCause({ cause, found, seed }) {
      const { program, difference } = found;
      tell({
        event: "found",
        ...source.numbers.get(seed)!,
        seed,
        processorMs: processorMs(),
        cause,
        size: program.length,
        program: formatProgram(program, uapi),
        text: difference.text,
      });
      // What else it has is of no interest.
      Deno.exit();
    },
  }, () => processorMs() > limitMs);
  const { programs, calls } = source;
  tell({ event: "end", programs, calls, processorMs: processorMs() });
}

if (import.meta.main) await run(JSON.parse(Deno.args[0]!) as FuzzOrder);
