// SPDX-License-Identifier: GPL-2.0-only

/**
 * Makes a program smaller, as long as it still shows what it was kept for:
 * fewer processes, fewer steps, then simpler references and values, alone and
 * by twos, and in the end what can be left out when the same is done in another
 * way.
 *
 * @module
 */

import { NEWEST, type RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Outcome,
  Program,
  Step,
} from "../../../selftests/target/program.ts";
import { inlined } from "./inlined.ts";
import { linked } from "./linked.ts";
import { withValue } from "./patched.ts";
import { isSame, numbersIn, type Place, placesOf } from "./places.ts";
import { forksOf, joined, united, withDependents, without } from "./steps.ts";
import { simplerNumbers } from "./values.ts";
import { otherWays } from "./ways.ts";

/** How many simpler numbers are put into several places. */
const MOST_SIMPLER = 3;

/** How far to go. */
export interface ShrinkOptions {
  /** How many programs are tried at most; default 2000. */
  readonly tries?: number;
  /** The revision of whose structs the values are; default the newest. */
  readonly uapi?: RevisionName;
  /** What the program came to: plain numbers that are what earlier steps gave become references. */
  readonly outcomes?: readonly Outcome[];
}

/** Says whether a program shows the same. */
export type IsStill = (smaller: Program) => Promise<boolean>;

/**
 * The smallest program that was found to show what `program` shows. No step of
 * it can be left out and no value made simpler, unless the tries were used up.
 * Each smaller program counts only if it shows the same twice: one that does
 * not show it twice itself comes back as it is.
 */
export async function shrink(
  program: Program,
  isStill: IsStill,
  { tries = 2000, uapi = NEWEST, outcomes }: ShrinkOptions = {},
): Promise<Program> {
  const search = new Search(program, isStill, tries);
  if (!await search.isStable(program)) return program;
  if (outcomes) await search.take(linked(program, outcomes, uapi));
  let before: Program | undefined;
  while (search.program !== before && search.hasTries) {
    before = search.program;
    await putInline(search);
    await removeProcesses(search);
    await removeSteps(search);
    await uniteSteps(search);
    await simplify(search, uapi);
    await simplifyTwo(search, uapi);
    await simplifyEqual(search, uapi);
    if (search.program === before) await goOtherWays(search);
  }
  return search.program;
}

/** The smallest program so far, and the tries that are left. */
class Search {
  /** The smallest one. */
  program: Program;
  readonly #isStill: IsStill;
  readonly #failed = new Set<string>();
  #left: number;

  constructor(program: Program, isStill: IsStill, tries: number) {
    this.program = program;
    this.#isStill = isStill;
    this.#left = tries;
  }

  /** Whether there are tries left. */
  get hasTries(): boolean {
    return this.#left > 0;
  }

  /** Whether a program shows it each time. */
  async isStable(program: Program): Promise<boolean> {
    return await this.#shows(program) && await this.#shows(program);
  }

