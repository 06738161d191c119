// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Expectation, Expectations } from "./expectations.ts";
import {
  type UpdateColumn,
  updateExpectations,
} from "./expectations_update.ts";
import { result } from "../reports/testing/sample_run.ts";
import type { Status } from "../reports/results.ts";

const IDS = ["a.1", "a.2", "b.1"];

/** A target on which tests ended so; what is not named did not run. */
function column(
  statuses: Readonly<Record<string, Status>>,
  more: Partial<UpdateColumn> = {},
): UpdateColumn {
  return {
    spec: "x:",
    uapi: "6.12",
    ids: IDS,
    results: Object.entries(statuses).map(([id, status]) =>
      result(id, { status, message: `${id} ended with ${status}` })
    ),
    ...more,
  };
}

const KNOWN: Expectation = {
  id: "a",
  expect: "fail",
  reason: "Known",
  link: "https://example.org/1",
};

function update(
  entries: readonly Expectation[],
  ...columns: UpdateColumn[]
): Expectation[] {
  return updateExpectations(new Expectations(entries, "known.json"), columns);
}

describe("updateExpectations()", () => {
  it("keeps an entry that holds", () => {
    const entries = [KNOWN];
    const after = column({ "a.1": "fail", "a.2": "fail", "b.1": "pass" });
    assertEquals(update(entries, after), entries);
  });

  it("adds an entry without a link for a failure that nobody expected", () => {
    assertEquals(update([], column({ "a.1": "pass", "b.1": "crash" })), [{
      id: "b.1",
      when: { target: "x:" },
      expect: "crash",
      reason: "b.1 ended with crash",
      link: "",
    }]);
  });

  it("has one entry for failures of one cause, and the link is the file's", () => {
    const link = "https://example.org/all";
    const known = new Expectations([], "known.json", link);
    const message = "COPY: expected success, got ENOTTY";
    const results = IDS.map((id) => result(id, { status: "fail", message }));
    const columns = [column({}, { results })];
    const entries = updateExpectations(known, columns);
    assertEquals(entries, [{
      id: IDS,
      when: { target: "x:" },
      expect: "fail",
      reason: message,
    }]);
    const again = new Expectations(entries, "known.json", link);
    assertEquals(updateExpectations(again, columns), entries);
    const better = [column({ "a.1": "fail", "a.2": "pass", "b.1": "fail" })];
    assertEquals(updateExpectations(again, better), [
      { ...entries[0]!, id: ["a.1", "b.1"] },
    ]);
  });

  it("drops the patterns of an entry that match no test", () => {
    const entry = { ...KNOWN, id: ["gone", "a.1"] };
    assertEquals(update([entry], column({ "a.1": "fail" })), [
      { ...KNOWN, id: "a.1" },
    ]);
  });

  for (
    const [spec, pattern, others = []] of [
      [
        "stdio:python3 /home/me/toy/adapter.py --log /tmp/x.txt",
        "stdio:*adapter.py*",
      ],
      ["stdio:./my_adapter --fast", "stdio:*my_adapter*"],
      ["stdio:deno run -A ./agent.ts --uapi 7.3", "stdio:*agent.ts*"],
      ["stdio:cat", "stdio:*cat*"],
      ["stdio:./a 'b c'", "stdio:*a*"],
      ["stdio:'./a$ b'", "stdio:'./a$ b'"],
      ["stdio:./toy --broken id", "stdio:./toy --broken id", ["stdio:./toy"]],
      ["unix:/run/user/1000/iommufd.sock", "unix:*iommufd.sock*"],
      ["module:../x/target.ts", "module:*target.ts*"],
      ["tcp:localhost:80", "tcp:localhost:80"],
      ["impl:7.3,scattered=7", "impl:7.3,scattered=7"],
    ] as [string, string, string[]?][]
  ) {
    it(`means ${spec} by ${pattern}${others.length ? `, beside ${others}` : ""}`, () => {
      const beside = others.map((spec) => column({}, { spec }));
      const [entry] = update(
        [],
        column({ "a.1": "fail" }, { spec }),
        ...beside,
      );
      assertEquals(entry?.when?.target, pattern);
      const read = new Expectations([entry!], "known.json");
      assertEquals(read.find("a.1", spec, "6.12"), 0);
    });
  }

  it("drops an entry whose tests pass", () => {
    assertEquals(update([KNOWN], column({ "a.1": "pass", "a.2": "pass" })), []);
  });

  it("drops an entry that matches no test", () => {
    assertEquals(update([{ ...KNOWN, id: "gone" }], column({})), []);
  });

  it("keeps an entry that is about another target", () => {
    const entries = [{ ...KNOWN, id: "gone", when: { target: "y:" } }];
    assertEquals(update(entries, column({ "a.1": "pass" })), entries);
  });

  it("tells an entry test by test that holds for some only", () => {
    const after = column({ "a.1": "pass", "a.2": "fail" });
    assertEquals(update([KNOWN], after), [
      { ...KNOWN, id: "a.2", when: { target: "x:" } },
    ]);
  });

  it("keeps what it knows of tests that did not run", () => {
    assertEquals(update([KNOWN], column({ "a.1": "pass" })), [
      { ...KNOWN, id: "a.2", when: { target: "x:" } },
    ]);
    assertEquals(update([KNOWN], column({})), [KNOWN]);
  });

  it("keeps reason and link of a test that ends otherwise now", () => {
    const entry = { ...KNOWN, id: "a.1" };
    assertEquals(update([entry], column({ "a.1": "timeout" })), [
      { ...entry, when: { target: "x:" }, expect: "timeout" },
    ]);
  });

  it("keeps all that may happen of a test that does not always end in one way", () => {
    const flaky: Expectation = { ...KNOWN, expect: ["pass", "timeout"] };
    assertEquals(
      update([flaky], column({ "a.1": "fail", "a.2": "timeout" })),
      [
        { ...flaky, id: "a.2", when: { target: "x:" } },
        { ...flaky, id: "a.1", when: { target: "x:" }, expect: "fail" },
      ],
    );
  });

  it("names the revision where revisions differ", () => {
    const old = column({ "a.1": "pass" }, { uapi: "v3" });
    assertEquals(update([], column({ "a.1": "fail" }), old), [{
      id: "a.1",
      when: { target: "x:", uapi: "6.12" },
      expect: "fail",
      reason: "a.1 ended with fail",
      link: "",
    }]);
  });

  describe("with cases", () => {
    const ids = ["a.1/x", "a.1/y", "a.2"];

    it("has one entry for a test whose cases all end in the same way", () => {
      const after = column({ "a.1/x": "fail", "a.1/y": "fail" }, { ids });
      const [entry, ...others] = update([], after);
      assertEquals([entry!.id, others], ["a.1", []]);
      assertEquals(update([entry!], after), [entry!]);
    });

    it("has an entry for each case otherwise", () => {
      const after = column({ "a.1/x": "fail", "a.1/y": "crash" }, { ids });
      assertEquals(
        update([], after).map(({ id, expect }) => [id, expect]),
        [["a.1/x", "fail"], ["a.1/y", "crash"]],
      );
      const half = column({ "a.1/x": "fail", "a.1/y": "pass" }, { ids });
      assertEquals(update([], half).map(({ id }) => id), ["a.1/x"]);
    });
  });

  it("comes to rest: the run after it has nothing to change", () => {
    const columns = [column({ "a.1": "pass", "a.2": "fail", "b.1": "error" })];
    const once = update([KNOWN], ...columns);
    assertEquals(update(once, ...columns), once);
  });
});
