// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { python, withPython } from "../../testing/programs/run.ts";

/** Why nobody can stop being root here. */
const NO_ROOT = Deno.uid() === 0 ? false : "only root can become another user";

describe("RLIMIT_MEMLOCK that only root can have raised", () => {
  it("may be kept and lowered by who is root no more, and not raised again", {
    skip: withPython.skip || NO_ROOT,
  }, async () => {
    const program = `
import resource
def sets(soft, hard):
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))
    except ValueError:
        return False
    return resource.getrlimit(resource.RLIMIT_MEMLOCK) == (soft, hard)
tell([sets(4096, 4096), sets(8192, 8192)])
os.setuid(1)
tell([sets(0, 8192), sets(8192, 8192), sets(0, 8193), sets(2, 1), sets(0, 6000), sets(6000, 6001), sets(6000, 6000)])
`;
    assertEquals(await python(program, { pretence: { uid: 0 } }), [
      [true, true],
      [true, true, false, false, true, false, true],
    ]);
  });
});
