// SPDX-License-Identifier: GPL-2.0-only

/**
 * Bands that figures must stay in: figures that do not depend on how fast the
 * machine is. What they are recorded as is in `bands.json`.
 *
 * @module
 */

import { type Figures, FLOOR_LIMIT, growth, isAboutPages } from "./figures.ts";

/** Lowest and highest value that is all right. */
export type Band = readonly [number, number];

/** The growth of a series between two of its operations. */
export interface GrowthBand {
  /** Name of the smaller operation. */
  readonly from: string;
  /** Name of the larger operation. */
  readonly to: string;
  /** The exponent must lie here. */
  readonly band: Band;
}

/** What is recorded. */
export interface Bands {
  /** How many times the floor operations take, by their names. */
  readonly ratios: Readonly<Record<string, Band>>;
  /** How time grows with size. */
  readonly growth: readonly GrowthBand[];
}

/** One figure that was compared with its band. */
export interface Check {
  /** What was compared, for a person. */
  readonly what: string;
  /** The names of the operations that it needs. */
  readonly operations: readonly string[];
  /** The figure; NaN if an operation was not measured. */
  readonly value: number;
  /** Where it must lie. */
  readonly band: Band;
  /** Whether it does. */
  readonly ok: boolean;
}

/** The names of all operations that bands need. */
export function operationsOf({ ratios, growth }: Bands): Set<string> {
  return new Set([
    ...Object.keys(ratios),
    ...growth.flatMap(({ from, to }) => [from, to]),
  ]);
}

/** Compares figures with all bands. No band goes beyond {@link FLOOR_LIMIT} where that counts. */
export function compare(bands: Bands, all: readonly Figures[]): Check[] {
  const byName = new Map(all.map((figures) => [figures.name, figures]));
  return [
    ...Object.entries(bands.ratios).map(([name, band]) =>
      check(
        `${name}: times the floor`,
        [name],
        byName.get(name)?.ratio ?? NaN,
        limited(band, byName.get(name)),
      )
    ),
    ...bands.growth.map(({ from, to, band }) =>
      check(
        `from ${from} to ${to}: growth`,
        [from, to],
        growth(byName.get(from), byName.get(to)),
        band,
      )
    ),
  ];
}

function limited([low, high]: Band, figures: Figures | undefined): Band {
  const isLimited = figures !== undefined && isAboutPages(figures);
  return [low, isLimited ? Math.min(high, FLOOR_LIMIT) : high];
}

/** Bands around what was measured; the names and pairs are those of `bands`. */
export function record(bands: Bands, all: readonly Figures[]): Bands {
  const values = compare(bands, all).map(({ value }) => value);
  const names = Object.keys(bands.ratios);
  const growths = values.slice(names.length);
  return {
    ratios: Object.fromEntries(
      names.map((name, i) => [name, ratioBand(values[i]!)]),
    ),
    growth: bands.growth.map(({ from, to }, i) => ({
      from,
      to,
      band: growthBand(growths[i]!),
    })),
  };
}

/** What a very busy machine adds was at most a half; a bigint or an object per page costs more than this. */
const RATIO_MARGIN = { low: 0.35, high: 1.75 };
/** Between sizes that are 30 times apart, 0.3 is a factor of 2.8. A memory that is less busy lets times grow less. */
const GROWTH_MARGIN = { low: 0.6, high: 0.3 };

function ratioBand(ratio: number): Band {
  const { low, high } = RATIO_MARGIN;
  return [round(ratio * low), round(ratio * high)];
}

function growthBand(exponent: number): Band {
  const { low, high } = GROWTH_MARGIN;
  return [round(exponent - low), round(exponent + high)];
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function check(
  what: string,
  operations: readonly string[],
  value: number,
  band: Band,
): Check {
  const [low, high] = band;
  return { what, operations, value, band, ok: value >= low && value <= high };
}
