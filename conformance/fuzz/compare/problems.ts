// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is left after a program, in kinds that all targets have: their words
 * for it are their own.
 *
 * @module
 */

/** The kinds that have words of their own in each target. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [
    /^The kernel warned: |WARNING:|BUG:|BUG at|Oops|KASAN|UBSAN|refcount_t:|general protection fault/,
    "a warning",
  ],
  [/pages? (?:frames )?(?:are still|stay) pinned/, "pinned pages"],
];

/** What a problem is: its kind, or its sentence without what is a matter of style. */
export function kindOfProblem(problem: string): string {
  const kind = KINDS.find(([pattern]) => pattern.test(problem));
  if (kind) return kind[1];
  return problem.charAt(0).toLowerCase() + problem.slice(1).replace(/\.$/, "");
}

/** The kinds of problems, in order, each once. */
export function kindsOfProblems(problems: readonly string[]): string[] {
  return [...new Set(problems.map(kindOfProblem))].sort();
}
