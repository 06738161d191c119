// SPDX-License-Identifier: GPL-2.0-only

/** What tells one thing that a call reached from another. */

import { assertEquals, assertNotEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL, ENOENT } from "../../../impl/uapi/errno.ts";
import { IommuIoasMap } from "../../../impl/uapi/ioas.ts";
import { TestCmd } from "../../../impl/uapi/selftest.ts";
import type { Outcome } from "../../../selftests/target/program.ts";
import { type Call, call } from "../../../selftests/target/verbs.ts";
import { Shapes } from "../generate/known/shapes.ts";
import { Keys } from "./keys.ts";

const keys = new Keys(new Shapes("7.3"));

function returned(result: number): Outcome {
  return { kind: "returned", result, back: new Uint8Array(0) };
}

function mapWith(flags: number, length = 4096n): Call {
  return call(
    "ioctl",
    3,
    IommuIoasMap.ioctl.number,
    IommuIoasMap.encode({ flags, length }),
  );
}

describe("the pair of a call and its errno", () => {
  it("is another one for another errno", () => {
    const [pair] = keys.of(mapWith(6), returned(-EINVAL.code));
    assertNotEquals(keys.of(mapWith(6), returned(-ENOENT.code))[0], pair);
    assertNotEquals(keys.of(mapWith(6), returned(0))[0], pair);
  });

  it("is the same for all that succeed", () => {
    const open = call("open", "/dev/iommu", 2);
    assertEquals(keys.of(open, returned(3)), keys.of(open, returned(4)));
  });

  it("is another one for another test operation", () => {
    const test = (op: number) =>
      keys.of(
        call("ioctl", 3, TestCmd.ioctl.number, TestCmd.encode({ op })),
        returned(0),
      )[0];
    assertNotEquals(test(1), test(2));
  });

  it("is the same whatever the flags", () => {
    const pair = (flags: number) => keys.of(mapWith(flags), returned(0))[0];
    assertEquals(pair(6), pair(7));
  });
});

describe("the pair with what is chosen", () => {
  const chosen = (call: Call) => keys.of(call, returned(0))[1];

  it("is another one for other flags", () => {
    assertNotEquals(chosen(mapWith(6)), chosen(mapWith(7)));
  });

  it("is the same whatever the other fields", () => {
    assertEquals(chosen(mapWith(6, 4096n)), chosen(mapWith(6, 8192n)));
  });
});
