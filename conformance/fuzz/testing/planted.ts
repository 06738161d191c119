// SPDX-License-Identifier: GPL-2.0-only

/**
 * Models with a fault that was put there on purpose, and what programs show of
 * it.
 *
 * @module
 */

import { NEWEST } from "../../../impl/uapi/revision.ts";
import {
  IMPL_CALLS,
  type ImplCalls,
} from "../../../selftests/target/impl_calls.ts";
import {
  type ImplOptions,
  Model,
} from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { compare, type Difference } from "../compare/compare.ts";
import { Masks } from "../compare/masks.ts";
import { runOnModel } from "../run/on_model.ts";
import { causeOf } from "../shrink/cause.ts";

const MACHINE: ImplOptions = { memory: 2 ** 24, hasOnlyCard: true };

/** The model, and one of which some calls do something else. */
export class Planted {
  readonly #sound = new Model(NEWEST, MACHINE);
  readonly #faulty: Model;
  readonly #masks = new Masks(NEWEST);

  /** `calls` are those that are wrong. */
  constructor(calls: Partial<ImplCalls>) {
    const all = { ...IMPL_CALLS, ...calls } as ImplCalls;
    this.#faulty = new Model(NEWEST, { ...MACHINE, calls: all });
  }

  /** What a program shows first. */
  differenceOf(program: Program): Difference | undefined {
    const ours = runOnModel(this.#sound, program);
    const theirs = runOnModel(this.#faulty, program);
    return compare(program, ours, theirs, this.#masks);
  }

  /** The cause of what it shows; undefined if that is nothing. */
  causeOf(program: Program): string | undefined {
    const difference = this.differenceOf(program);
    return difference && causeOf(program, difference, NEWEST);
  }
}
