// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import { Random } from "../../../selftests/harness/random.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import { generate, type Generated, PROFILES } from "./generate.ts";

const MEMORY = 64 * 2 ** 20;

/** A program of a seed. */
function programOf(
  seed: number,
  profile = "mixed",
  uapi: RevisionName = "7.3",
): Generated {
  const model = new Model(uapi, { memory: MEMORY, hasOnlyCard: true });
  const random = new Random(seed);
  const length = 40;
  return generate({
    model,
    uapi,
    random,
    length,
    profile: PROFILES[profile]!,
  });
}

describe("generate", () => {
  it("makes the same program of a seed, and another of another", () => {
    assertEquals(programOf(1), programOf(1));
    assert(Deno.inspect(programOf(1)) !== Deno.inspect(programOf(2)));
  });

  it("refers to nothing but earlier steps", () => {
    for (let seed = 0; seed < 50; seed++) {
      for (
        const [index, { patches = [] }] of programOf(seed).program.entries()
      ) {
        for (const { from } of patches) assert(from.step < index);
      }
    }
  });

  it("gives the outcomes that the program has when it is run again", () => {
    for (const profile of Object.keys(PROFILES)) {
      for (const uapi of ["6.12", "7.3"] as const) {
        const { program, outcomes, problems } = programOf(7, profile, uapi);
        const model = new Model(uapi, { memory: MEMORY, hasOnlyCard: true });
        assertEquals(model.program(program), outcomes);
        assertEquals(model.reset(), problems);
      }
    }
  });
});
