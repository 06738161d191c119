// SPDX-License-Identifier: GPL-2.0-only

/**
 * What measurements come to: time per call and per page, distance from the
 * floor, growth with size.
 *
 * @module
 */

import { median, type Result } from "../measuring/measure.ts";
import { type Operation, operationName } from "../measuring/scenario.ts";

/** The figures of one operation. Times are in milliseconds. */
export interface Figures {
  /** The operation. */
  readonly operation: Operation;
  /** Its name with its size. */
  readonly name: string;
  /** Time per call: the median of the rounds. */
  readonly median: number;
  /** Time per call in the fastest round, which other work on the machine disturbed least. */
  readonly best: number;
  /** Time of the fastest round per page; undefined where pages do not matter. */
  readonly perPage: number | undefined;
  /** Time of the floor in its fastest round; undefined where there is none. */
  readonly floor: number | undefined;
  /** How many times the floor it takes, fastest round against fastest round. */
  readonly ratio: number | undefined;
}

/** The figures of one result. */
export function figuresOf({ operation, times, floor }: Result): Figures {
  const best = times[0]!;
  const bestFloor = floor?.[0];
  return {
    operation,
    name: operationName(operation),
    median: median(times),
    best,
    perPage: operation.pages > 0 ? best / operation.pages : undefined,
    floor: bestFloor,
    ratio: bestFloor === undefined ? undefined : best / bestFloor,
  };
}

/** How many times its floor an operation may take where {@link isAboutPages}. */
export const FLOOR_LIMIT = 4;

/** 16 MiB. */
const MANY_PAGES = 4096;
/** Milliseconds of a system call that does nothing: a shorter floor says nothing. */
const SYSTEM_CALL = 0.001;

/** Whether its pages are what an operation takes its time for, and not the system call around them. */
export function isAboutPages({ operation, floor = 0 }: Figures): boolean {
  return operation.pages >= MANY_PAGES && floor >= SYSTEM_CALL;
}

/**
 * The power of the size that the time grew with from a smaller operation to a
 * larger one of the same series: 0 is no growth, 1 is as the size. NaN if one
 * was not measured.
 */
export function growth(
  smaller: Figures | undefined,
  larger: Figures | undefined,
): number {
  if (smaller === undefined || larger === undefined) return NaN;
  const size = ({ operation }: Figures) => operation.size?.value ?? 1;
  return Math.log(larger.best / smaller.best) /
    Math.log(size(larger) / size(smaller));
}

/** For each operation the next smaller one of its series, where there is one. */
export function smallerOnes(all: readonly Figures[]): Map<Figures, Figures> {
  const last = new Map<string, Figures>();
  const smaller = new Map<Figures, Figures>();
  for (const figures of all) {
    const { series, size } = figures.operation;
    if (size === undefined) continue;
    const before = last.get(series);
    if (before !== undefined) smaller.set(figures, before);
    last.set(series, figures);
  }
  return smaller;
}
