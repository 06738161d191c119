// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { asErrno, EINVAL, ENOENT, errnoName, errnoOf } from "./errno.ts";

describe("errnoOf()", () => {
  it("gives the errno that was thrown, with its reason, and nothing for success", () => {
    const thrown = EINVAL.because("it is too long");
    const errno = errnoOf(() => {
      throw thrown;
    });
    assertStrictEquals(errno, thrown);
    assertEquals(errnoOf(() => {}), undefined);
  });

  it("handles no bug", () => {
    const bug = new TypeError("a bug");
    function fail(): never {
      throw bug;
    }
    assertStrictEquals(assertThrows(() => errnoOf(fail)), bug);
    assertStrictEquals(assertThrows(() => asErrno(bug)), bug);
  });
});

describe("an errno", () => {
  it("is the same whatever the reason, and no other", () => {
    const errno = ENOENT.because("it is gone");
    assertEquals([ENOENT.is(errno), EINVAL.is(errno)], [true, false]);
    assertEquals(ENOENT.is(new TypeError()), false);
  });

  it("has the name that its system call's result has", () => {
    assertEquals(errnoName(-EINVAL.code), "EINVAL");
    assertEquals([errnoName(3), errnoName(-4095)], ["3", "-4095"]);
  });
});
