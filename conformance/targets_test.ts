// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES } from "../impl/uapi/revision.ts";
import { parseTarget } from "./targets.ts";
import { UsageError } from "./lib/usage_error.ts";

describe("parseTarget()", () => {
  it("offers every revision of the model for impl:", async () => {
    const spec = parseTarget("impl:");
    assertEquals(await spec.revisions(), REVISION_NAMES);
    const target = await spec.open("v3");
    assertEquals(target.info.uapi, "v3");
    await target.close();
  });

  for (const text of ["impl:v3", "impl:v3,", "impl:v3,scattered=7"]) {
    it(`offers only v3 for ${text}`, async () => {
      assertEquals(await parseTarget(text).revisions(), ["v3"]);
    });
  }

  it("takes options without a revision", async () => {
    const { revisions } = parseTarget("impl:scattered=7");
    assertEquals(await revisions(), REVISION_NAMES);
  });

  const mistakes: [spec: string, message: string][] = [
    ["impl", `Cannot parse target "impl": it must begin with impl: or `],
    ["iml:", `Did you mean "impl:"?`],
    ["nothing:like:it", "it must begin with impl: or "],
    ["constructor:", "it must begin with impl: or "],
    ["module:", "module: needs a module, as in module:./target.ts."],
    ["stdio:", "stdio: needs a program, as in stdio:./adapter."],
    ["stdio:  ", "stdio: needs a program, as in stdio:./adapter."],
    ["stdio:./a 'b", "a quote or a backslash has no end."],
    ["unix:", "it must be unix:PATH or tcp:HOST:PORT."],
    ["tcp:localhost", "it must be unix:PATH or tcp:HOST:PORT."],
    ["tcp:localhost:", "it must be unix:PATH or tcp:HOST:PORT."],
    ["tcp:localhost:99999", "it must be unix:PATH or tcp:HOST:PORT."],
    ["impl:6.13", `Cannot parse uAPI revision "6.13"`],
    ["impl:scattered", "Cannot parse uAPI revision"],
    ["impl:scattered=", "scattered needs a seed, as in scattered=7."],
    ["impl:scattered=x", "scattered needs a seed, as in scattered=7."],
    ["impl:scattered=7,v3", `"v3" is no option of impl:`],
    ["impl:v3,fast=1", `"fast=1" is no option of impl:`],
  ];
  for (const [spec, message] of mistakes) {
    it(`refuses ${spec}: ${message}`, () => {
      assertThrows(() => parseTarget(spec), UsageError, message);
    });
  }
});
