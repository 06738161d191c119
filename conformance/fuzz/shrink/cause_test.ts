// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommuIoasAlloc as IoasAlloc } from "../../../impl/uapi/ioas.ts";
import { NEWEST } from "../../../impl/uapi/revision.ts";
import type { Step } from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import type { Difference } from "../compare/compare.ts";
import { causeOf } from "./cause.ts";

const CLOSE: Step = { process: 0, call: call("close", 9) };
const ALLOC: Step = {
  process: 0,
  call: call("ioctl", 3, IoasAlloc.ioctl.number, IoasAlloc.encode()),
};

/** The cause of a difference of the last of some steps. */
function cause(
  steps: readonly Step[],
  what: Difference["what"],
  ours: string,
  theirs: string,
  where?: string,
): string {
  const step = what === "problems" ? undefined : steps.length - 1;
  const difference = { step, what, ours, theirs, text: "" };
  return causeOf(steps, where ? { ...difference, where } : difference, NEWEST);
}

describe("causeOf()", () => {
  it("names the call, and which errno is there in place of which", () => {
    assertEquals(
      cause([ALLOC], "errno", "0", "EINVAL"),
      "IOMMU_IOAS_ALLOC errno success/EINVAL",
    );
    assertEquals(
      cause([CLOSE], "errno", "EBADF", "EINVAL"),
      "close errno EBADF/EINVAL",
    );
  });

  it("is the same wherever the call is, and whatever the numbers are", () => {
    assertEquals(
      cause([CLOSE, ALLOC], "bytes", "1", "2", "out_ioas_id"),
      cause([ALLOC], "bytes", "7", "9", "out_ioas_id"),
    );
    assertEquals(
      cause([ALLOC], "errno", "3", "EINVAL"),
      cause([ALLOC], "errno", "4", "EINVAL"),
    );
    assertEquals(
      cause([CLOSE], "ending", "0", "died (at 0x1234)"),
      cause([CLOSE], "ending", "0", "died (at 0x5678)"),
    );
  });

  it("does not count what is left", () => {
    assertEquals(
      cause([ALLOC], "problems", "nothing", "1 mock device is left, a warning"),
      cause(
        [ALLOC],
        "problems",
        "nothing",
        "12 mock devices are left, a warning",
      ),
    );
  });

  it("differs by the call, by the field and by what is left", () => {
    const causes = [
      cause([ALLOC], "errno", "0", "EINVAL"),
      cause([ALLOC], "errno", "EINVAL", "0"),
      cause([CLOSE], "errno", "0", "EINVAL"),
      cause([ALLOC], "bytes", "0", "1", "size"),
      cause([ALLOC], "bytes", "0", "1", "flags"),
      cause([ALLOC], "problems", "nothing", "warning"),
      cause([ALLOC], "problems", "nothing", "pinned pages"),
    ];
    assertEquals(new Set(causes).size, causes.length);
  });
});
