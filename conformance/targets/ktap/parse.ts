// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reads KTAP (Linux: Documentation/dev-tools/ktap.rst): what the kernel's own
 * selftests print, alone or with `make run_tests` around them, and what the
 * KTAP report of this runner prints.
 *
 * @module
 */

import { type Status, STATUSES } from "../../reports/results.ts";
import type { GivenResult } from "../target_spec.ts";

/** What a file says. */
export interface Ktap {
  /** The results of the outermost list. */
  readonly results: readonly GivenResult[];
  /** That there should be more, a sentence. */
  readonly stopped?: string;
}

/** What stands before the lines of a list within a list: spaces, or what the kernel's runner puts before all that a program prints. */
const MARGIN =
  /^(?: {2}|\t|# (?=(?:# )*(?:#|(?:not )?ok \d|1\.\.\d|K?TAP version|Bail out!)))*/;
/** A result, with its name and what stands behind it: a directive and a reason, or only that. */
const RESULT = /^(not )?ok \d+(?: -)?(?: +(.*?))??(?: *# *(.*))?$/;
const PLAN = /^1\.\.(\d+)/;
const VERSION = /^K?TAP version/;
/** What the kernel's harness and its runner say of every test, whatever it comes to. */
const NOISE =
  /^(RUN|OK|FAIL|SKIP|PASSED:|FAILED:|Starting|Totals:|timeout set|selftests:)/;

/** A list whose end has not come yet. */
interface List {
  /** Characters before its lines. */
  readonly margin: number;
  /** How many results it is to have; undefined where that was not said. */
  planned: number | undefined;
  /** Its results so far. */
  readonly results: GivenResult[];
}

/** Reads the text of a file. Throws an Error if there is no result in it. */
export function parseKtap(text: string): Ktap {
  const reader = new Reader();
  for (const line of text.split("\n")) reader.read(line.trimEnd());
  return reader.end();
}

class Reader {
  /** The lists that are open, the outermost first. */
  readonly #lists: List[] = [];
  /** The results of lists that nothing stands around. */
  readonly #outermost: GivenResult[] = [];
  /** What is missing. */
  readonly #short: string[] = [];
  /** What was said since the last result. */
  #said: string[] = [];

  read(line: string): void {
    const margin = MARGIN.exec(line)![0].length;
    const rest = line.slice(margin);
    const [, plan] = PLAN.exec(rest) ?? [];
    if (plan !== undefined) {
      this.#plan(this.#listAt(margin), Number(plan));
    } else if (VERSION.test(rest)) {
      // What follows is another list, also where one like it has just ended.
      if (this.#lists.at(-1)?.margin === margin) this.#end("A list");
    } else if (RESULT.test(rest)) {
      this.#result(margin, rest);
    } else if (rest.startsWith("Bail out!")) {
      this.#short.push(rest);
    } else {
      const said = rest.replace(/^[#\s]+/, "");
      if (said !== "" && !NOISE.test(said)) this.#said.push(said);
    }
  }

  /** Ends all lists. */
  end(): Ktap {
    while (this.#lists.length > 0) this.#end("The list");
    const results = this.#outermost;
    if (results.length === 0) {
      throw new Error('it has no line such as "ok 1 fixture.test"');
    }
    return {
      results,
      ...this.#short.length > 0 && { stopped: this.#short.join("; ") },
    };
  }

  /** The list whose lines begin there: the one that is open, or a new one. */
  #listAt(margin: number): List {
    const last = this.#lists.at(-1);
    if (last?.margin === margin) return last;
    const list: List = { margin, planned: undefined, results: [] };
    this.#lists.push(list);
    return list;
  }

  /** A plan stands before the results, or behind them. */
  #plan(list: List, planned: number): void {
    // What stands above it is about no test.
    this.#said = [];
    if (list.planned === undefined) {
      list.planned = planned;
    } else {
      this.#end("A list");
      this.#listAt(list.margin).planned = planned;
    }
  }

  #result(margin: number, line: string): void {
    const [, not, words = "", behind = ""] = RESULT.exec(line)!;
    const name = words.trim();
    const [directive] = behind.toLowerCase().split(/[\s:]/, 1);
    const named = STATUSES.find((status) => status === directive);
    const reason = named && behind.slice(named.length).replace(/^[\s:]+/, "");
    const said = this.#said;
    this.#said = [];
    // The lists before it that stand further to the right are its parts.
    const parts: GivenResult[] = [];
    while ((this.#lists.at(-1)?.margin ?? -1) > margin) {
      parts.unshift(...this.#close(name));
    }
    this.#listAt(margin).results.push({
      name,
      status: statusOf(not === undefined, named),
      reason: reason || behind,
      said,
      parts,
    });
  }

  /** Ends the innermost list: nothing stands around its results but other lists. */
  #end(name: string): void {
    const results = this.#close(name);
    (this.#lists.at(-1)?.results ?? this.#outermost).push(...results);
  }

  /** Takes the innermost list away. */
  #close(name: string): readonly GivenResult[] {
    const { planned, results } = this.#lists.pop()!;
    if (planned !== undefined && planned !== results.length) {
      this.#short.push(
        `${name} has ${results.length} of ${planned} results`,
      );
    }
    return results;
  }
}

/** How a test ended whose line says `ok` or not, and perhaps a status. */
function statusOf(ok: boolean, named: Status | undefined): Status {
  if (ok) return named === "skip" || named === "xfail" ? named : "pass";
  return named === undefined || named === "pass" || named === "skip" ||
      named === "xfail"
    ? "fail"
    : named;
}
