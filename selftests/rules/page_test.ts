// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { PAGE, rulesPage } from "./page.ts";
import { AREAS, provesIn, RULE_CODES, RULES } from "./rules.ts";
import { allTests } from "../all.ts";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { isSince } from "../../impl/uapi/revision/versions.ts";

const ROOT = new URL("../../", import.meta.url);
/** A code where a text names one, and the range that may begin with it. */
const CODE = /\b(?:[BS]\d\d|[ACDFPUVX]\d{1,2}\.\d+)\b/g;
const TESTS = REVISION_NAMES.flatMap(allTests);

/** Every source and page of the project by its path. */
function textsIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap((entry) => {
    if (/^(\.|node_modules$|coverage$)/.test(entry.name)) return [];
    const path = folder + entry.name;
    if (entry.isDirectory) return textsIn(`${path}/`);
    return /\.(ts|md|c|h)$/.test(path) ? [path] : [];
  });
}

describe("The rules", () => {
  it("have a code each", () => {
    const codes = AREAS.flatMap(({ rules }) => Object.keys(rules));
    assertEquals(codes.toSorted(), RULE_CODES.toSorted());
    assertEquals(codes.filter((code) => code.match(CODE)?.[0] !== code), []);
  });

  it("say what Linux does in sentences", () => {
    const wrong = AREAS.flatMap(({ rules }) => Object.entries(rules))
      .filter(([, { says, where }]) => !says.endsWith(".") || where === "")
      .map(([code]) => code);
    assertEquals(wrong, []);
  });

  it("are all that the project names", () => {
    const known = new Set<string>(RULE_CODES);
    const unknown = textsIn("").flatMap((path) =>
      (Deno.readTextFileSync(new URL(path, ROOT)).match(CODE) ?? [])
        .filter((code) => !known.has(code))
        .map((code) => `${path}: ${code}`)
    );
    assertEquals(unknown, []);
  });

  it("are each proved by a test", () => {
    const unproved = [...provesIn(TESTS)].filter(([, names]) => !names.length)
      .map(([code]) => code);
    assertEquals(unproved, []);
  });

  it("are proved in a version that has them", () => {
    const proved = new Set(
      TESTS.flatMap(({ rules, uapi }) =>
        rules.filter((code) => isSince(uapi.at(-1)!, RULES[code].since))
      ),
    );
    assertEquals(RULE_CODES.filter((code) => !proved.has(code)), []);
  });

  it("are named by every test", () => {
    const without = TESTS.filter(({ rules }) => rules.length === 0);
    assertEquals(without.map(({ id }) => id), []);
  });

  it("stand in the page: deno task rules", () => {
    assert(
      Deno.readTextFileSync(PAGE) === rulesPage(),
      "selftests/RULES.md is not up to date: deno task rules",
    );
  });
});
