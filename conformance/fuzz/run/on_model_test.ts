// SPDX-License-Identifier: GPL-2.0-only

/** What the model fails over is a program like others, with what it came to so far. */

import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Random } from "../../../selftests/harness/random.ts";
import { IMPL_CALLS } from "../../../selftests/target/impl_calls.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import type { Outcome, Program } from "../../../selftests/target/program.ts";
import { compare } from "../compare/compare.ts";
import { Masks } from "../compare/masks.ts";
import { generate, PROFILES } from "../generate/generate.ts";
import { OPEN, step } from "../guide/testing/programs.ts";
import { runMutant } from "../guide/run_mutant.ts";
import { MACHINE, runOnModel } from "./on_model.ts";

const uapi = "7.3";

/** A model that fails over each call of `close`. */
function failing(): Model {
  const calls = {
    ...IMPL_CALLS,
    close: () => {
      throw new Error("a defect");
    },
  };
  return new Model(uapi, { ...MACHINE, calls });
}

const CLOSES = [OPEN, step("close", 3), OPEN];

/** Where a program ended, and why; its first difference from one that did not. */
function endOf(program: Program, outcomes: readonly Outcome[]) {
  const at = outcomes.findIndex(({ kind }) => kind === "died");
  const whole = runOnModel(new Model(uapi, MACHINE), program);
  const ours = { outcomes, problems: [] };
  return { at, difference: compare(program, ours, whole, new Masks(uapi)) };
}

describe("a program that the model fails over", () => {
  it("is there whole where it was given, and differs where it failed", () => {
    const { outcomes, problems } = runOnModel(failing(), CLOSES);
    assertMatch(problems.join(), /the model failed: Error: a defect/);
    const { at, difference } = endOf(CLOSES, outcomes);
    assertEquals(at, 1);
    assertEquals(difference?.step, 1);
    assertMatch(difference!.text, /a defect/);
  });

  it("ends with that step where it was changed", () => {
    const options = { model: failing(), uapi, before: () => true } as const;
    const { program, outcomes } = runMutant(CLOSES, options);
    assertEquals(program, CLOSES.slice(0, 2));
    assertEquals(endOf(program, outcomes).at, 1);
  });

  it("ends with that step where it was made", () => {
    const random = new Random(1);
    const made = generate({
      model: failing(),
      uapi,
      random,
      length: 400,
      profile: PROFILES.files!,
    });
    const { program, outcomes } = made;
    assertEquals(program.at(-1)!.call.verb.name, "close");
    assertEquals(endOf(program, outcomes).at, program.length - 1);
    assertEquals(outcomes.length, program.length);
  });
});
