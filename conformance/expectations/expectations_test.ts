// SPDX-License-Identifier: GPL-2.0-only

import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EXPECTED_STATUSES, parseExpectations } from "./expectations.ts";
import { result } from "../reports/testing/sample_run.ts";
import type { Status } from "../reports/results.ts";
import { UsageError } from "../lib/usage_error.ts";

/** An entry that is complete. */
const ENTRY = {
  id: "a",
  expect: "fail",
  reason: "Not there yet",
  link: "https://example.org/1",
};

function parse(...entries: object[]) {
  return parseExpectations(JSON.stringify(entries), "known.json");
}

/** What becomes of a test that ended so. */
function judged(status: Status, ...entries: object[]): Status {
  return parse(...entries).judge("impl:", result("a.b", { status })).status;
}

describe("Expectations", () => {
  it("leave a result alone that no entry is about", () => {
    const passed = result("b.c");
    assertEquals(parse(ENTRY).judge("impl:", passed), passed);
  });

  for (
    const [status, expect, seen] of [
      ["fail", "fail", "xfail"],
      ["crash", "crash", "xfail"],
      ["crash", "fail", "crash"],
      ["pass", "fail", "xpass"],
      ["pass", ["pass", "fail"], "pass"],
      ["fail", ["pass", "fail"], "xfail"],
      ["timeout", ["error", "timeout"], "xfail"],
      ["skip", "fail", "skip"],
      ["notrun", "fail", "notrun"],
    ] as const
  ) {
    it(`see a ${status} as ${seen} where ${expect} is expected`, () => {
      assertEquals(judged(status, { ...ENTRY, expect }), seen);
    });
  }

  it("tell the reason, the link and how the test really ended", () => {
    const { expected, message } = parse(ENTRY).judge("impl:", result("a.b"));
    assertEquals(expected, {
      actual: "pass",
      reason: ENTRY.reason,
      link: ENTRY.link,
    });
    assertEquals(message, "It passed, and was expected to end with fail");
  });

  it("apply only to the target and the revision that they name", () => {
    const entries = parse(
      { ...ENTRY, when: { target: "stdio:*adapter" } },
      { ...ENTRY, when: { uapi: "v3" } },
    );
    assertEquals(entries.find("a.b", "stdio:./my_adapter", "6.12"), 0);
    assertEquals(entries.find("a.b", "stdio:./my_adapter --x", "6.12"), -1);
    assertEquals(entries.find("a.b", "impl:", "v3"), 1);
    assertEquals(entries.find("a.b", "impl:", "6.12"), -1);
  });

  it("are decided by the first that applies", () => {
    const first = { ...ENTRY, id: "a.b", expect: "crash" };
    assertEquals(judged("crash", first, ENTRY), "xfail");
    assertEquals(judged("fail", first, ENTRY), "fail");
  });

  it("are a problem when they match no test of the suite", () => {
    const ids = ["a.b"];
    const column = { spec: "impl:", uapi: "6.12" as const, ids };
    const entries = parse(ENTRY, { ...ENTRY, id: "gone" }, {
      ...ENTRY,
      id: "a.b",
    });
    assertEquals(entries.problems([column]), [
      `known.json, entry 2: "gone" matches no test`,
      `known.json, entry 3: "a.b" decides nothing: earlier entries match all its tests`,
    ]);
  });

  it("are a problem when they let several tests pass or not", () => {
    const columns = [{
      spec: "impl:",
      uapi: "6.12",
      ids: ["a.b", "a.c", "a.t/1", "a.t/2"],
    }] as const;
    const both = { ...ENTRY, expect: ["pass", "fail"] };
    const all = { ...both, expect: EXPECTED_STATUSES };
    for (const entry of [{ ...all, id: "*" }, { ...both, id: "a" }]) {
      assertEquals(parse(entry).problems(columns), [
        `known.json, entry 1: "${entry.id}" lets 3 tests pass or not: one that ` +
        "does not always end in the same way needs an entry of its own",
      ]);
    }
    for (const entry of [{ ...both, id: "a.t" }, { ...ENTRY, id: "*" }]) {
      assertEquals(parse(entry).problems(columns), []);
    }
  });

  it("may be about several patterns, each of which must be true", () => {
    const column = {
      spec: "impl:",
      uapi: "6.12" as const,
      ids: ["a.b", "a.c", "b.a"],
    };
    const both = parse({ ...ENTRY, id: ["a.b", "b"] });
    assertEquals(both.problems([column]), []);
    assertEquals(both.find("b.a", "impl:", "6.12"), 0);
    assertEquals(both.find("a.c", "impl:", "6.12"), -1);
    const more = parse({ ...ENTRY, id: ["a.b", "gone", "a.*", "b", "b.a"] });
    assertEquals(more.problems([column]), [
      `known.json, entry 1: "gone" matches no test`,
      `known.json, entry 1: "b.a" decides nothing: earlier entries match all its tests`,
    ]);
  });

  it("are no problem when they are about another target", () => {
    const column = { spec: "impl:", uapi: "6.12" as const, ids: [] };
    const when = { target: "tcp:*" };
    assertEquals(parse({ ...ENTRY, when }).problems([column]), []);
    const uapi = { uapi: "v3" };
    assertEquals(parse({ ...ENTRY, when: uapi }).problems([column]), []);
  });
});

