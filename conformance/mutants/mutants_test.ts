// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { killerOf, type Mutant } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";
import { checkKillers, tryMutant, type Verdict } from "./trial.ts";

/** A fault that is noticed, to be varied. */
const REAL: Mutant = {
  name: "map-reserved-field",
  file: "impl/iommufd/ioas/ioas.ts",
  find: "  if (cmd.reserved !== 0) throw RESERVED_FIELD;\n  if (iova",
  replace: "  if (iova",
  breaks: "MAP takes a reserved field that is not zero",
  killer: "kit_map.no_domain.map_errno",
};

function variant(change: Partial<Mutant>): Mutant {
  return { ...REAL, ...change };
}

/** A verdict without times and texts. */
function ending(verdict: Verdict): string {
  return "by" in verdict
    ? `${verdict.verdict}: ${verdict.by.status} ${verdict.by.id}`
    : verdict.verdict;
}

describe("tryMutant()", () => {
  it("reports a fault that the named test notices as killed", async () => {
    assertEquals(
      ending(await tryMutant(REAL)),
      `killed: fail ${REAL.killer}`,
    );
  });

  it("reports a mutant that changes nothing as a survivor", async () => {
    const mutant = variant({ replace: REAL.find });
    const verdict = await tryMutant(mutant, { killerOnly: true });
    assertEquals(verdict, { verdict: "survived" });
  });

  it("says so when another test notices than the one that is named", async () => {
    const mutant = variant({
      replace: `  throw RESERVED_FIELD;\n${REAL.find}`,
      killer: "iommufd.simple_close",
    });
    const verdict = await tryMutant(mutant);
    assertEquals(verdict.verdict, "killed by another");
  });

  it("kills what hangs, and says that it hung", async () => {
    const mutant = variant({ replace: `  for (;;);\n${REAL.find}` });
    const verdict = await tryMutant(mutant, { testMs: 300 });
    assertEquals(ending(verdict), `killed: timeout ${REAL.killer}`);
  });

  it("survives what takes the process with it", async () => {
    const mutant = variant({ replace: `  Deno.exit(3);\n${REAL.find}` });
    const verdict = await tryMutant(mutant);
    assertEquals(ending(verdict), `killed: crash ${REAL.killer}`);
  });

  it("does not take a slip for a fault: text that is gone, or is there twice", async () => {
    for (
      const [find, count] of [["no such text", "0"], ["ucmd.respond();", ""]]
    ) {
      const verdict = await tryMutant(variant({ find: find! }));
      assert(verdict.verdict === "broken");
      assertStringIncludes(verdict.why, `is there ${count}`);
    }
  });

  it("does not take a slip for a fault: modules that do not load, names that do not exist", async () => {
    const slips = [["if (", "cannot be loaded"], ["noSuch();", "noSuch"]];
    for (const [replace, why] of slips) {
      const mutant = variant({ replace: `${replace}\n${REAL.find}` });
      const verdict = await tryMutant(mutant);
      assert(verdict.verdict === "broken", replace);
      assertStringIncludes(verdict.why, why!);
    }
  });
});

describe("checkKillers()", () => {
  it("finds nothing wrong with tests that pass", async () => {
    assertEquals(await checkKillers([REAL]), []);
  });

  it("names tests that do not exist, at all or in a revision", async () => {
    const missing = variant({ killer: "kit_map.no_such_test" });
    const [problem] = await checkKillers([missing, missing]);
    assertStringIncludes(problem!, "no test kit_map.no_such_test");
    const newer = variant({
      killer: "kit_hw_info.every_length",
      uapi: "v3",
    });
    const problems = await checkKillers([REAL, newer]);
    assertEquals(problems, ["There is no test kit_hw_info.every_length [v3]"]);
  });
});

describe("MUTANTS", () => {
  it("have names of their own", () => {
    const names = MUTANTS.map(({ name }) => name);
    assertEquals(new Set(names).size, names.length);
  });

  it("are at least one in each file of iommufd and of the mock", () => {
    const mutated = new Set(MUTANTS.map(({ file }) => file));
    const files = ["impl/iommufd", "impl/mock"].flatMap(sourcesIn);
    const without = files.filter((file) => !mutated.has(file));
    assertEquals(new Set(without), UNREACHABLE);
  });

  it("name tests of more than one revision", () => {
    const revisions = new Set(MUTANTS.map((one) => killerOf(one).uapi));
    assertEquals(revisions.size > 1, true);
  });
});

/** The files of a folder and of those in it, without tests. */
function sourcesIn(folder: string): string[] {
  const url = new URL(`../../${folder}`, import.meta.url);
  return [...Deno.readDirSync(url)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return name === "testing" ? [] : sourcesIn(path);
    return /(?<!_test)\.ts$/.test(name) ? [path] : [];
  });
}

/** Files in which no fault can be put that a system call would notice. */
const UNREACHABLE = new Set([
  // Only drivers of other devices than the mock's call it: it is about interrupts.
  "impl/iommufd/attach/hwpt_attachments.ts",
  "impl/iommufd/attach/sw_msi.ts",
  // Types, and a list that they hold together.
  "impl/iommufd/attach/attachments.ts",
  "impl/iommufd/kernel.ts",
  // No test of a program has a device without an IOMMU.
  "impl/iommufd/noiommu/domain.ts",
  "impl/iommufd/noiommu/link.ts",
  "impl/iommufd/ioctl_table.ts",
  "impl/iommufd/pages/source.ts",
]);
