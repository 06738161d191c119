// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ENOENT } from "../impl/uapi/errno.ts";
import { IommuDestroy } from "../impl/uapi/iommufd.ts";
import { Machine } from "./measuring/machine.ts";
import { type Effort, measure } from "./measuring/measure.ts";
import { allScenarios } from "./operations.ts";
import { operationName, type Scenario } from "./measuring/scenario.ts";
import { ioctl } from "./measuring/steps.ts";

/** Two rounds: the second one shows that the first one put everything back. */
const TWO_ROUNDS: Effort = {
  warmup: 0,
  measure: 0,
  minRounds: 2,
  maxRounds: 2,
};

/** A table has one row per name. */
function namesOf({ operations }: Scenario): string[] {
  return Object.values(operations).map(operationName);
}

describe("the scenarios", () => {
  it("give every operation a name of its own", () => {
    const names = allScenarios().flatMap(namesOf);
    assertEquals(new Set(names).size, names.length);
  });

  it("list the sizes of a series from small to large", () => {
    const last = new Map<string, number>();
    for (const { operations } of allScenarios()) {
      for (const { series, size } of Object.values(operations)) {
        assert((size?.value ?? 1) > (last.get(series) ?? 0), series);
        last.set(series, size?.value ?? 1);
      }
    }
  });

  it("have a floor for each operation that touches pages or all areas, and for no other", () => {
    const forked = "fork; the child maps, unmaps and exits";
    const ofAll =
      /^IOAS_UNMAP of everything|over .* each$|^close of the fd with/;
    for (const { operations, floor } of allScenarios()) {
      const keys = Object.keys(floor?.() ?? {});
      for (const [key, { pages, series }] of Object.entries(operations)) {
        const expected = (pages > 0 && series !== forked) || ofAll.test(series);
        assertEquals(keys.includes(key), expected, series);
      }
    }
  });

  for (const scenario of allScenarios()) {
    if (scenario.slow) continue;
    it(`can be repeated and leave nothing behind: ${namesOf(scenario)[0]}`, async () => {
      const results = await measure(scenario, TWO_ROUNDS);
      assertEquals(results.length, Object.keys(scenario.operations).length);
      for (const { times, operation } of results) {
        assertEquals(times.length, 2, operationName(operation));
        assert(times[0]! > 0);
      }
    });
  }
});

describe("measure()", () => {
  it("throws when a call fails that should not", async () => {
    const wrong: Scenario = {
      group: "wrong",
      operations: { call: { series: "wrong", calls: 1, pages: 0 } },
      prepare({ io }) {
        const values = { id: 77 };
        const destroy = ioctl(io.fd, IommuDestroy, values);
        return Promise.resolve([{ measures: "call", steps: [destroy] }]);
      },
    };
    await assertRejects(() => measure(wrong, TWO_ROUNDS), Error, ENOENT.name);
  });
});

describe("Machine.shutDown()", () => {
  it("throws when something was left behind", async () => {
    const machine = await Machine.boot();
    machine.kernel.warnings.on(true, "something odd");
    let message = "";
    try {
      machine.shutDown();
    } catch (error) {
      message = String(error);
    }
    assert(message.includes("something odd"), message);
  });
});
