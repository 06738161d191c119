// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Verb, VERBS } from "../../selftests/target/verbs.ts";

const TEXT = Deno.readTextFileSync(new URL("../protocol.md", import.meta.url));

/** A section, from its heading to the next. */
function section(title: string): string {
  const start = TEXT.indexOf(`## ${title}`);
  return TEXT.slice(start, TEXT.indexOf("\n## ", start));
}

/** What stands between backquotes. */
function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, words]) => words!);
}

/** The cells of the tables of a text, without headings. */
function rows(text: string): string[][] {
  return text.split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
    .filter(([first]) => first!.startsWith("`"));
}

/** A verb as the table of system calls has it: the request, and the values of the reply. */
function documented({ name, args, returns }: Verb): [string, string] {
  const sent = args.filter(([, kind]) => kind !== "numbers");
  const back = args.flatMap(([name, kind]) =>
    kind === "into"
      ? ["BYTES"]
      : kind === "struct" || kind === "numbers"
      ? [name]
      : []
  );
  return [
    [name, ...sent.map(([name]) => name)].join(" "),
    [...returns ? [returns] : [], ...back].join(" "),
  ];
}

/** The verbs that a sentence of protocol.md names: `each CALL is an ioctl, …`. */
function named(list: string): string[] {
  const start = TEXT.indexOf(`\`${list}\` makes several calls`);
  const from = TEXT.indexOf("where each `CALL` is", start);
  const [, ...names] = quoted(TEXT.slice(from, TEXT.indexOf("request", from)));
  return names.sort();
}

describe("protocol.md", () => {
  it("has each verb with its arguments and values, in the order of the table, and no other", () => {
    const calls = rows(section("System calls")).flatMap(([requests, reply]) =>
      quoted(requests!).map((request) => [
        request,
        quoted(reply!)[0] ?? reply!,
      ])
    );
    assertEquals(calls, VERBS.map(documented));
  });

  it("says which calls can be batched, and which can be timed", () => {
    const names = (how: "batched" | "timed") =>
      (VERBS as readonly Verb[]).filter((verb) => verb[how])
        .map(({ name }) => name).sort();
    assertEquals(named("batch"), names("batched"));
    assertEquals(named("time"), names("timed"));
  });

  it("has the capabilities that verbs need", () => {
    const capabilities = rows(section("Capabilities"))
      .flatMap(([names]) => quoted(names!));
    for (const { name, needs } of VERBS as readonly Verb[]) {
      if (needs === undefined) continue;
      assertEquals(capabilities.includes(needs), true, name);
    }
  });
});
