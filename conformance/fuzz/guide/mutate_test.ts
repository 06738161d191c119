// SPDX-License-Identifier: GPL-2.0-only

/** What holds for every program that was changed. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommuIoasMap } from "../../../impl/uapi/ioas.ts";
import { Random } from "../../../selftests/harness/random.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { Chance } from "../generate/chance.ts";
import { Shapes } from "../generate/known/shapes.ts";
import { mutate } from "./mutate.ts";
import { OPEN, step, TWO_PROCESSES } from "./testing/programs.ts";

const LENGTH = 16;
const OTHER: Program = [
  OPEN,
  step("fork"),
  { ...step("mmap", 2 ** 40, 8192, 3, 0x32, -1, 0), process: 1 },
  step("munmap", 2 ** 40, 4096),
  step("fork"),
  {
    ...step("passfd", 0, 1),
    process: 2,
    patches: [{ arg: 0, from: { step: 0 } }],
  },
];

/** Programs that are changed again and again. */
function* mutants(count: number): Generator<Program> {
  const chance = new Chance(new Random(3));
  const shapes = new Shapes("7.3");
  let program = TWO_PROCESSES;
  for (let i = 0; i < count; i++) {
    program = mutate(program, { chance, shapes, other: OTHER, length: LENGTH });
    yield program;
    if (i % 10 === 0 || program.length === 0) program = TWO_PROCESSES;
  }
}

/** The arguments that calls of a verb have in programs. */
function argumentsOf(name: string, programs: Iterable<Program>): unknown[][] {
  return [...programs].flat().filter(({ call }) => call.verb.name === name)
    .map(({ call }) => [...call.args]);
}

describe("a mutant", () => {
  it("refers to earlier steps only", () => {
    for (const program of mutants(2000)) {
      for (const [i, { patches = [] }] of program.entries()) {
        for (const { from } of patches) assert(from.step < i);
      }
    }
  });

  it("has steps of processes that were made before", () => {
    for (const program of mutants(2000)) {
      let processes = 1;
      for (const { process, call } of program) {
        assert(process < processes);
        if (call.verb.name === "passfd") {
          assert(call.args[1] as number < processes);
        }
        if (call.verb.name === "fork") processes++;
      }
    }
  });

  it("has no more steps than it may", () => {
    const lengths = [...mutants(2000)].map(({ length }) => length);
    assertEquals(Math.max(...lengths), LENGTH);
  });

  it("leaves the program that it is made of as it is", () => {
    const before = structuredClone(TWO_PROCESSES);
    for (const program of mutants(500)) assert(program !== TWO_PROCESSES);
    assertEquals(structuredClone(TWO_PROCESSES), before);
  });

  it("has numbers outside of structs only that other calls have", () => {
    const addresses = argumentsOf("munmap", mutants(2000)).map(([at]) => at);
    assertEquals([...new Set(addresses)], [2 ** 40]);
  });

  it("has fields that none of the programs has", () => {
    const lengths = argumentsOf("ioctl", mutants(2000))
      .filter(([, cmd, bytes]) =>
        cmd === IommuIoasMap.ioctl.number &&
        (bytes as Uint8Array).length === IommuIoasMap.size
      ).map(([, , bytes]) => IommuIoasMap.decode(bytes as Uint8Array).length);
    assert(new Set(lengths).size > 5, `${new Set(lengths).size}`);
  });

  it("is another one for another seed, and the same for the same", () => {
    const shapes = new Shapes("7.3");
    const [a, b, c] = [5, 5, 6].map((seed) =>
      mutate(TWO_PROCESSES, {
        chance: new Chance(new Random(seed)),
        shapes,
        other: OTHER,
        length: LENGTH,
      })
    );
    assertEquals(a, b);
    assertNotEquals(a, c);
  });
});