  /** Goes on with a smaller program if that shows it too. */
  async take(smaller: Program): Promise<boolean> {
    const key = keyOf(smaller);
    if (this.#failed.has(key)) return false;
    if (await this.isStable(smaller)) {
      this.program = smaller;
      return true;
    }
    this.#failed.add(key);
    return false;
  }

  #shows(program: Program): Promise<boolean> {
    if (this.#left <= 0) return Promise.resolve(false);
    this.#left--;
    return this.#isStill(program);
  }
}

/** Programs that are the same have one key. */
function keyOf(program: Program): string {
  return JSON.stringify(
    program.map(({ process, call: { verb, args }, patches }) => [
      process,
      verb.name,
      args.map((arg) => arg instanceof Uint8Array ? arg.toHex() : arg),
      patches,
    ]),
    (_, value) => typeof value === "bigint" ? `${value}n` : value,
  );
}

/** Has ioctls come with their bytes, and not with the address of what was written to memory before. */
async function putInline(search: Search): Promise<void> {
  for (let i = search.program.length - 1; i >= 0; i--) {
    if (i >= search.program.length) continue;
    for (const other of inlined(search.program, i)) {
      if (await search.take(other)) break;
    }
  }
}

/** Leaves processes out, with all that they do or as far as another one can do it. */
async function removeProcesses(search: Search): Promise<void> {
  for (const fork of forksOf(search.program).reverse()) {
    const { program } = search;
    await search.take(without(program, withDependents(program, [fork]))) ||
      await search.take(without(program, [fork])) ||
      await search.take(joined(program, fork));
  }
}

/** Leaves steps out: half of them, a quarter, and in the end each by itself, the last ones first. */
async function removeSteps(search: Search): Promise<void> {
  let size = Math.ceil(search.program.length / 2);
  for (; size >= 1; size = size > 1 ? Math.ceil(size / 2) : 0) {
    for (let end = search.program.length; end > 0; end -= size) {
      const { program } = search;
      // What took values of those that are gone may have gone with them.
      end = Math.min(end, program.length);
      const start = Math.max(end - size, 0);
      const steps = Array.from({ length: end - start }, (_, i) => start + i);
      await search.take(without(program, withDependents(program, steps))) ||
        await search.take(without(program, steps));
    }
  }
}

/** Leaves out what another way to do the same does not need, or two steps that need each other. */
async function goOtherWays(search: Search): Promise<void> {
  const { program } = search;
  for (const pair of pairsOf(program.length)) {
    if (await search.take(without(program, pair))) return;
  }
  for (const other of otherWays(program)) {
    if (!await search.isStable(other)) continue;
    for (let i = other.length - 1; i >= 0; i--) {
      if (await search.take(without(other, [i]))) return;
    }
  }
}

/** All pairs of numbers below one. */
function pairsOf(count: number): [number, number][] {
  return Array.from({ length: count }, (_, i) => i)
    .flatMap((i) =>
      Array.from({ length: i }, (_, j): [number, number] => [i, j])
    );
}

/** Has one step do for two that call the same. */
async function uniteSteps(search: Search): Promise<void> {
  for (let later = search.program.length - 1; later > 0; later--) {
    for (let earlier = 0; earlier < later; earlier++) {
      if (await uniteTwo(search, earlier, later)) break;
    }
  }
}

async function uniteTwo(
  search: Search,
  earlier: number,
  later: number,
): Promise<boolean> {
  const { program } = search;
  const [first, second] = [program[earlier]!.call, program[later]!.call];
  if (first.verb.returns === "process" || !isSame(first, second)) return false;
  for (const smaller of united(program, earlier, later)) {
    if (await search.take(smaller)) return true;
  }
  return false;
}

/** Puts simpler values in each place of each step. */
async function simplify(search: Search, uapi: RevisionName): Promise<void> {
  for (let i = search.program.length - 1; i >= 0; i--) {
    for (const simpler of placesOf(search.program, i, uapi)) {
      while (await takeFirst(search, i, simpler));
    }
  }
}

/** Puts the simplest values in two places of a step at a time, where neither will do alone. */
async function simplifyTwo(search: Search, uapi: RevisionName): Promise<void> {
  for (let i = search.program.length - 1; i >= 0; i--) {
    const places = placesOf(search.program, i, uapi);
    for (const [at, first] of places.entries()) {
      for (const second of places.slice(at + 1)) {
        const both = simplest(second, simplest(first, search.program[i]));
        if (both) await search.take(search.program.with(i, both));
      }
    }
  }
}

/** Puts simpler numbers wherever one is that several places have, as what is made by a number and named by it. */
async function simplifyEqual(
  search: Search,
  uapi: RevisionName,
): Promise<void> {
  for (const value of equalIn(search.program, uapi).keys()) {
    const places = equalIn(search.program, uapi).get(value) ?? [];
    const usual = places[0]?.usual ?? [];
    for (const simpler of simplerNumbers(value, usual).slice(0, MOST_SIMPLER)) {
      const smaller = search.program.map((step, i) =>
        places.filter(({ index }) => index === i)
          .reduce((now, { place }) => withValue(now, place, simpler), step)
      );
      if (await search.take(smaller)) break;
    }
  }
}

/** The numbers that several places have, with those. */
function equalIn(program: Program, uapi: RevisionName) {
  const places = program.flatMap((step, index) =>
    numbersIn(step, uapi).map((number) => ({ index, ...number }))
  );
  const byValue = Map.groupBy(places, ({ value }) => value);
  return new Map([...byValue].filter(([, { length }]) => length > 1));
}

/** A step with the simplest thing in a place; undefined where nothing is simpler. */
function simplest(place: Place, step: Step | undefined): Step | undefined {
  const [first] = step ? place(step) : [];
  return first;
}

/** Takes the first of a place's simpler values that will do. */
async function takeFirst(
  search: Search,
  index: number,
  simpler: Place,
): Promise<boolean> {
  const { program } = search;
  for (const step of simpler(program[index]!)) {
    if (await search.take(program.with(index, step))) return true;
  }
  return false;
}
