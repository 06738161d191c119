// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which tests of the suite run.
 *
 * @module
 */

import type { Test } from "../selftests/harness.ts";

/** Parts of the suite: the kernel's own tests, the tests of this kit, or both. */
export const SUITES = ["kernel", "kit", "all"] as const;

/** A part of the suite. */
export type Suite = typeof SUITES[number];

/**
 * A pattern for ids. `*` stands for any run of characters, `?` for one. It
 * must match the whole id, or the id up to a dot: `iommufd_ioas` selects
 * every test of that fixture.
 */
export class Glob {
  /** The pattern as it was written. */
  readonly pattern: string;
  readonly #regexp: RegExp;

  /** `pattern` may be any string: all but `*` and `?` stand for themselves. */
  constructor(pattern: string) {
    this.pattern = pattern;
    const source = pattern
      .replace(/[\\^$.|+()[\]{}]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    this.#regexp = new RegExp(`^${source}(\\.|$)`);
  }

  /** True if the pattern selects the test of that id. */
  matches(id: string): boolean {
    return this.#regexp.test(id);
  }
}

/** A selection of tests. */
export class Selection {
  readonly #suite: Suite;
  readonly #wanted: readonly Glob[];
  readonly #unwanted: readonly Glob[];

  /** `filters` are globs, those with a leading `!` leave tests out. Without any other all tests are in. */
  constructor(suite: Suite, filters: readonly string[]) {
    this.#suite = suite;
    this.#wanted = filters.filter((filter) => !filter.startsWith("!"))
      .map((filter) => new Glob(filter));
    this.#unwanted = filters.filter((filter) => filter.startsWith("!"))
      .map((filter) => new Glob(filter.slice(1)));
  }

  /** The tests that are selected, in the same order. */
  select(tests: readonly Test[]): Test[] {
    return tests.filter((test) => this.#has(test));
  }

  /** The patterns that match none of the tests: likely typing errors. */
  unmatched(tests: readonly Test[]): string[] {
    return [...this.#wanted, ...this.#unwanted]
      .filter((glob) => !tests.some(({ id }) => glob.matches(id)))
      .map(({ pattern }) => pattern);
  }

  #has({ id, upstream }: Test): boolean {
    if (this.#suite !== "all" && upstream !== (this.#suite === "kernel")) {
      return false;
    }
    const wanted = this.#wanted.length === 0 ||
      this.#wanted.some((glob) => glob.matches(id));
    return wanted && !this.#unwanted.some((glob) => glob.matches(id));
  }
}
