// SPDX-License-Identifier: GPL-2.0-only

/**
 * Seeds: `7` is a run, `7.12` is the 12th program of that run alone.
 *
 * @module
 */

import { Random } from "../../../selftests/harness/random.ts";

/** What is repeated. */
export interface Seed {
  /** The run. */
  readonly run: number;
  /** The only program of it, from 0; undefined for all. */
  readonly only: number | undefined;
}

/** Seeds of runs are below this. */
const SEEDS = 2 ** 32;
/** Those that are chosen, below this: a person can type them. */
const CHOSEN = 1_000_000;
/** How far the streams of two programs are apart. */
const GOLDEN = 0x9e3779b1;

/** Reads a seed; undefined where it is none. */
export function parseSeed(text: string): Seed | undefined {
  const match = /^(\d{1,10})(?:\.(\d{1,15}))?$/.exec(text);
  if (match === null || Number(match[1]) >= SEEDS) return undefined;
  const only = match[2] === undefined ? undefined : Number(match[2]);
  return { run: Number(match[1]), only };
}

/** A seed for a run that was not told one. */
export function chooseSeed(): Seed {
  return { run: Math.floor(Math.random() * CHOSEN), only: undefined };
}

/** The seed of a run, or of a program of it, as a person types it. */
export function formatSeed(run: number, index?: number): string {
  return index === undefined ? `${run}` : `${run}.${index}`;
}

/** What repeats a run up to a program. */
export function formatSeedUpTo(run: number, index: number): string {
  return `${run} --count ${index + 1}`;
}

/** The random numbers of a program of a run, whatever came before it. */
export function randomOf(run: number, index: number): Random {
  const mixed = new Random(run + Math.imul(index, GOLDEN));
  return new Random(mixed.below(SEEDS));
}

/** Where a program is from, as it is told: the option that makes it again, or the name that it was given by. */
export function formatSource(seed: string): string {
  return /^\d/.test(seed) ? `--seed ${seed}` : seed;
}
