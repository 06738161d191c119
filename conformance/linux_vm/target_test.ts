// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "../lib/usage_error.ts";
import { parseLinuxVm } from "./target.ts";

describe("linux-vm:", () => {
  it("is Linux 6.12, with or without a choice of the accelerator", async () => {
    for (const rest of ["", "accel=kvm", "accel=tcg"]) {
      const target = parseLinuxVm(rest, `linux-vm:${rest}`);
      assertEquals(target.spec, `linux-vm:${rest}`);
      assertEquals(await target.revisions(), ["6.12"]);
    }
  });

  it("takes nothing else", () => {
    for (const rest of ["accel=", "accel=xen", "v3", "accel=tcg,"]) {
      assertThrows(() => parseLinuxVm(rest, `linux-vm:${rest}`), UsageError);
    }
  });
});
