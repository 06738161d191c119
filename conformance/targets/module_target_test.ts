// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { passingTest } from "../testing/fake_target.ts";
import { runTests } from "../running/run_on_target.ts";
import { parseTarget } from "../targets.ts";

const CONFORMANCE = new URL("../", import.meta.url);

/** Names a module that has the given text. */
function moduleOf(text: string): string {
  return `module:data:text/javascript,${encodeURIComponent(text)}`;
}

/** A module whose target has the given properties beside what is right. */
function withTarget(change: string): string {
  return moduleOf(`
    function nothing() {}
    const info = {
      name: "n", version: "1", uapi: "6.12",
      pageSize: 4096, hugePageSize: 2097152, capabilities: [],
    };
    const good = {
      info, spawn: nothing, make: nothing, reset: nothing, close: nothing,
    };
    export const target = () => (${change});
  `);
}

describe("module:", () => {
  it("runs tests on the target that a module makes", async () => {
    const path = new URL("testing/module_target.ts", CONFORMANCE).pathname;
    const spec = parseTarget(`module:${path}`);
    assertEquals(await spec.revisions(), ["v3"]);
    const { target, results } = await runTests("v3", [passingTest("a.x")], {
      open: () => spec.open("v3"),
    });
    assertEquals([target, results[0]?.status], ["fake", "pass"]);
  });

  it("takes a path from the current directory", async () => {
    const cwd = Deno.cwd();
    Deno.chdir(CONFORMANCE);
    try {
      const spec = parseTarget("module:./testing/module_target.ts");
      assertEquals(await spec.revisions(), ["v3"]);
    } finally {
      Deno.chdir(cwd);
    }
  });

  for (
    const [text, message] of [
      [moduleOf(""), "does not export a function target(), but nothing of"],
      [
        moduleOf("export const target = 7"),
        "does not export a function target(), but a number",
      ],
      [withTarget("undefined"), "What target() resolves to is no object"],
      [withTarget("{ info }"), "The module's target has no method spawn()"],
      [
        withTarget("{ ...good, info: { ...info, capabilities: ['time'] } }"),
        "The module's target names time and has no method time()",
      ],
      [
        withTarget("{ ...good, close: 1 }"),
        "The module's target has no method close()",
      ],
      [
        withTarget("{ ...good, info: null }"),
        "The property info of the module's target is no object",
      ],
      [
        withTarget("{ ...good, info: { ...info, name: '' } }"),
        "info.name of the module's target is no text",
      ],
      [
        withTarget("{ ...good, info: { ...info, pageSize: 4095 } }"),
        "info.pageSize of the module's target is no power of two",
      ],
      [
        withTarget("{ ...good, info: { ...info, uapi: '7.0' } }"),
        `info.uapi of the module's target is "7.0", which is neither v3 nor`,
      ],
      [
        withTarget("{ ...good, info: { ...info, capabilities: 'fork' } }"),
        "info.capabilities of the module's target is no array of texts",
      ],
      [moduleOf("throw new Error('too early')"), "too early"],
      ["module:/no/such/module.ts", "Module not found"],
    ] as const
  ) {
    it(`rejects in one sentence: ${message}`, async () => {
      const error = await assertRejects(
        () => parseTarget(text).revisions(),
        Error,
        message,
      );
      assertEquals(error.message.includes("\n"), false);
    });
  }
});
