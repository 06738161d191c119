// SPDX-License-Identifier: GPL-2.0-only

/** What is kept, and when. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Random } from "../../../selftests/harness/random.ts";
import type { Outcome, Program } from "../../../selftests/target/program.ts";
import { Guide } from "./guide.ts";
import type { Scouted, Scouting } from "./scout.ts";
import { OPEN, step } from "./testing/programs.ts";

const CLOSE = step("close", 3);
const OPENED = returned(3);
const OPTIONS = { uapi: "7.3", length: 10, mutants: 100, sample: 1 } as const;

function returned(result: number): Outcome {
  return { kind: "returned", result, back: new Uint8Array(0) };
}

/** A scout that answers when it is told to. */
class SlowScout implements Scouting {
  readonly asked: (readonly Program[])[] = [];
  readonly answers: ((scouted: Scouted) => void)[] = [];

  scout(programs: readonly Program[]): Promise<Scouted> {
    this.asked.push(programs);
    return new Promise((resolve) => this.answers.push(resolve));
  }

  close(): void {}
}

describe("a guide", () => {
  it("has nothing to change at first", () => {
    assertEquals(new Guide(OPTIONS).next(new Random(1)), undefined);
  });

  it("keeps a program that reached a new pair, and none that reached the same", async () => {
    const guide = new Guide(OPTIONS);
    await guide.ran([OPEN, CLOSE], [OPENED, returned(0)]);
    assertEquals(guide.kept, 1);
    await guide.ran([OPEN, CLOSE], [OPENED, returned(0)]);
    assertEquals(guide.kept, 1);
    await guide.ran([OPEN, CLOSE], [OPENED, returned(-9)]);
    assertEquals(guide.kept, 2);
    assertEquals(guide.pairs, 3);
  });

  it("keeps what the scout found, after as many programs whenever it answers", async () => {
    const scout = new SlowScout();
    const guide = new Guide({ ...OPTIONS, scout });
    await guide.ran([OPEN], [OPENED]);
    assertEquals(guide.kept, 1);
    for (let i = 1; i < 3 * 32 - 1; i++) await guide.ran([OPEN], [OPENED]);
    scout.answers[0]!({ found: [1, 7], blocks: 99 });
    await Promise.resolve();
    assertEquals([guide.kept, guide.blocks], [1, 0]);
    await guide.ran([OPEN], [OPENED]);
    assertEquals([guide.kept, guide.blocks], [3, 99]);
  });

  it("gives the scout one of some programs", async () => {
    const scout = new SlowScout();
    const guide = new Guide({ ...OPTIONS, scout, sample: 4 });
    for (let i = 0; i < 4 * 32; i++) await guide.ran([OPEN], [OPENED]);
    assertEquals(scout.asked.map(({ length }) => length), [32]);
  });

  it("changes a program, or goes on where it was at some step", async () => {
    const guide = new Guide(OPTIONS);
    const program = [OPEN, OPEN, CLOSE];
    await guide.ran(program, [OPENED, returned(4), returned(0)]);
    const made = Array.from(
      { length: 100 },
      (_, i) => guide.next(new Random(i))!,
    );
    const starts = made.flatMap(({ start }) => start ? [start] : []);
    for (const start of starts) {
      assertEquals(start, program.slice(0, start.length));
    }
    assertEquals(
      new Set(starts.map(({ length }) => length)),
      new Set([1, 2, 3]),
    );
    const mutants = made.filter(({ mutant }) => mutant).length;
    assertEquals(mutants + starts.length, 100);
  });

  it("makes the same program of the same random numbers", async () => {
    const [a, b] = [new Guide(OPTIONS), new Guide(OPTIONS)];
    for (const guide of [a, b]) {
      await guide.ran([OPEN, CLOSE, OPEN], [OPENED, returned(0), OPENED]);
    }
    for (let seed = 0; seed < 50; seed++) {
      assertEquals(a.next(new Random(seed)), b.next(new Random(seed)));
    }
  });
});
