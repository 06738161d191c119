// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { missingTools, run } from "./programs.ts";

describe("programs", () => {
  it("that are missing are named with their package", async () => {
    const tools = [
      { what: Deno.execPath(), debianPackage: "there" },
      { what: "no-such-program", debianPackage: "some-package" },
      { what: "/no/such/header.h", debianPackage: "some-headers" },
    ];
    assertEquals(await missingTools(tools), [
      'no-such-program is missing: install it with "apt-get install some-package".',
      '/no/such/header.h is missing: install it with "apt-get install some-headers".',
    ]);
  });

  it("give what they print", async () => {
    const out = await run("sh", ["-c", "echo $GREETING; echo no >&2"], {
      env: { GREETING: "hello" },
    });
    assertEquals(out, "hello\n");
  });

  it("that fail say why", async () => {
    const failed = await assertRejects(
      () => run("sh", ["-c", "echo reason >&2; exit 3"]),
      Error,
    );
    assertStringIncludes(failed.message, "code 3");
    assertStringIncludes(failed.message, "reason");
  });
});
