// SPDX-License-Identifier: GPL-2.0-only

/**
 * The other end of a {@link Scout}: runs programs on a model whose code is
 * counted, and says which of them reached something new.
 *
 * @module
 */

import type { Model } from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { runOnModel } from "../run/on_model.ts";
import { BlockCoverage } from "./coverage.ts";
import { CoveredCode } from "./covered.ts";
import type { Scouted, ScoutOptions } from "./scout.ts";

/** What a worker has. */
declare const self: {
  onmessage: (event: MessageEvent) => void;
  postMessage(message: unknown): void;
};

const IMPL = new URL("../../../impl/", import.meta.url);

/** Runs programs, and tells which code they reach. */
class Counted {
  readonly #coverage: BlockCoverage;
  readonly #model: Model;
  readonly #covered = new CoveredCode();

  constructor(coverage: BlockCoverage, model: Model) {
    this.#coverage = coverage;
    this.#model = model;
  }

  /** The places in the list of those that reached something new. */
  async scout(programs: readonly Program[]): Promise<Scouted> {
    const found = await this.#newAmong([...programs.entries()]);
    return { found, blocks: this.#covered.blocks() };
  }

  /** Halves a list until each part is a program, or has nothing new. */
  async #newAmong(
    programs: readonly (readonly [place: number, Program])[],
  ): Promise<number[]> {
    for (const [, program] of programs) {
      runOnModel(this.#model, program);
    }
    const taken = await this.#coverage.take();
    if (!this.#covered.isNew(taken)) return [];
    if (programs.length === 1) {
      this.#covered.add(taken);
      return [programs[0]![0]];
    }
    const half = programs.length >> 1;
    return [
      ...await this.#newAmong(programs.slice(0, half)),
      ...await this.#newAmong(programs.slice(half)),
    ];
  }
}

async function start(
  { uapi, machine }: ScoutOptions,
): Promise<Counted> {
  const coverage = await BlockCoverage.start(IMPL.href);
  const { Model } = await import("../../../selftests/target/impl_target.ts");
  return new Counted(coverage, new Model(uapi, machine));
}

let counted: Promise<Counted>;
self.onmessage = async ({ data }: MessageEvent) => {
  if ("uapi" in data) counted = start(data);
  else self.postMessage(await (await counted).scout(data));
};
