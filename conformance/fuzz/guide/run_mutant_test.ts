// SPDX-License-Identifier: GPL-2.0-only

/** A changed program ends where it must not go on, as any program does. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Model } from "../../../selftests/target/impl_target.ts";
import { runMutant } from "./run_mutant.ts";
import { OPEN, step } from "./testing/programs.ts";

const model = new Model("7.3", { memory: 2 ** 24, hasOnlyCard: true });
const OPTIONS = { model, uapi: "7.3", before: () => true } as const;
const EVENT = step("eventfd", 1, 0);
/** What the end of a program begins with. */
const ASKS = step("vmstatus", [0, 0]);
const READ = step("read", 3, new Uint8Array(8));

describe("a changed program", () => {
  it("comes with what its steps came to", () => {
    const { program, outcomes, problems } = runMutant(
      [EVENT, READ, OPEN],
      OPTIONS,
    );
    assertEquals(program.slice(0, 3), [EVENT, READ, OPEN]);
    assertEquals(
      outcomes.slice(0, 3).map((each) =>
        each.kind === "returned" && each.result
      ),
      [3, 8, 4],
    );
    assertEquals(problems, []);
  });

  it("ends before a call that would wait on Linux", () => {
    const { program, outcomes } = runMutant(
      [EVENT, READ, READ, OPEN],
      OPTIONS,
    );
    assertEquals(program.slice(0, 3), [EVENT, READ, ASKS]);
    assertEquals(outcomes.length, program.length);
  });

  it("ends before a call that must not be made", () => {
    const { program, outcomes } = runMutant(
      [EVENT, OPEN, READ],
      {
        ...OPTIONS,
        before: (_model, _run, { call }) => call.verb.name !== "open",
      },
    );
    assertEquals(program.slice(0, 2), [EVENT, ASKS]);
    assertEquals(outcomes.length, program.length);
  });

  it("leaves the machine as new", () => {
    runMutant([OPEN, OPEN], OPTIONS);
    assertEquals(
      runMutant([EVENT], OPTIONS).outcomes.slice(0, 1).map((each) =>
        each.kind === "returned" && each.result
      ),
      [3],
    );
  });
});
