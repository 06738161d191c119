// SPDX-License-Identifier: GPL-2.0-only

/** Programs are taken apart and put together. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Program } from "../../../selftests/target/program.ts";
import { nodesOf, programOf } from "./nodes.ts";
import {
  allocIoas,
  map,
  OPEN,
  step,
  TWO_PROCESSES,
} from "./testing/programs.ts";

/** The steps that the references of each step name. */
function referencesOf(program: Program): number[][] {
  return program.map(({ patches = [] }) =>
    patches.map(({ from }) => from.step)
  );
}

describe("the nodes of a program", () => {
  it("make the same program", () => {
    assertEquals(programOf(nodesOf(TWO_PROCESSES)), [...TWO_PROCESSES]);
  });

  it("keep what their references mean when another one comes before them", () => {
    const nodes = nodesOf([OPEN, allocIoas(0), map(0, 1)]);
    const [other] = nodesOf([step("eventfd", 0, 0)]);
    const moved = programOf([other!, ...nodes]);
    assertEquals(referencesOf(moved), [[], [], [1], [1, 2]]);
  });

  it("refer to the last call of the same kind where theirs is gone", () => {
    const nodes = nodesOf([OPEN, OPEN, allocIoas(0), allocIoas(1), map(1, 3)]);
    const without = programOf(nodes.filter((_, i) => i !== 3));
    assertEquals(referencesOf(without), [[], [], [0], [1, 2]]);
  });

  it("have the plain value where there is none", () => {
    const nodes = nodesOf([OPEN, allocIoas(0), map(0, 1)]);
    const without = programOf(nodes.filter((_, i) => i !== 1));
    assertEquals(referencesOf(without), [[], [0]]);
  });

  it("never refer to one that comes later", () => {
    const [open, alloc, mapped] = nodesOf([OPEN, allocIoas(0), map(0, 1)]);
    const moved = programOf([mapped!, alloc!, open!]);
    assertEquals(referencesOf(moved), [[], [], []]);
  });

  it("refer to the latest copy of one that is there twice", () => {
    const [open, alloc, mapped] = nodesOf([OPEN, allocIoas(0), map(0, 1)]);
    const twice = programOf([open!, alloc!, alloc!, mapped!]);
    assertEquals(referencesOf(twice), [[], [0], [0], [0, 2]]);
  });

  it("number processes by the forks that are left", () => {
    const program: Program = [
      step("fork"),
      step("fork"),
      { ...OPEN, process: 1 },
      { ...step("passfd", 3, 2), process: 0 },
      { ...OPEN, process: 2 },
    ];
    const without = programOf(nodesOf(program).slice(1));
    const processes = without.map(({ process }) => process);
    assertEquals(processes, [0, 0, 0, 1]);
    assertEquals(without[2]!.call.args, [3, 1]);
  });

  it("number the processes of a fork that is there twice by the last one", () => {
    const [fork, open] = nodesOf([step("fork"), { ...OPEN, process: 1 }]);
    const twice = programOf([fork!, fork!, open!]);
    assertEquals(twice.map(({ process }) => process), [0, 0, 2]);
  });
});
