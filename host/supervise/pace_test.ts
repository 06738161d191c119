// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Pace } from "./pace.ts";

describe("the pause before devices look again", () => {
  it("is none while there is work, and shortly after it", () => {
    const pace = new Pace();
    pace.worked(100);
    assertEquals([100, 100.5, 100.99].map((now) => pace.pause(now)), [0, 0, 0]);
  });

  it("is an eighth of the time for which there was none, up to a limit", () => {
    const pace = new Pace();
    pace.worked(100);
    assertEquals([101, 108, 116].map((now) => pace.pause(now)), [1 / 8, 1, 2]);
    assertEquals([132, 1000].map((now) => pace.pause(now)), [4, 4]);
    pace.worked(1000);
    assertEquals(pace.pause(1000), 0);
  });

  it("is as long as it may be where nothing ever came", () => {
    assertEquals(new Pace().pause(0), 4);
    assertEquals(new Pace(10).pause(0), 10);
    assertEquals(new Pace(0).pause(0), 0);
  });
});
