// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ViommuBench } from "../iommufd/testing/viommu_bench.ts";
import { inspect } from "./inspect.ts";

/** The rows of the drawn objects from an id on, with single spaces. */
function rowsFrom(drawing: string, id: number): string[] {
  return drawing.split("\n")
    .map((line) => line.trim().replaceAll(/ +/g, " "))
    .filter((line) => Number(/^\d+/.exec(line)?.[0]) >= id);
}

describe("a drawing of virtual IOMMUs", () => {
  it("says what each is, and what is on it", () => {
    const bench = new ViommuBench();
    const { machine } = bench;
    machine.map({ ioasId: bench.ioas, userVa: BigInt(machine.memory(1)) });
    assertEquals(bench.vdeviceAlloc().ret, 0);
    assertEquals(bench.veventqAlloc().ret, 0);
    assertEquals(bench.hwQueueAlloc().ret, 0);
    bench.nested(bench.viommu);
    assertEquals(rowsFrom(inspect(machine.kernel), bench.viommu), [
      "6 vIOMMU 5 on HWPT 5, type 0xdeadbeef, 1 device",
      "7 vDEVICE 1 iommufd_mock0 is 0x99 of vIOMMU 6",
      "8 vEVENTQ 2 of vIOMMU 6, type 0xbeefbeef, 0 of 2 unread",
      "9 HW queue 1 of vIOMMU 6, 4 KiB at IOVA 0x1000000",
      "10 access 2 IOAS 1, needs IOVA aligned to 4 KiB",
      "11 HWPT 1 nested on vIOMMU 6",
    ]);
    machine.process.exit();
  });
});
