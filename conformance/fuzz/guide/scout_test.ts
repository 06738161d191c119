// SPDX-License-Identifier: GPL-2.0-only

/** Programs that reach new code of the model are found. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Program } from "../../../selftests/target/program.ts";
import { Scout } from "./scout.ts";
import { allocIoas, map, OPEN, step } from "./testing/programs.ts";

const ALLOC: Program = [OPEN, allocIoas(0)];
const MAP: Program = [...ALLOC, map(0, 1)];
const EVENT: Program = [step("eventfd", 1, 0)];

async function withScout(run: (scout: Scout) => Promise<void>): Promise<void> {
  const machine = { memory: 2 ** 24, hasOnlyCard: true } as const;
  const scout = new Scout({ uapi: "7.3", machine });
  try {
    await run(scout);
  } finally {
    scout.close();
  }
}

describe("the scout", () => {
  it("finds the programs that reach what none before them reached", () =>
    withScout(async (scout) => {
      const programs = [MAP, ALLOC, MAP, EVENT, MAP, EVENT, ALLOC];
      // The first time, some of what a kernel has is only made ready.
      await scout.scout([MAP, ALLOC, MAP, ALLOC]);
      assertEquals((await scout.scout(programs)).found, [3]);
    }));

  it("counts blocks, which are never fewer than before", () =>
    withScout(async (scout) => {
      const blocks: number[] = [];
      for (const program of [ALLOC, MAP, ALLOC]) {
        blocks.push((await scout.scout([program])).blocks);
      }
      const [first, second, third] = blocks as [number, number, number];
      assert(0 < first && first < second && second === third, `${blocks}`);
    }));

  it("goes on after a program over which the model throws", () =>
    withScout(async (scout) => {
      const wrong = {
        ...OPEN,
        call: { ...OPEN.call, verb: { name: "none", args: [] } },
      };
      const { found } = await scout.scout([[wrong], MAP]);
      assertEquals(found.includes(1), true);
    }));
});
