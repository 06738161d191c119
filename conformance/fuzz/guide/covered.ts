// SPDX-License-Identifier: GPL-2.0-only

/**
 * The code that ran so far.
 *
 * @module
 */

import type { ScriptCoverage } from "./coverage.ts";

/** A script. */
interface Script {
  /** 1 for each character that ran. */
  ran: Uint8Array;
  /** Where blocks begin or end. */
  readonly edges: Set<number>;
}

/** Which characters of a script ran, as it was told. */
function ranOf({ functions }: ScriptCoverage): Uint8Array {
  const ends = functions.map(({ ranges: [own] }) => own!.endOffset);
  const ran = new Uint8Array(Math.max(0, ...ends));
  // What is inside comes after what is around it.
  for (const { ranges } of functions) {
    for (const { startOffset, endOffset, count } of ranges) {
      ran.fill(Math.min(count, 1), startOffset, endOffset);
    }
  }
  return ran;
}

/** What ran in one or the other. */
function either(a: Uint8Array, b: Uint8Array): Uint8Array {
  const [shorter, longer] = a.length < b.length ? [a, b] : [b, a];
  for (let i = 0; i < shorter.length; i++) longer[i]! |= shorter[i]!;
  return longer;
}

/** The code that ran. */
export class CoveredCode {
  readonly #scripts = new Map<string, Script>();

  /** True if something of it did not run before. */
  isNew(taken: readonly ScriptCoverage[]): boolean {
    return taken.some((coverage) => {
      const before = this.#script(coverage.url).ran;
      const ran = ranOf(coverage);
      for (let i = 0; i < ran.length; i++) {
        if (ran[i]! > (before[i] ?? 0)) return true;
      }
      return false;
    });
  }

  /** Adds what ran. */
  add(taken: readonly ScriptCoverage[]): void {
    for (const coverage of taken) {
      const script = this.#script(coverage.url);
      script.ran = either(script.ran, ranOf(coverage));
      for (const { ranges } of coverage.functions) {
        for (const { startOffset, endOffset } of ranges) {
          script.edges.add(startOffset).add(endOffset);
        }
      }
    }
  }

  /**
   * How many blocks ran. Where one ends is only known once it ran without the
   * one beside it, or the other way round: to compare two, both are counted by
   * the edges of what has seen both.
   */
  blocks(edgesOf: CoveredCode = this): number {
    let blocks = 0;
    for (const [url, { edges }] of edgesOf.#scripts) {
      const ran = this.#scripts.get(url)?.ran;
      for (const edge of edges) blocks += ran?.[edge] ?? 0;
    }
    return blocks;
  }

  #script(url: string): Script {
    let script = this.#scripts.get(url);
    if (script === undefined) {
      script = { ran: new Uint8Array(0), edges: new Set() };
      this.#scripts.set(url, script);
    }
    return script;
  }
}
