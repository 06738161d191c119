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
import { goldenPrograms } from "./golden_programs.ts";

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

/** Bytes of memory of the machine that golden traces are played on: as much as most tests use. */
const MUCH_MEMORY = 2 ** 29;

/** A model with a machine that has what is needed. */
function machineOf(
  { Model }: typeof impl,
  { uapi, needs }: FuzzOrder,
  memory: number,
): impl.Model {
  class Machine extends Model {
    override spawn(): number {
      return super.spawn(needs);
    }
  }
  return new Machine(uapi, { memory });
}

/** The model as it is, and the mutant as a side. */
interface Pair {
  readonly model: impl.Model;
  readonly side: Side;
}

/** Both with as much memory. */
async function pairOf(order: FuzzOrder, memory: number): Promise<Pair> {
  const url = new URL("selftests/target/impl_target.ts", SECOND_ROOT);
  const mutant = machineOf(await import(url.href), order, memory);
  const side: Side = {
    name: "mutant",
    uapi: order.uapi,
    capabilities: mutant.info.capabilities,
    run(program) {
      const ran = runOnModel(mutant, program);
      // Its own machine found itself in a state that cannot be.
      const isBroken = ran.outcomes.length < program.length;
      return Promise.resolve(
        isBroken ? { failed: "error", message: ran.problems.join() } : ran,
      );
    },
    close: () => Promise.resolve(),
  };
  return { model: machineOf(impl, order, memory), side };
}

/** A program, and what of the run it is. */
interface Numbered {
  readonly profile: string;
  readonly programs: number;
  readonly calls: number;
}

/** Which programs there were. */
class Count {
  readonly numbers = new Map<string, Numbered>();
  programs = 0;
  calls = 0;

  /** Counts a program of a profile. */
  add(profile: string, { seed, program }: Sample): void {
    if (this.programs % PROGRAMS_PER_NOTE === 0) {
      const { programs, calls } = this;
      tell({ event: "begin", processorMs: processorMs(), programs, calls });
    }
    this.programs++;
    this.calls += program.length;
    const { programs, calls } = this;
    this.numbers.set(seed, { profile, programs, calls });
  }
}

/** What stands for a profile where a program is that of a golden trace. */
const GOLDEN = "golden";

/** Makes the next program, of which it says what it is of; undefined when there are no more. */
type Source = () => Promise<
  { readonly profile: string; readonly sample: Sample } | undefined
>;

/** The programs of golden traces. */
async function goldenSource(
  order: FuzzOrder,
  { model }: Pair,
): Promise<Source> {
  const isOwn = order.needs.includes("type1_container");
  const programs = await goldenPrograms(order.uapi, isOwn);
  let number = 0;
  return () => {
    const program = programs[number];
    if (program === undefined) return Promise.resolve(undefined);
    const ours = runOnModel(model, program);
    const seed = `${GOLDEN} ${number++}`;
    const sample = { program, ours, seed, reached: [] };
    return Promise.resolve({ profile: GOLDEN, sample });
  };
}

/** Random programs of all profiles in turn. */
function randomSource(
  { uapi, seed, profiles, length }: FuzzOrder,
  { model, side }: Pair,
  totals: Totals,
): Source {
  // What programs of one profile reached is changed for the others too.
  const guide = new Guide({ uapi, length });
  const all = profiles.map((profile, i) => ({
    profile,
    next: randomPrograms({
      model,
      profile: PROFILES[profile]!,
      length,
      seed: { run: seed + i, only: undefined },
      count: Infinity,
      target: side,
      totals,
      guide,
    }),
  }));
  let number = 0;
  return async () => {
    const { profile, next } = all[number++ % all.length]!;
    return { profile, sample: (await next())! };
  };
}

async function run(order: FuzzOrder): Promise<void> {
  const { uapi, limitMs } = order;
  const count = new Count();
  const totals = new Totals(uapi, () => performance.now());
  // There is one fault, whatever it shows itself by.
  const findings = new Findings(() => "the fault");
  /** Fuzzes with the programs of a source. */
  async function fuzzWith(source: Source, { model, side }: Pair) {
    await fuzz({
      async next() {
        const next = await source();
        if (next) count.add(next.profile, next.sample);
        return next?.sample;
      },
      ours: (program) => runOnModel(model, program),
      sides: [side],
      judge: byComparison(new Masks(uapi)),
      totals,
      findings,
      shrink: (program, isStill, outcomes) =>
        shrink(program, isStill, { uapi, outcomes }),
      onCause({ found, seed }) {
        const { program, difference } = found;
        tell({
          event: "found",
          ...count.numbers.get(seed)!,
          seed,
          processorMs: processorMs(),
          cause: causeOf(program, difference, uapi),
          size: program.length,
          program: formatProgram(program, uapi),
          text: difference.text,
        });
        // What else it has is of no interest.
        Deno.exit();
      },
    }, () => processorMs() > limitMs);
  }
  const [large, small] = [
    await pairOf(order, MUCH_MEMORY),
    await pairOf(order, MACHINE.memory),
  ];
  const golden = await goldenSource(order, large);
  tell({ event: "loaded" });
  await fuzzWith(golden, large);
  await fuzzWith(randomSource(order, small, totals), small);
  const { programs, calls } = count;
  tell({ event: "end", programs, calls, processorMs: processorMs() });
}

if (import.meta.main) await run(JSON.parse(Deno.args[0]!) as FuzzOrder);
