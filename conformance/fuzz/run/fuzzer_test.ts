// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Outcome, Program } from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { TargetStartError } from "../../targets/test_target.ts";
import type { Ran } from "../compare/compare.ts";
import { REACHES } from "../compare/known_bugs.ts";
import { Masks } from "../compare/masks.ts";
import { Findings } from "./findings.ts";
import {
  byComparison,
  byInvariants,
  fuzz,
  type Judge,
  type Sample,
} from "./fuzzer.ts";
import type { Failure, Side } from "./side.ts";
import { Totals } from "./totals.ts";

/** A program of some calls of dup, each of which gives the same. */
function dups(...results: number[]): { program: Program; ours: Ran } {
  const step = { process: 0, call: call("dup", 3) };
  const outcomes = results.map((result): Outcome => ({
    kind: "returned",
    result,
    back: new Uint8Array(0),
  }));
  return {
    program: results.map(() => step),
    ours: { outcomes, problems: [] },
  };
}

/** A side that answers as one says. */
function sideOf(answer: (program: Program) => Ran | Failure): Side {
  return {
    name: "fake",
    uapi: "7.3",
    capabilities: [],
    run: (program) => Promise.resolve(answer(program)),
    close: () => Promise.resolve(),
  };
}

/** Runs samples on a side; what was found, and the numbers. */
async function run(
  samples: readonly Omit<Sample, "seed">[],
  side: Side,
  judge: Judge = byComparison(new Masks("7.3")),
) {
  const causeOf = (_: Program, { what }: { what: string }) => what;
  const findings = new Findings(causeOf);
  const totals = new Totals("7.3", () => 0);
  const left = [...samples.entries()];
  await fuzz({
    next: () => {
      const [index, sample] = left.shift() ?? [];
      return Promise.resolve(sample && { ...sample, seed: `1.${index}` });
    },
    ours: (program) => dups(...program.map(() => 4)).ours,
    sides: [side],
    judge,
    totals,
    findings,
    shrink: async (program, isStill) => {
      for (let length = 1; length < program.length; length++) {
        const smaller = program.slice(0, length);
        if (await isStill(smaller)) return smaller;
      }
      return program;
    },
    onCause: () => {},
  }, () => false);
  return { findings: findings.all, totals };
}

const FOUR = { ...dups(4, 4, 4), reached: [] };

describe("The fuzzer", () => {
  it("counts findings of one cause as one, and makes the first smaller", async () => {
    const wrong = sideOf((program) =>
      dups(...program.map((_, i) => i === 1 ? 5 : 4)).ours
    );
    const { findings, totals } = await run([FOUR, FOUR, FOUR], wrong);
    assertEquals(findings.length, 1);
    assertEquals(findings[0]!.count, 3);
    assertEquals(findings[0]!.seed, "1.0");
    assertEquals(findings[0]!.found.program.length, 2);
    assertEquals([totals.programs, totals.calls], [3, 9]);
  });

  it("takes a side that did not get through for a finding", async () => {
    const message = "It ended";
    const broken = sideOf(() => ({ failed: "crash", message }));
    const { findings } = await run([FOUR], broken);
    const { difference } = findings[0]!.found;
    assertEquals(difference.what, "ending");
    assertMatch(difference.text, /\(crash\): It ended/);
  });

  it("ends where a side does not start again", async () => {
    const message = "no more";
    const gone = sideOf(() => ({ failed: "start", message }));
    await assertRejects(() => run([FOUR], gone), TargetStartError, "no more");
  });

  const explains = ["result"] as const;
  const bug = { ...REACHES[0]!, explains };
  const cases: [string, number, readonly string[], boolean][] = [
    ["from the step on", 1, ["result"], true],
    ["not before it", 2, ["result"], false],
    ["not of another kind", 1, ["errno"], false],
  ];
  for (const [what, step, kinds, isKnown] of cases) {
    it(`counts a known bug that a program reached, ${what}`, async () => {
      const known = { ...bug, explains: kinds as typeof explains };
      const sample = { ...FOUR, reached: [{ step, bug: known }] };
      const wrong = sideOf(() => dups(4, 5, 4).ours);
      const { findings, totals } = await run([sample], wrong);
      assertEquals(findings.length, isKnown ? 0 : 1);
      assertEquals(totals.bugs.get(bug.name), isKnown ? 1 : undefined);
    });
  }

  it("compares what follows a call of which the answer is up to a machine", async () => {
    const choice = { ...bug, once: true };
    const sample = { ...FOUR, reached: [{ step: 1, bug: choice }] };
    for (const [last, found] of [[4, 0], [6, 1]] as const) {
      const other = sideOf(() => dups(4, 5, last).ours);
      const { findings, totals } = await run([sample], other);
      assertEquals(findings.length, found);
      assertEquals(totals.bugs.get(bug.name), 1);
    }
  });

  it("looks at a side alone for what must not happen", async () => {
    const { ours } = dups(7, -22, 9);
    const different = await run([FOUR], sideOf(() => ours), byInvariants);
    assertEquals(different.findings.length, 0);
    const died: Outcome = { kind: "died", reason: "killed by SIGSEGV" };
    const bad: Ran[] = [
      { ...ours, outcomes: [died, died, died] },
      { ...ours, problems: ["WARNING: x"] },
    ];
    for (const ran of bad) {
      const { findings } = await run([FOUR], sideOf(() => ran), byInvariants);
      assertEquals(findings.length, 1);
    }
  });
});