describe("parseExpectations()", () => {
  const { link: _, ...withoutLink } = ENTRY;
  const mistakes: [text: string, message: string][] = [
    ["[", `Cannot parse expectations "known.json": `],
    ["{}", "it must hold an array, or an object with link and expectations."],
    ['{"link": "", "expectations": []}', "it must hold an array, or an object"],
    ['{"links": "x", "expectations": []}', "it must hold an array, or an obj"],
    [JSON.stringify([{ ...ENTRY, id: [] }]), `"id" must be there`],
    [JSON.stringify([{ ...ENTRY, id: ["a", ""] }]), `"id" must be there`],
    ["[1]", "known.json, entry 1: It must be an object."],
    [
      JSON.stringify([ENTRY, withoutLink]),
      `entry 2: "link" must be there, and a text that is not empty.`,
    ],
    [JSON.stringify([{ ...ENTRY, reason: " " }]), `"reason" must be there`],
    [JSON.stringify([{ ...ENTRY, id: "" }]), `"id" must be there`],
    [
      JSON.stringify([{ ...ENTRY, resaon: "x" }]),
      `Unknown property "resaon": there are id, when, expect, reason, link. Did you mean "reason"?`,
    ],
    [
      JSON.stringify([{ ...ENTRY, expect: "fial" }]),
      `"expect" cannot be "fial": it must be pass, fail, crash, timeout, error. Did you mean "fail"?`,
    ],
    [JSON.stringify([{ ...ENTRY, expect: [] }]), `"expect" must name a way`],
    [JSON.stringify([{ ...ENTRY, expect: "pass" }]), `must name a way to fail`],
    [JSON.stringify([{ ...ENTRY, when: 1 }]), `"when" must be an object.`],
    [
      JSON.stringify([{ ...ENTRY, when: { uapi: "6.13" } }]),
      `"uapi" cannot be "6.13": it must be ${REVISION_NAMES.join(", ")}.`,
    ],
    [
      JSON.stringify([{ ...ENTRY, when: { targets: "x" } }]),
      `Unknown property "targets"`,
    ],
  ];
  for (const [text, message] of mistakes) {
    it(`refuses ${text}`, () => {
      assertThrows(
        () => parseExpectations(text, "known.json"),
        UsageError,
        message,
      );
    });
  }

  it("takes the file's link where an entry has none", () => {
    const link = "https://example.org/all";
    const file = { link, expectations: [withoutLink, { ...ENTRY, id: "b" }] };
    const read = parseExpectations(JSON.stringify(file), "known.json");
    assertEquals(read.entries.map((entry) => read.linkOf(entry)), [
      link,
      ENTRY.link,
    ]);
    const failed = result("a.b", { status: "fail" });
    assertEquals(read.judge("impl:", failed).expected?.link, link);
  });

  it("lets reason and link be empty while the file is written anew", () => {
    const text = JSON.stringify([{ ...ENTRY, reason: "", link: "" }]);
    assertEquals(parseExpectations(text, "x", false).entries.length, 1);
  });
});
