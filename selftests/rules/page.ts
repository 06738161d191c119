// SPDX-License-Identifier: GPL-2.0-only

/**
 * The page of the rules, `selftests/RULES.md`, made from the tables and from
 * what the tests name: `deno task rules` writes it.
 *
 * @module
 */

import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { allTests } from "../all.ts";
import { type Area, AREAS, provesIn, type RuleCode } from "./rules.ts";
import { LEVELS } from "./rule.ts";

/** Where the page is. */
export const PAGE: URL = new URL("../RULES.md", import.meta.url);

/** The page as Markdown. */
export function rulesPage(): string {
  const tests = REVISION_NAMES.toReversed().flatMap(allTests);
  const proves = provesIn(tests);
  const levels = Object.entries(LEVELS)
    .map(([level, meaning]) => `- **${level}**: ${meaning}.\n`);
  const contents = AREAS.map(({ title, rules }) =>
    `- [${title}](#${anchor(title)}): ${codesOf(rules).join(", ")}\n`
  );
  const areas = AREAS.map((area) => areaSection(area, proves));
  return `<!-- Written by "deno task rules". -->

# The rules

What Linux does, as the tests of this kit prove it: where in Linux, and since
when. A version that the model has later than that does it too; \`v3\` is the
series as it was posted, with the bugs fixed that its review found. 6.2 is the
first Linux with iommufd: what VFIO did before has it too. Files and functions
have the names of Linux 7.3.

${levels.join("")}
A test names the codes of the rules that it proves, and reports name the rules of
a test that fails. \`deno task conformance explain C2.27\` prints a rule with its
tests, \`deno task conformance explain kit_dirty.get_order\` a test with its
rules, and \`deno task conformance --filter 'kit_dirty.*get_order'\` runs it.

${contents.join("")}${areas.join("")}`;
}

/** The letters and first numbers of the codes. */
function codesOf(rules: Area["rules"]): string[] {
  const prefixes = Object.keys(rules).map((code) =>
    code.replace(/\.\d+$/, ".*").replace(/^([BS])\d+$/, "$1*")
  );
  return [...new Set(prefixes)];
}

/** What a heading is linked by. */
function anchor(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");
}

/** The rules of an area, a line each. */
function areaSection(
  { title, about, rules }: Area,
  proves: ReturnType<typeof provesIn>,
): string {
  const lines = Object.entries(rules).map((
    [code, { says, where, since, level }],
  ) => {
    const tests = proves.get(code as RuleCode)!.map((name) => `\`${name}\``);
    const cells = [
      `<a id="${code}"></a>${code}`,
      escapeCell(says),
      since,
      level,
      `\`${where}\``,
      tests.join(", "),
    ];
    return `| ${cells.join(" | ")} |\n`;
  });
  return `
## ${title}

${about}

| rule | what Linux does | since | level | where | proved by |
| ---- | --------------- | ----- | ----- | ----- | --------- |
${lines.join("")}`;
}

/** A text as a cell of a table. */
function escapeCell(text: string): string {
  return text.replaceAll(/[\\|*<]/g, "\\$&");
}

if (import.meta.main) await Deno.writeTextFile(PAGE, rulesPage());
