// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which code ran, block by block, as V8 counts it in this isolate.
 *
 * @module
 */

import { Session } from "node:inspector";

/** A part of a script's source, and whether it ran. */
interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** A script, and what of it ran. */
export interface ScriptCoverage {
  readonly url: string;
  /** Each with its own range first, and then those of its blocks that differ from what is around them. */
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

/** The counting of an isolate. */
export class BlockCoverage {
  readonly #session = new Session();
  readonly #prefix: string;

  private constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /**
   * Starts it for the scripts whose addresses begin like this. It has to be
   * before they are imported: code that was compiled earlier has no counters
   * in it. From then on everything in the isolate runs two to four times slower.
   */
  static async start(prefix: string): Promise<BlockCoverage> {
    const coverage = new BlockCoverage(prefix);
    coverage.#session.connect();
    await coverage.#post("Profiler.enable");
    // Without counts the code is still optimized.
    const how = { callCount: false, detailed: true };
    await coverage.#post("Profiler.startPreciseCoverage", how);
    return coverage;
  }

  /** What ran since it was asked last. It is taken at once, and told later. */
  async take(): Promise<ScriptCoverage[]> {
    const { result } = await this.#post("Profiler.takePreciseCoverage") as {
      result: ScriptCoverage[];
    };
    return result.filter(({ url }) => url.startsWith(this.#prefix));
  }

  #post(method: string, params: object = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#session.post(method, params, (error, result) => {
        if (error) reject(error);
        else resolve(result);
      });
    });
  }
}
