// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Program, Step } from "../../../selftests/target/program.ts";
import {
  type ArgumentsOf,
  call,
  type VerbName,
} from "../../../selftests/target/verbs.ts";
import { joined, movedTo, united, withDependents, without } from "./steps.ts";

/** A step that takes the result of others as its arguments, by their places. */
function step<N extends VerbName>(
  process: number,
  from: Readonly<Record<number, number>>,
  name: N,
  ...args: ArgumentsOf<N>
): Step {
  const patches = Object.entries(from)
    .map(([arg, step]) => ({ arg: Number(arg), from: { step } }));
  return {
    process,
    call: call(name, ...args),
    ...patches.length > 0 && { patches },
  };
}

const OPEN = step(0, {}, "open", "/dev/iommu", 2);
const FORK = step(0, {}, "fork");
const NOTHING = step(0, {}, "failnthleft");

describe("without()", () => {
  it("has references name the same steps as before", () => {
    const program = [NOTHING, OPEN, NOTHING, step(0, { 0: 1 }, "dup", 0)];
    assertEquals(without(program, [0, 2]), [
      OPEN,
      step(0, { 0: 0 }, "dup", 0),
    ]);
  });

  it("puts what a reference adds in the place of one that is lost", () => {
    const lost: Step = {
      process: 0,
      call: call("poke", 7, new Uint8Array(12)),
      patches: [
        { arg: 0, from: { step: 0, plus: 4096n } },
        {
          arg: 1,
          field: { offset: 10, bytes: 8 },
          from: { step: 0, plus: 0x40302n },
        },
      ],
    };
    assertEquals(without([NOTHING, lost], [0]), [
      step(
        0,
        {},
        "poke",
        4096,
        Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3]),
      ),
    ]);
  });

  it("leaves out what a process does that nobody makes, and its children", () => {
    const program = [
      FORK,
      { ...FORK, process: 1 },
      FORK,
      step(2, {}, "exit"),
      step(1, {}, "exit"),
      step(0, {}, "passfd", 3, 1),
      step(0, {}, "passfd", 3, 3),
      step(3, {}, "exit"),
    ];
    assertEquals(without(program, [0]), [
      FORK,
      step(0, {}, "passfd", 3, 1),
      step(1, {}, "exit"),
    ]);
  });

  it("changes nothing where nothing goes, not even a process that never was", () => {
    const program = [OPEN, FORK, step(1, {}, "exit"), step(5, {}, "exit")];
    assertEquals(without(program, []), program);
  });
});

describe("withDependents()", () => {
  it("are steps, and all that take a value of theirs or of one that does", () => {
    const program = [
      OPEN,
      OPEN,
      step(0, { 0: 0 }, "dup", 0),
      step(0, { 0: 1 }, "dup", 0),
      step(0, { 0: 2 }, "close", 0),
    ];
    assertEquals(withDependents(program, [0]), new Set([0, 2, 4]));
  });
});

describe("joined()", () => {
  it("has the one that forked make the calls of its child", () => {
    const program: Program = [
      OPEN,
      FORK,
      FORK,
      step(1, { 0: 0 }, "dup", 0),
      step(2, {}, "passfd", 3, 1),
      step(1, {}, "exit"),
      step(2, {}, "exit"),
    ];
    assertEquals(joined(program, 1), [
      OPEN,
      FORK,
      step(0, { 0: 0 }, "dup", 0),
      step(1, {}, "passfd", 3, 0),
      step(1, {}, "exit"),
    ]);
  });
});

describe("united()", () => {
  it("has one of two steps give what both gave", () => {
    const other = step(0, {}, "open", "/dev/iommu", 0);
    const dup = step(0, { 0: 0 }, "dup", 0);
    const close = step(0, { 0: 2 }, "close", 0);
    const closed = step(0, { 0: 0 }, "close", 0);
    assertEquals(united([OPEN, dup, other, close], 0, 2), [
      [OPEN, dup, closed],
      [other, dup, closed],
    ]);
  });

  it("moves no step before one that it takes a value of", () => {
    const dup = step(0, { 0: 1 }, "dup", 0);
    const program = [step(0, {}, "dup", 3), OPEN, dup];
    assertEquals(united(program, 0, 2), [[program[0]!, OPEN]]);
  });
});

describe("movedTo()", () => {
  const dup = step(0, { 0: 1 }, "dup", 0);

  it("has references name the same steps as before", () => {
    assertEquals(movedTo([NOTHING, OPEN, dup, NOTHING], 0, 2), [
      OPEN,
      step(0, { 0: 0 }, "dup", 0),
      NOTHING,
      NOTHING,
    ]);
  });

  it("moves nothing that others need, and no process", () => {
    assertEquals(
      movedTo([OPEN, NOTHING, step(0, { 0: 0 }, "dup", 0)], 0, 2),
      undefined,
    );
    assertEquals(movedTo([FORK, NOTHING], 0, 1), undefined);
  });
});
