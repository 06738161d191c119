// SPDX-License-Identifier: GPL-2.0-only

/** What check-adapter asks, beside the grammar of protocol.md and protocol.json. */

import { parseString } from "abnf";
import peggy from "peggy";
import { assert, assertEquals } from "@std/assert";
import { before, describe, it } from "@std/testing/bdd";
import { describeProtocol } from "../protocol/description.ts";
import { alteredModel } from "../testing/altered_model.ts";
import { TestTime } from "../testing/test_time.ts";
import { checkAdapter } from "./check_adapter.ts";

/** The rules of RFC 5234 that every grammar may use. */
const CORE = `
SP = %x20
DIGIT = %x30-39
ALPHA = %x41-5A / %x61-7A
`;

const TEXT = Deno.readTextFileSync(new URL("../protocol.md", import.meta.url));

/** The grammar of protocol.md. */
function grammar(): string {
  const [, text] = /```abnf\n(.*?)```/s.exec(TEXT)!;
  return text!;
}

/** What a line can be. */
const LINES = ["request", "reply"] as const;

const PARSER = peggy.generate(
  parseString(grammar() + CORE).toFormat({ startRule: LINES }),
  { allowedStartRules: [...LINES] },
);

function matches(line: string, startRule: typeof LINES[number]): boolean {
  try {
    PARSER.parse(line, { startRule });
    return true;
  } catch {
    return false;
  }
}

/** Characters of a request and its reply that are too many to be looked at in little time. */
const LONG = 10_000;

/** A request, and how it was answered. */
interface Asked {
  readonly request: string;
  readonly reply: string;
}

/** Everything that the checks ask of the model. */
async function everythingAsked(): Promise<Asked[]> {
  using time = new TestTime();
  time.pass(Infinity);
  const asked: Asked[] = [];
  const connect = () =>
    Promise.resolve(alteredModel(({ process, verb, args }, honest) => {
      const reply = honest();
      const request = [1, process, verb, ...args].join(" ");
      if (request.length + reply.length < LONG) {
        asked.push({ request, reply: `1 ${reply}` });
      }
      return reply;
    }));
  for await (const { name, status, message } of checkAdapter(connect)) {
    assert(status !== "wrong", `${name}: ${message}`);
  }
  return asked;
}

/** Requests that are refused although their words are in order. */
const SENSE = [
  // Of a process that is not there.
  /^1 \d+ vmstatus$/,
  /^1 \d+ passfd 0 99999$/,
  // A step whose arguments are not those of its call, or whose values are of another kind.
  /^1 0 program /,
];

let asked: readonly Asked[] = [];
before(async () => {
  asked = await everythingAsked();
});

describe("the grammar of protocol.md", () => {
  it("has each call as the table of verbs has it", () => {
    const rules = grammar().split("\n");
    for (const { name, args } of describeProtocol().calls) {
      const words = args.map(({ word }) => ` SP ${word}`).join("");
      const rule = `${name.padEnd(11)} = %s"${name}"${words}`;
      assert(rules.includes(rule), rule);
    }
  });

  it("has every request that check-adapter makes and that is carried out, and every reply", () => {
    for (const { request, reply } of asked) {
      assert(matches(reply, "reply"), reply);
      if (!/^1 error/.test(reply)) assert(matches(request, "request"), request);
    }
  });

  it("has none of those that make no sense", () => {
    const refused = asked.filter(({ request, reply }) =>
      /^1 error/.test(reply) && !SENSE.some((form) => form.test(request))
    );
    assert(refused.length > 100);
    assertEquals(
      refused.map(({ request }) => request)
        .filter((request) => matches(request, "request")),
      [],
    );
  });

  it("has the lines of the transcripts", () => {
    const lines = [...TEXT.matchAll(/^([<>]) (\d.*)$/gm)];
    assert(lines.length > 15);
    for (const [, sign, line] of lines) {
      assert(matches(line!, sign === ">" ? "request" : "reply"), line);
    }
  });
});

describe("checkAdapter()", () => {
  it("makes every request of protocol.json, and gets every kind of answer that a process that lives gives", () => {
    const { adapter, lists, calls, replies } = describeProtocol();
    const carriedOut = new Set(
      asked.filter(({ reply }) => /^1 (ok|fault)/.test(reply))
        .map(({ request }) => request.split(" ")[2]),
    );
    const names = [adapter, lists, calls].flat().map(({ name }) => name);
    assertEquals(names.filter((name) => !carriedOut.has(name)), []);
    const kinds = new Set(asked.map(({ reply }) => reply.split(" ")[1]));
    assertEquals(
      Object.keys(replies).filter((kind) => !kinds.has(kind)),
      ["died"],
    );
  });
});
