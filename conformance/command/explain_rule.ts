// SPDX-License-Identifier: GPL-2.0-only

/**
 * Says what a rule is, and which tests prove it.
 *
 * @module
 */

import { provesIn, type RuleCode, RULES } from "../../selftests/rules/rules.ts";
import { LEVELS } from "../../selftests/rules/rule.ts";
import type { Test } from "../../selftests/harness/harness.ts";

/** What is known of a rule; `tests` are those that may prove it. */
export function explainRule(code: RuleCode, tests: readonly Test[]): string {
  const { says, where, since, level } = RULES[code];
  const facts = [
    ["Linux", says],
    ["where", where],
    ["since", since],
    ["level", LEVELS[level]],
    ...provesIn(tests).get(code)!.map((name) => ["proved by", name]),
  ];
  return [
    code,
    ...facts.map(([name, value]) => `  ${name!.padEnd(9)}  ${value}`),
  ]
    .map((line) => `${line}\n`).join("");
}
