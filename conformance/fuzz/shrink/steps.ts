// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs with fewer steps. What refers to steps and processes by their
 * numbers goes on to name the same ones.
 *
 * @module
 */

import type { Program, Step } from "../../../selftests/target/program.ts";
import { withoutPatch, withPatch, withValue } from "./patched.ts";

/** The steps that make processes: that of process 1, of process 2, and so on. */
export function forksOf(program: Program): number[] {
  return [...program.keys()].filter((i) =>
    program[i]!.call.verb.returns === "process"
  );
}

/** The numbers of processes when some steps are gone; undefined for one that nobody makes then. */
function renumbering(
  program: Program,
  gone: ReadonlySet<number>,
): (process: number) => number | undefined {
  const forks = forksOf(program);
  return (process) => {
    if (process > 0 && gone.has(forks[process - 1]!)) return undefined;
    return process -
      forks.slice(0, Math.max(process - 1, 0)).filter((i) => gone.has(i))
        .length;
  };
}

/** The processes that a step is about: who makes it, and whom it names. */
function processesIn({ process, call: { verb, args } }: Step): number[] {
  const named = verb.args.flatMap(([, kind], i) =>
    kind === "process" ? [args[i] as number] : []
  );
  return [process, ...named];
}

/** Steps, and with them those of processes that nobody makes then. */
function withProcesses(
  program: Program,
  steps: Iterable<number>,
): Set<number> {
  const gone = new Set(steps);
  const renumber = renumbering(program, gone);
  // A fork comes before all that its process does, so that one look is enough.
  for (const [i, step] of program.entries()) {
    const isLost = processesIn(step)
      .some((process) => renumber(process) === undefined);
    if (isLost) gone.add(i);
  }
  return gone;
}

/** Steps, and with them all that take a value of theirs, or of one that does. */
export function withDependents(
  program: Program,
  steps: Iterable<number>,
): Set<number> {
  const gone = new Set(steps);
  for (const [i, { patches = [] }] of program.entries()) {
    if (patches.some(({ from }) => gone.has(from.step))) gone.add(i);
  }
  return gone;
}

/**
 * The program without some steps, and without those of processes that nobody
 * makes then. Where another step took a value of theirs, there is what the
 * reference comes to without it: what it adds, or 0.
 */
export function without(program: Program, steps: Iterable<number>): Program {
  const gone = withProcesses(program, steps);
  const renumber = renumbering(program, gone);
  const places = new Map<number, number>();
  for (const i of program.keys()) {
    if (!gone.has(i)) places.set(i, places.size);
  }
  return program.filter((_, i) => !gone.has(i))
    .map((step) => renumbered(moved(step, places), (each) => renumber(each)!));
}

/** A step whose references name steps by other numbers, or are gone. */
function moved(step: Step, places: ReadonlyMap<number, number>): Step {
  let now = step;
  for (const patch of step.patches ?? []) {
    const { from } = patch;
    const place = places.get(from.step);
    now = place === undefined
      ? withValue(withoutPatch(now, patch), patch, from.plus ?? 0n)
      : withPatch(now, patch, { ...patch, from: { ...from, step: place } });
  }
  return now;
}

/**
 * The program without a fork: the calls of the process that it makes are made
 * by the one that forks, and it does not end any more.
 */
export function joined(program: Program, fork: number): Program {
  const parent = program[fork]!.process;
  const child = forksOf(program).indexOf(fork) + 1;
  const join = (process: number) => process === child ? parent : process;
  const gone = [...program.keys()].filter((i) => {
    const { process, call } = program[i]!;
    return i === fork || process === child && call.verb.ends;
  });
  return without(program.map((step) => renumbered(step, join)), gone);
}

/** A step with other numbers for the processes that it names. */
function renumbered(step: Step, renumber: (process: number) => number): Step {
  const { verb, args } = step.call;
  const other = args.map((arg, i) =>
    verb.args[i]![1] === "process" ? renumber(arg as number) : arg
  );
  return {
    ...step,
    process: renumber(step.process),
    call: { verb, args: other },
  };
}

/**
 * The program with one step in the place of two: the earlier one, or what the
 * later one does in its place where it takes no value from between them. What
 * took a value of either one takes it from that step.
 */
export function united(
  program: Program,
  earlier: number,
  later: number,
): Program[] {
  const step = program[later]!;
  const isMovable = (step.patches ?? []).every(({ from }) =>
    from.step < earlier
  );
  const programs = isMovable
    ? [program, program.with(earlier, step)]
    : [program];
  return programs.map((program) =>
    without(program.map((step) => redirected(step, later, earlier)), [later])
  );
}

/** A step that takes the values of one step from another one. */
function redirected(step: Step, from: number, to: number): Step {
  if (step.patches === undefined) return step;
  const patches = step.patches.map((patch) =>
    patch.from.step === from
      ? { ...patch, from: { ...patch.from, step: to } }
      : patch
  );
  return { ...step, patches };
}

/**
 * The program with a step at a later place; undefined where others need it
 * before, and for what makes or ends processes.
 */
export function movedTo(
  program: Program,
  from: number,
  to: number,
): Program | undefined {
  const step = program[from]!;
  const { returns, ends } = step.call.verb;
  const places = [...program.keys()];
  places.splice(to, 0, ...places.splice(from, 1));
  const isNeeded = program.slice(from, to + 1).some(({ patches = [] }) =>
    patches.some((patch) => patch.from.step === from)
  );
  if (returns === "process" || ends || isNeeded) return undefined;
  const placeOf = new Map(places.map((old, now) => [old, now]));
  return places.map((old) => moved(program[old]!, placeOf));
}
