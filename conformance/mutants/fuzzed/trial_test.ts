// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Need } from "../../../selftests/target/capabilities.ts";
import * as impl from "../../../selftests/target/impl_target.ts";
import { parseProgram } from "../../fuzz/program/text.ts";
import { MACHINE, runOnModel } from "../../fuzz/run/on_model.ts";
import type { Mutant } from "../mutant.ts";
import { MUTANTS } from "../mutants.ts";
import { formatFigures, spreadOf } from "./figures.ts";
import { problemOf } from "./judge.ts";
import { LONG } from "./long.ts";
import { NOT_FOUND } from "./not_found.ts";
import { machineOf } from "./pair.ts";
import { SAMPLE } from "./sample.ts";
import { fuzzMutants, type FuzzVerdict, type TrialHow } from "./trial.ts";

/** A fault that is found, to be varied. */
const REAL: Mutant = {
  name: "map-reserved-field",
  file: "impl/iommufd/ioas/ioas.ts",
  find: "  if (cmd.reserved !== 0) throw RESERVED_FIELD;\n  if (iova",
  replace: "  if (iova",
  breaks: "MAP takes a reserved field that is not zero",
  killer: "kit_map.no_domain.map_errno",
};

const HOW: TrialHow = {
  seed: 1,
  profile: "ioas",
  length: 40,
  limitMs: 60_000,
};

function variant(change: Partial<Mutant>): Mutant {
  return { ...REAL, ...change };
}

async function fuzzMutant(
  mutant: Mutant,
  how: TrialHow,
): Promise<FuzzVerdict> {
  return (await fuzzMutants([mutant], how))[0]!;
}

describe("fuzzMutants()", () => {
  it("finds a fault, and shows it with few calls", async () => {
    const verdict = await fuzzMutant(REAL, HOW);
    assert(verdict.verdict === "found", verdict.verdict);
    assertStringIncludes(verdict.cause, "IOMMU_IOAS_MAP errno EOPNOTSUPP/");
    assertEquals(verdict.profile, "golden");
    assert(verdict.size <= 4, verdict.program);
  });

  it("finds the same again", async () => {
    const [first, second] = [
      await fuzzMutant(REAL, HOW),
      await fuzzMutant(REAL, HOW),
    ];
    assert(first.verdict === "found" && second.verdict === "found");
    assertEquals(second.seed, first.seed);
    assertEquals(second.program, first.program);
  });

  it("finds nothing where nothing was changed", async () => {
    const mutant = variant({ replace: REAL.find });
    const verdict = await fuzzMutant(mutant, { ...HOW, limitMs: 1 });
    assertEquals(verdict.verdict, "not found");
  });

  it("survives what takes the process with it", async () => {
    const mutant = variant({ replace: `  Deno.exit(3);\n${REAL.find}` });
    assertEquals((await fuzzMutant(mutant, HOW)).verdict, "crashed");
  });

  it("goes on behind one that ended the process", async () => {
    const crashes = variant({ replace: `  Deno.exit(3);\n${REAL.find}` });
    const stale = variant({ find: "no such text" });
    const verdicts = await fuzzMutants([REAL, crashes, stale, REAL], HOW);
    assertEquals(
      verdicts.map(({ verdict }) => verdict),
      ["found", "crashed", "broken", "found"],
    );
  });

  it("does not take a slip for a fault", async () => {
    for (const change of [{ find: "no such text" }, { replace: "if (" }]) {
      const { verdict } = await fuzzMutant(variant(change), HOW);
      assertEquals(verdict, "broken");
    }
  });
});

describe("machineOf()", () => {
  it("gives who uses the card one from the beginning", () => {
    for (const needs of [["vfio_device"], []] as Need[][]) {
      const suspect = {
        root: "",
        uapi: "7.3",
        needs,
        profiles: [],
        rounds: [],
      } as const;
      const model = machineOf(impl, suspect, MACHINE);
      const text = 'open("/dev/vfio/0", O_RDWR)';
      const { outcomes } = runOnModel(model, parseProgram(text, "7.3"));
      assertEquals(
        outcomes.map((each) => each.kind === "returned" && each.result >= 0),
        [needs.length > 0],
      );
    }
  });
});

describe("problemOf()", () => {
  const lists = {
    notFound: new Map([["hidden", "why"]]),
    long: new Map([["large", "why"]]),
  };
  const effort = { programs: 1, calls: 1, processorMs: 1 };
  const found = (size: number): FuzzVerdict => ({
    verdict: "found",
    ...effort,
    profile: "ioas",
    seed: "1.0",
    cause: "",
    size,
    program: "",
    text: "",
  });

  it("wants each fault found, with few calls", () => {
    assertEquals(problemOf("any", found(8), lists), undefined);
    assertStringIncludes(problemOf("any", found(9), lists)!, "has 9 calls");
    const verdict = { verdict: "not found", ...effort } as const;
    assertEquals(problemOf("any", verdict, lists), "no program shows it");
    const hung = { verdict: "hung", ...effort } as const;
    assertEquals(problemOf("any", hung, lists), undefined);
  });

  it("wants what is listed to be so", () => {
    const verdict = { verdict: "not found", ...effort } as const;
    assertEquals(problemOf("hidden", verdict, lists), undefined);
    assertEquals(problemOf("large", found(9), lists), undefined);
    assertStringIncludes(problemOf("hidden", found(3), lists)!, "is listed");
    assertStringIncludes(problemOf("large", found(8), lists)!, "is listed");
  });

  it("takes no slip for a fault", () => {
    const verdict = { verdict: "broken", why: "a slip" } as const;
    assertEquals(problemOf("hidden", verdict, lists), "a slip");
  });
});

describe("the tables", () => {
  const names = new Set(MUTANTS.map(({ name }) => name));

  it("name mutants that there are", () => {
    const unknown = [...SAMPLE, ...NOT_FOUND.keys(), ...LONG.keys()]
      .filter((name) => !names.has(name));
    assertEquals(unknown, []);
  });

  it("leave at most one mutant of ten to be not found", () => {
    assert(NOT_FOUND.size <= names.size / 10, `${NOT_FOUND.size}`);
  });

  it("fuzz no mutant each time that is not found", () => {
    assertEquals(SAMPLE.filter((name) => NOT_FOUND.has(name)), []);
    assertEquals(new Set(SAMPLE).size, 20);
  });
});

describe("formatFigures()", () => {
  it("tells the middle one and the largest one", () => {
    assertEquals(spreadOf([7, 1, 3]), { median: 3, max: 7 });
    assertEquals(spreadOf([]), { median: 0, max: 0 });
    const found = [[2, 5, "ioas"], [4, 900, "mixed"], [3, 6, "ioas"]] as const;
    const lines = formatFigures(
      found.map(([size, calls, profile]) => ({
        profile,
        seed: "1.0",
        programs: 1,
        calls,
        processorMs: 1000 * size,
        cause: "",
        size,
        program: "",
        text: "",
      })),
    );
    assertEquals(lines, [
      "calls of the smallest program: median 3, at most 4",
      "calls until it was found: median 6, at most 900",
      "seconds of processor time: median 3.0, at most 4.0",
      "found first by: ioas 2, mixed 1",
    ]);
  });
});
