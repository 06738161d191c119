// SPDX-License-Identifier: GPL-2.0-only

/**
 * Guidance: programs that reach something new are kept, and changed.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Random } from "../../../selftests/harness/random.ts";
import type { Outcome, Program } from "../../../selftests/target/program.ts";
import { Chance } from "../generate/chance.ts";
import { Shapes } from "../generate/known/shapes.ts";
import { Corpus } from "./corpus.ts";
import { Keys } from "./keys.ts";
import { mutate } from "./mutate.ts";
import type { Scouted, Scouting } from "./scout.ts";

/** How a guide works. */
export interface GuideOptions {
  readonly uapi: RevisionName;
  /** Steps that a program has at most. */
  readonly length: number;
  /** Tells which programs reach new code; undefined for none. */
  readonly scout?: Scouting | undefined;
  /** Of a hundred programs, those that are changed ones. */
  readonly mutants?: number;
  /** One of how many programs the scout gets. */
  readonly sample?: number;
}

/** What is made of a kept program: a changed one, or its first steps, which new ones follow. */
export type Next =
  | { readonly mutant: Program; readonly start?: undefined }
  | { readonly start: Program; readonly mutant?: undefined };

/** Of a hundred programs, those that are made of kept ones. */
const MUTANTS = 50;
/** Of a hundred of these, those that begin as a kept one and go on with new steps. */
const CONTINUED = 30;
/** One of how many programs the scout gets, beside those that have to be kept anyway. */
const SAMPLE = 16;
/** How many the scout gets at a time. */
const BATCH = 32;
/** How many times it got some before its answer to the first is waited for: it works meanwhile. */
const AHEAD = 2;

/** Programs that the scout was given. */
interface Asked {
  readonly programs: readonly Program[];
  readonly answer: Promise<Scouted>;
}

/** Keeps programs, and changes them. */
export class Guide {
  readonly #options: GuideOptions;
  readonly #shapes: Shapes;
  readonly #keys: Keys;
  readonly #corpus = new Corpus();
  readonly #pairs = new Set<number>();
  readonly #chosen = new Set<number>();
  readonly #asked: Asked[] = [];
  #batch: Program[] = [];
  #programs = 0;
  #blocks = 0;

  /** A guide that has seen nothing. */
  constructor(options: GuideOptions) {
    this.#options = options;
    this.#shapes = new Shapes(options.uapi);
    this.#keys = new Keys(this.#shapes);
  }

  /** How many programs are kept. */
  get kept(): number {
    return this.#corpus.size;
  }

  /** The programs that are kept. */
  get programs(): Iterable<Program> {
    return this.#corpus;
  }

  /** How many blocks of code were reached, as far as the scout said. */
  get blocks(): number {
    return this.#blocks;
  }

  /** How many pairs of a call and an errno were reached. */
  get pairs(): number {
    return this.#pairs.size;
  }

  /** What to make of a kept program; undefined where a new one should be made. */
  next(random: Random): Next | undefined {
    const chance = new Chance(random);
    if (!chance.percent(this.#options.mutants ?? MUTANTS)) return undefined;
    const program = this.#corpus.choose(chance);
    const other = this.#corpus.choose(chance);
    if (program === undefined || other === undefined) return undefined;
    if (chance.percent(CONTINUED)) {
      return { start: program.slice(0, chance.between(1, program.length)) };
    }
    const { length } = this.#options;
    const shapes = this.#shapes;
    return { mutant: mutate(program, { chance, shapes, other, length }) };
  }

  /**
   * Looks at what a program came to. Resolves at once, or when the scout has
   * answered what it was asked a while ago: always after as many programs, so
   * that what is kept depends on nothing but these.
   */
  async ran(program: Program, outcomes: readonly Outcome[]): Promise<void> {
    this.#look(program, outcomes);
    const { scout, sample = SAMPLE } = this.#options;
    if (scout === undefined || this.#programs++ % sample > 0) return;
    this.#batch.push(program);
    if (this.#batch.length < BATCH) return;
    const programs = this.#batch;
    this.#batch = [];
    this.#asked.push({ programs, answer: scout.scout(programs) });
    if (this.#asked.length > AHEAD) await this.#answered();
  }

  /** Takes the scout's oldest answer. */
  async #answered(): Promise<void> {
    const { programs, answer } = this.#asked.shift()!;
    const { found, blocks } = await answer;
    for (const place of found) this.#corpus.keep(programs[place]!, "block");
    this.#blocks = blocks;
  }

  /** Keeps a program up to the last step that gave something new. */
  #look(program: Program, outcomes: readonly Outcome[]): void {
    let end = 0;
    let isPair = false;
    for (const [i, { call }] of program.entries()) {
      const [pair, chosen] = this.#keys.of(call, outcomes[i]!);
      if (this.#chosen.has(chosen)) continue;
      this.#chosen.add(chosen);
      isPair ||= !this.#pairs.has(pair);
      this.#pairs.add(pair);
      end = i + 1;
    }
    if (end === 0) return;
    this.#corpus.keep(program.slice(0, end), isPair ? "pair" : "flags");
  }
}
