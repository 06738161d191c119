// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommuHwptAlloc, IommuIoasMap } from "../iommufd.ts";
import {
  existsIn,
  isSince,
  valueIn,
  type Version,
  VERSIONS,
} from "./versions.ts";

/** The versions in which `holds` is true. */
function where(holds: (version: Version) => boolean): string[] {
  return VERSIONS.filter(holds);
}

describe("versions", () => {
  it("come in order: 6.10 after 6.9, 7.0 after 6.19, the series first", () => {
    assertEquals(VERSIONS.length, 23);
    assertEquals(isSince("6.10", "6.9"), true);
    assertEquals(isSince("6.9", "6.10"), false);
    assertEquals(isSince("7.0", "6.19"), true);
    assertEquals(isSince("v3", "6.2"), false);
    assertEquals(isSince("6.12", "6.12"), true);
  });

  it("have something from since on, and before until", () => {
    assertEquals(where((at) => existsIn(at, {})), [...VERSIONS]);
    assertEquals(where((at) => existsIn(at, { since: "7.2" })), ["7.2", "7.3"]);
    assertEquals(where((at) => existsIn(at, { until: "6.3" })), ["v3", "6.2"]);
    const between = { since: "6.19", until: "7.1" } as const;
    assertEquals(where((at) => existsIn(at, between)), ["6.19", "7.0"]);
  });

  it("have a value from a version on until the next one that is named", () => {
    const size = { "6.6": 24, "6.8": 40, "6.11": 48 };
    assertEquals(valueIn("6.5", size), undefined);
    assertEquals(valueIn("6.6", size), 24);
    assertEquals(valueIn("6.7", size), 24);
    assertEquals(valueIn("6.10", size), 40);
    assertEquals(valueIn("7.3", size), 48);
    assertEquals(valueIn("6.7", { v3: 0 }), 0);
  });

  it("have a struct in the size that it had grown to", () => {
    const sizes = VERSIONS.slice(5, 11).map(IommuHwptAlloc.sizeIn);
    assertEquals(sizes, [24, 40, 40, 40, 40, 48]);
    assertEquals(IommuHwptAlloc.size, 48);
    assertEquals(IommuIoasMap.sizeIn("v3"), IommuIoasMap.size);
  });
});
