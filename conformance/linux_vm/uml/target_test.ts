// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "../../lib/usage_error.ts";
import { mended, NEWEST, UML_KERNELS } from "../kernels/kernels.ts";
import { parseLinuxUml, umlArgs } from "./target.ts";

/** Excerpts in which each slip is, in words of ours where it does not matter. */
const SLIPS: Readonly<Record<string, string>> = {
  forces_identity: `
		if (WARN_ON(wrong))
			return -1;
		if (!driver_type)
			driver_type = IOMMU_DOMAIN_IDENTITY;
	}

	if (untrusted) {`,
  has_no_faults: "config IOMMU_IOPF\n\tbool\n\nconfig NEXT\n",
  stops_serial_line:
    "\t.first = 1,\n\t.throttle \t\t= line_throttle,\n\t.unthrottle \t\t= line_unthrottle,\n\t.last = 1,\n",
};

describe("linux-uml:", () => {
  it("is Linux in a revision, by default the newest", async () => {
    for (
      const [rest, revision] of [["", NEWEST.revision], [
        "6.12",
        "6.12",
      ]] as const
    ) {
      const target = parseLinuxUml(rest, `linux-uml:${rest}`);
      assertEquals(await target.revisions(), [revision]);
    }
  });

  it("takes nothing else", () => {
    for (const rest of ["v3", "6.12,accel=tcg", "6"]) {
      assertThrows(() => parseLinuxUml(rest, `linux-uml:${rest}`), UsageError);
    }
  });

  it("keeps out of the user's folders, and hands the agent its line last", () => {
    const args = umlArgs({ kernel: "/k", initramfs: "/i" }, "/cache/");
    assert(args.includes("uml_dir=/cache/uml/"));
    assertEquals(args.at(-1), "/dev/ttyS0");
  });

  it("is mended once, and known to be", () => {
    for (const mend of UML_KERNELS[0]!.mends) {
      const source = SLIPS[mend.bug]!;
      const right = mended(source, mend);
      assert(right !== undefined && right !== source, mend.bug);
      assertEquals(mended(right, mend), undefined, mend.bug);
    }
  });
});
