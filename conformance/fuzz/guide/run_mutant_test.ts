// SPDX-License-Identifier: GPL-2.0-only

/** A changed program ends where it must not go on. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Model } from "../../../selftests/target/impl_target.ts";
import { runMutant } from "./run_mutant.ts";
import { OPEN, step } from "./testing/programs.ts";

const model = new Model("7.3", { memory: 2 ** 24, hasOnlyCard: true });
const ALWAYS = () => true;
const EVENT = step("eventfd", 1, 0);
const READ = step("read", 3, new Uint8Array(8));

describe("a changed program", () => {
  it("comes with what its steps came to", () => {
    const { program, outcomes, problems } = runMutant(
      [EVENT, READ, OPEN],
      model,
      ALWAYS,
    );
    assertEquals(program, [EVENT, READ, OPEN]);
    assertEquals(
      outcomes.map((each) => each.kind === "returned" && each.result),
      [3, 8, 4],
    );
    assertEquals(problems, []);
  });

  it("ends before a call that would wait on Linux", () => {
    const { program, outcomes } = runMutant(
      [EVENT, READ, READ, OPEN],
      model,
      ALWAYS,
    );
    assertEquals(program, [EVENT, READ]);
    assertEquals(outcomes.length, 2);
  });

  it("ends before a call that must not be made", () => {
    const { program, outcomes } = runMutant(
      [EVENT, OPEN, READ],
      model,
      (_model, _run, { call }) => call.verb.name !== "open",
    );
    assertEquals(program, [EVENT]);
    assertEquals(outcomes.length, 1);
  });

  it("leaves the machine as new", () => {
    runMutant([OPEN, OPEN], model, ALWAYS);
    assertEquals(
      runMutant([EVENT], model, ALWAYS).outcomes.map((each) =>
        each.kind === "returned" && each.result
      ),
      [3],
    );
  });
});
