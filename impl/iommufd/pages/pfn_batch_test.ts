// SPDX-License-Identifier: GPL-2.0-only

import { assertThrows } from "@std/assert";
import { it } from "@std/testing/bdd";
import { KernelBug } from "../../kernel/warn.ts";
import { Bench } from "../testing/bench.ts";

it("a driver that gives other frames than it mapped is told so", () => {
  for (const paddr of [0, 0x7000]) {
    const bench = new Bench();
    const { machine, ops } = bench;
    const ioasId = machine.ioas();
    bench.bind(bench.a).attach(ioasId);
    machine.map({ ioasId, userVa: BigInt(machine.memory(1)) });
    ops.domains[0]!.iovaToPhys = () => paddr;
    assertThrows(
      () => machine.unmap({ ioasId, iova: 0n, length: 2n ** 64n - 1n }),
      KernelBug,
      "An IOMMU driver's iovaToPhys() or readPfns() gave other frames",
    );
  }
});
