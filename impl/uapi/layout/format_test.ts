// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { formatNumber, formatValue } from "./format.ts";
import { IommuHwInfo, IommuIoasMap, IommuOption } from "../iommufd.ts";
import * as role from "./roles.ts";

const { flags, ioasId, userVa } = IommuIoasMap.fields;

describe("formatValue()", () => {
  it("names the bits of flags", () => {
    assertEquals(formatValue(flags, 0), "0x0");
    assertEquals(formatValue(flags, 4), "0x4 (READABLE)");
    assertEquals(formatValue(flags, 5), "0x5 (FIXED_IOVA | READABLE)");
    const { outCapabilities } = IommuHwInfo.fields;
    assertEquals(formatValue(outCapabilities, 1n), "0x1 (DIRTY_TRACKING)");
  });

  it("shows bits without a name beside those with one", () => {
    assertEquals(formatValue(flags, 0x1001), "0x1001 (FIXED_IOVA | 0x1000)");
    assertEquals(formatValue(flags, 0x1000), "0x1000");
    assertEquals(formatValue(role.flags(), 1), "0x1");
    const top = "0x80000004 (READABLE | 0x80000000)";
    assertEquals(formatValue(flags, 0x80000004), top);
  });

  it("names one of a few values", () => {
    const { op } = IommuOption.fields;
    assertEquals([0, 1, 2].map((value) => formatValue(op, value)), [
      "0 (SET)",
      "1 (GET)",
      "2",
    ]);
    const { outDataType } = IommuHwInfo.fields;
    const selftest = "0xfeedbeef (SELFTEST)";
    assertEquals(formatValue(outDataType, 0xfeedbeef), selftest);
  });

  it("has addresses and lengths in hexadecimal, ids in decimal", () => {
    assertEquals(formatValue(userVa, 16n), "0x10");
    assertEquals(formatValue(ioasId, 65536), "65536");
    assertEquals(formatNumber(4095), "4095");
    assertEquals(formatNumber(4096n), "0x1000");
  });
});
