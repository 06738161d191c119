// SPDX-License-Identifier: GPL-2.0-only

/** Any program ends with questions, and with nothing that Linux would keep. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Random } from "../../../selftests/harness/random.ts";
import { LINUX } from "../../../selftests/harness/known_bugs.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import { type Program, StepByStep } from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { givesUpDevice } from "../compare/reaches.ts";
import { hereOf } from "../compare/here.ts";
import { isFatal, reachedBugs, reachesOf } from "../compare/known_bugs.ts";
import { MACHINE } from "../run/on_model.ts";
import { endProgram, stateAfter } from "./ending.ts";
import { generate, type Profile, PROFILES } from "./generate.ts";
import { shapesOf } from "./known/shapes.ts";
import type { Before } from "./maker.ts";

const uapi = "7.3";
const LENGTH = 40;

/** Leaves out what reaches a bug of Linux that leaves something. */
const soundOnLinux: Before = (model, run, step) => {
  const { capabilities } = model.info;
  const reaches = reachesOf({ uapi, capabilities: [...capabilities, LINUX] });
  return !reachedBugs(reaches, model, run, step).some(isFatal);
};

/** A program of a seed, with its end. */
function programOf(seed: number, profile: Profile, before?: Before) {
  const model = new Model(uapi, MACHINE);
  const random = new Random(seed);
  const how = { model, uapi, random, length: LENGTH, profile } as const;
  return generate(before ? { ...how, before } : how);
}

/** Whether a device goes with a PASID in a program, or when all its processes end. */
function losesPasid(program: Program): boolean {
  const model = new Model(uapi, MACHINE);
  const run = new StepByStep(model);
  for (const step of program) {
    const resolved = run.resolved(step);
    if (resolved) {
      const process = model.process(resolved.number);
      if (givesUpDevice(hereOf(process, resolved.call))) return true;
    }
    run.make(step);
  }
  return [...model.kernel.processes].some((process) => {
    const loses = givesUpDevice(hereOf(process, call("exit")));
    process.exit();
    return loses;
  });
}

describe("the end of a program", () => {
  it("asks all processes that are alive, and each answers", () => {
    for (let seed = 0; seed < 20; seed++) {
      const { program, outcomes } = programOf(seed, PROFILES.process!);
      const asked = program.slice(LENGTH);
      assertEquals(
        outcomes.slice(LENGTH).filter(({ kind }) => kind !== "returned")
          .filter(({ kind }) => kind !== "fault"),
        [],
      );
      assert(asked.some(({ call: { verb } }) => verb.name === "vmstatus"));
    }
  });

  it("is the same for a program that is followed afterwards", () => {
    for (let seed = 0; seed < 20; seed++) {
      const { program } = programOf(seed, PROFILES.pasid!);
      const model = new Model(uapi, MACHINE);
      const run = new StepByStep(model);
      const made = program.slice(0, LENGTH);
      for (const step of made) run.make(step);
      const world = stateAfter(made, run, shapesOf(uapi), model);
      endProgram({ model, run, world, uapi }, made);
      assertEquals(made, program);
    }
  });

  it("lets no device go with a PASID, if none goes before it", () => {
    let attached = 0;
    for (let seed = 0; seed < 60; seed++) {
      const { program } = programOf(seed, PROFILES.pasid!, soundOnLinux);
      assert(!losesPasid(program), `seed ${seed}`);
      if (losesPasid(program.slice(0, LENGTH))) attached++;
    }
    assert(attached > 10, `${attached} programs left a PASID attached`);
  });
});
