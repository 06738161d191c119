// SPDX-License-Identifier: GPL-2.0-only

/**
 * Several of the same target as one side: each program runs on one of them.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Program } from "../../../selftests/target/program.ts";
import type { OpenOptions, TargetSpec } from "../../targets/target_spec.ts";
import type { Ran } from "../compare/compare.ts";
import { FILE_NAMES, namesOf, renamed } from "../machine/names.ts";
import type { Failure, Side } from "./side.ts";
import { TargetSide } from "./target_side.ts";

/** Targets that share the programs of a run. */
export class Pool implements Side {
  /** The targets, and how many programs each still has. */
  readonly #sides: readonly { readonly side: TargetSide; busy: number }[];

  /** What its machines call their card; in programs it has the model's names. */
  #names = FILE_NAMES;

  private constructor(sides: readonly TargetSide[]) {
    this.#sides = sides.map((side) => ({ side, busy: 0 }));
  }

  /** Starts a target so many times. Rejects with what its `open` rejects with; none is then left. */
  static async open(
    target: TargetSpec,
    uapi: RevisionName,
    options: OpenOptions & {
      readonly timeoutMs: number;
      readonly jobs: number;
    },
  ): Promise<Pool> {
    const sides: TargetSide[] = [];
    try {
      while (sides.length < options.jobs) {
        sides.push(await TargetSide.open(target, uapi, options));
      }
    } catch (error) {
      await Promise.all(sides.map((side) => side.close()));
      throw error;
    }
    const pool = new Pool(sides);
    pool.#names = await namesOf(pool);
    return pool;
  }

  get name(): string {
    return this.#first.name;
  }

  get uapi(): RevisionName {
    return this.#first.uapi;
  }

  get capabilities(): readonly string[] {
    return this.#first.capabilities;
  }

  /** How often one of them was started again. */
  get restarts(): number {
    return this.#sides.reduce((sum, { side }) => sum + side.restarts, 0);
  }

  /** Runs a program on that which has the fewest to run. */
  async run(program: Program): Promise<Ran | Failure> {
    const idlest = this.#sides.reduce((a, b) => b.busy < a.busy ? b : a);
    idlest.busy++;
    try {
      const named = renamed(program, FILE_NAMES, this.#names);
      return await idlest.side.run(named);
    } finally {
      idlest.busy--;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#sides.map(({ side }) => side.close()));
  }

  get #first(): TargetSide {
    return this.#sides[0]!.side;
  }
}
