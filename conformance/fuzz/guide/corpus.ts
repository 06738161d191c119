// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that are worth being changed, by what each was the first to reach.
 *
 * @module
 */

import type { Program } from "../../../selftests/target/program.ts";
import type { Chance, Weights } from "../generate/chance.ts";

/** What a program reached: code, a pair of a call and an errno, or a pair with certain flags. */
export type Reached = "block" | "pair" | "flags";

/** How many are kept for each, and how often one of them is taken. */
const KEPT: Readonly<Record<Reached, { most: number; weight: number }>> = {
  block: { most: 1000, weight: 5 },
  pair: { most: 500, weight: 3 },
  flags: { most: 250, weight: 2 },
};

/** Programs that reached something first. */
export class Corpus {
  readonly #programs: Readonly<Record<Reached, Program[]>> = {
    block: [],
    pair: [],
    flags: [],
  };

  /** How many there are. */
  get size(): number {
    const all = Object.values(this.#programs);
    return all.reduce((sum, { length }) => sum + length, 0);
  }

  /** Keeps a program. The oldest one has to go where there are too many. */
  keep(program: Program, reached: Reached): void {
    const programs = this.#programs[reached];
    programs.push(program);
    if (programs.length > KEPT[reached].most) programs.shift();
  }

  /** One of them, those of late rather than others; undefined where there is none. */
  choose(chance: Chance): Program | undefined {
    const kinds = Object.entries(this.#programs).filter(([, { length }]) =>
      length > 0
    );
    if (kinds.length === 0) return undefined;
    const weights: Weights<Program[]> = kinds.map(([reached, programs]) =>
      [KEPT[reached as Reached].weight, programs] as const
    );
    const programs = chance.weighted(weights);
    const { length } = programs;
    return programs[Math.max(chance.below(length), chance.below(length))];
  }

  /** All of them. */
  *[Symbol.iterator](): Iterator<Program> {
    for (const programs of Object.values(this.#programs)) yield* programs;
  }
}
