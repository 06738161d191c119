// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "../lib/usage_error.ts";
import { NEWEST } from "./kernels/kernels.ts";
import { parseLinuxVm } from "./target.ts";

describe("linux-vm:", () => {
  it("is Linux in a revision, by default the newest, with or without a choice of the accelerator", async () => {
    for (
      const [rest, revision] of [
        ["", NEWEST.revision],
        ["accel=kvm", NEWEST.revision],
        ["accel=tcg", NEWEST.revision],
        ["6.12", "6.12"],
        ["7.3", "7.3"],
        ["6.12,accel=tcg", "6.12"],
        ["device=igb", NEWEST.revision],
        ["6.12,container=type1,device=igb,iommu=none,accel=kvm", "6.12"],
      ] as const
    ) {
      const target = parseLinuxVm(rest, `linux-vm:${rest}`);
      assertEquals(target.spec, `linux-vm:${rest}`);
      assertEquals(await target.revisions(), [revision]);
    }
  });

  it("takes nothing else", () => {
    const wrong = [
      "accel=",
      "accel=xen",
      "v3",
      "accel=tcg,",
      "6.12accel=tcg",
      "device=no",
      "container=",
      "accel=tcg,accel=kvm",
      "accel=tcg,7.3",
    ];
    for (const rest of wrong) {
      assertThrows(() => parseLinuxVm(rest, `linux-vm:${rest}`), UsageError);
    }
  });
});
