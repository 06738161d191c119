// SPDX-License-Identifier: GPL-2.0-only

/**
 * What Linux's selftest programs print: the Test Anything Protocol, a line for
 * each test.
 *
 * @module
 */

/** How the tests of a program ended. */
export interface TapResult {
  /** How many the program said it has. */
  readonly planned: number;
  /** Names of those that passed. */
  readonly passed: readonly string[];
  /** Names of those that failed. */
  readonly failed: readonly string[];
  /** Names of those that were not applicable, with the reasons. */
  readonly skipped: readonly string[];
}

/** Reads what a program printed. What was planned and never ended has failed. */
export function parseTap(text: string): TapResult {
  const planned = Number(/^1\.\.(\d+)$/m.exec(text)?.[1] ?? 0);
  const passed: string[] = [];
  const failed: string[] = [];
  const skipped: string[] = [];
  for (const match of text.matchAll(/^(not )?ok \d+ (.*)$/gm)) {
    const [, not, name = ""] = match;
    const list = not ? failed : / # SKIP\b/.test(name) ? skipped : passed;
    list.push(name);
  }
  const ended = passed.length + failed.length + skipped.length;
  if (ended < planned) failed.push(`${planned - ended} that never ended`);
  if (planned === 0) failed.push("all: the program said no plan");
  return { planned, passed, failed, skipped };
}

/** What a program printed, where tests that fail on real Linux too are not applicable, and have failed if they pass. */
export function withKnown(text: string, known: readonly string[]): string {
  return text.replaceAll(
    /^(not )?ok (\d+) (.*)$/gm,
    (line, not, number, name) => {
      if (!known.includes(name)) return line;
      return not
        ? `ok ${number} ${name} # SKIP fails on real Linux too`
        : `not ok ${number} ${name} # fails on real Linux`;
    },
  );
}
