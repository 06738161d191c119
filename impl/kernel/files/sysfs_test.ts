// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ENOMEM } from "../../uapi/errno.ts";
import {
  sysfsAddDevice,
  sysfsEntry,
  sysfsNamedEntry,
  sysfsUevent,
} from "./sysfs.ts";
import { sweepSteps } from "../testing/fault_sweep.ts";

describe("entries of sysfs", () => {
  const enomem = -ENOMEM.code;

  it("are an allocation, or two with a copy of the name", () => {
    assertEquals(sweepSteps(sysfsEntry), [enomem, 0]);
    assertEquals(sweepSteps(sysfsNamedEntry), [enomem, enomem, 0]);
  });

  it("are seven allocations for a device on a bus", () => {
    const failures = new Array<number>(7).fill(enomem);
    assertEquals(sweepSteps(sysfsAddDevice), [...failures, 0]);
  });

  it("are announced to nobody when there is no memory for that", () => {
    assertEquals(sweepSteps(sysfsUevent), [0, 0, 0]);
  });
});
