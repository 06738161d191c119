// SPDX-License-Identifier: GPL-2.0-only

/** The adapter to begin with speaks the protocol, and its toy is an iommufd as far as it goes. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { checkAdapter } from "../../conformance/check_adapter/check_adapter.ts";
import { spawnConnection } from "../../conformance/protocol/stdio.ts";

const ADAPTER = new URL("adapter.py", import.meta.url).pathname;

/** Whether there is a Python that knows the adapter's words. */
function hasPython(): boolean {
  try {
    const version = "import sys; sys.exit(sys.version_info < (3, 10))";
    return new Deno.Command("python3", { args: ["-c", version] }).outputSync()
      .success;
  } catch {
    return false;
  }
}

describe("adapter.py", () => {
  it("is an adapter", { ignore: !hasPython() }, async () => {
    const wrong: string[] = [];
    let good = 0;
    const connect = () =>
      Promise.resolve(spawnConnection("python3", [ADAPTER]));
    for await (const { name, status, message } of checkAdapter(connect)) {
      if (status === "wrong") wrong.push(`${name}: ${message}`);
      if (status === "ok") good++;
    }
    assertEquals(wrong, []);
    assertEquals(good, 32);
  });

  it("is short enough to read", () => {
    for (const name of ["adapter.py", "toy_iommufd.py"]) {
      const text = Deno.readTextFileSync(new URL(name, import.meta.url));
      assertEquals(text.split("\n").length < 300, true, name);
    }
  });
});
