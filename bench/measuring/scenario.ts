// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a benchmark is: operations that are timed in turn on one machine, and
 * the least work that each of them could come down to.
 *
 * @module
 */

import type { FrameOrder } from "../../impl/kernel/simulated/pages/frames.ts";
import { GIB, KIB, MIB } from "../operations/sizes.ts";
import type { Setup } from "./setup.ts";
import type { Step } from "./steps.ts";

/** How large an operation is; operations of a series differ in it alone. */
export interface Size {
  /** How many. */
  readonly value: number;
  /** Of what. */
  readonly unit: "bytes" | "areas";
}

/** One kind of call that is timed. */
export interface Operation {
  /** What it is, without its size: `IOAS_MAP, 4 KiB pages, 1 domain`. */
  readonly series: string;
  /** Its size, where it has one. */
  readonly size?: Size;
  /** Calls in one phase: what a clock measures is divided by it. */
  readonly calls: number;
  /** Pages that one call cannot avoid to touch; 0 where its cost has nothing to do with pages. */
  readonly pages: number;
}

/** Part of a round. */
export interface Phase {
  /** The key of the operation that it measures; absent where it only puts things back. */
  readonly measures?: string;
  /** What it does. */
  readonly steps: readonly Step[];
}

/** A phase that is measured. */
export function measured(key: string, ...steps: Step[]): Phase {
  return { measures: key, steps };
}

/** Operations that differ in what they are: `series` by their keys. */
export function alike<K extends string>(
  series: Readonly<Record<K, string>>,
  common: Omit<Operation, "series">,
): Record<K, Operation> {
  const entries = Object.entries<string>(series)
    .map(([key, series]) => [key, { series, ...common }]);
  return Object.fromEntries(entries) as Record<K, Operation>;
}

/**
 * The least work on typed arrays that the measured phases of one round come
 * down to, by the keys of the operations, to be run in the order of the
 * phases. Each returns a number that depends on all of the work.
 */
export type Floor = Readonly<Record<string, () => number>>;

/** A machine in a state, and a round of calls that ends in the same state. */
export interface Scenario {
  /** The table, and the file `GROUP_bench.ts`, that it belongs to. */
  readonly group: string;
  /** What it measures, by a key. */
  readonly operations: Readonly<Record<string, Operation>>;
  /** Order of the machine's page frames; default in order. */
  readonly frameOrder?: FrameOrder;
  /** True if a round takes so long that a few of them must do. */
  readonly slow?: boolean;
  /** Whether it is timed on a target; default as all of its group. */
  readonly onTargets?: boolean;
  /** Prepares the machine; returns the phases of a round. A group that a target cannot run may need more of the model. */
  prepare(
    machine: Setup,
  ): readonly Phase[] | Promise<readonly Phase[]>;
  /** The floor of its operations, where they touch pages or areas. */
  readonly floor?: () => Floor;
}

/** The names of the operations of a scenario. */
export function namesOf({ operations }: Scenario): string[] {
  return Object.values(operations).map(operationName);
}

/** True if one of the names has the text, or the group. */
export function isNamed(scenario: Scenario, text: string): boolean {
  return [scenario.group, ...namesOf(scenario)]
    .some((name) => name.includes(text));
}

/** A size for a person: `64 MiB`, `100,000 areas`. */
export function formatSize({ value, unit }: Size): string {
  return unit === "bytes"
    ? formatBytes(value)
    : `${value.toLocaleString("en-US")} ${unit}`;
}

/** Bytes in the largest unit that needs no fraction: `64 MiB`. */
export function formatBytes(bytes: number): string {
  for (
    const [unit, name] of [[GIB, "GiB"], [MIB, "MiB"], [KIB, "KiB"]] as const
  ) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit} ${name}`;
  }
  return `${bytes} bytes`;
}

/** Name of an operation with its size. */
export function operationName({ series, size }: Operation): string {
  return size === undefined ? series : `${series}, ${formatSize(size)}`;
}
