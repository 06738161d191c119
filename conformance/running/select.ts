// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which tests of the suite run.
 *
 * @module
 */

import type { Test } from "../../selftests/harness/harness.ts";
import { narrow } from "../../selftests/harness/table.ts";
import { VFIO_PROGRAMS } from "../../selftests/vfio/programs.ts";
import { Glob } from "../lib/glob.ts";

/** Parts of the suite: the kernel's own tests, those of one of its programs, the tests of this kit, or all. */
export const SUITES = [
  "kernel",
  "iommufd",
  "iommufd_fail_nth",
  ...VFIO_PROGRAMS,
  "kit",
  "all",
] as const;

/** A part of the suite. */
export type Suite = typeof SUITES[number];

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

  /** The tests that are selected, in the same order, those with cases with the selected ones. */
  select(tests: readonly Test[]): Test[] {
    return tests.flatMap((test) =>
      narrow(test, (each) => this.#has(each)) ?? []
    );
  }

  /** The patterns that match none of the tests: likely typing errors. */
  unmatched(tests: readonly Test[]): string[] {
    return [...this.#wanted, ...this.#unwanted]
      .filter((glob) =>
        !tests.some((test) => narrow(test, ({ id }) => glob.matches(id)))
      )
      .map(({ pattern }) => pattern);
  }

  #has({ id, program }: Test): boolean {
    if (!isPartOf(program, this.#suite)) return false;
    const wanted = this.#wanted.length === 0 ||
      this.#wanted.some((glob) => glob.matches(id));
    return wanted && !this.#unwanted.some((glob) => glob.matches(id));
  }
}

/** True if tests of a kernel program, or of this kit if there is none, belong to a part of the suite. */
function isPartOf(program: string | undefined, suite: Suite): boolean {
  if (suite === "kernel") return program !== undefined;
  if (suite === "kit") return program === undefined;
  return suite === "all" || suite === program;
}
