// SPDX-License-Identifier: GPL-2.0-only

/**
 * A child that maps memory through its parent's descriptor. Its pages are
 * copies on write, so pinning them copies them.
 *
 * @module
 */

import { alike, measured, type Scenario } from "../measuring/scenario.ts";
import { mapAndUnmap } from "./mapping.ts";
import { IOVA, KIB, MIB, pagesOf } from "./sizes.ts";

const LENGTHS = [4 * KIB, 2 * MIB, 64 * MIB];

/** The group. */
export function forkScenarios(): Scenario[] {
  return LENGTHS.map((length) => ({
    group: "fork",
    operations: alike({
      fork: "fork; the child maps, unmaps and exits",
    }, {
      size: { value: length, unit: "bytes" },
      calls: 1,
      pages: pagesOf(length),
    }),
    async prepare(machine) {
      const { fd } = machine.io;
      const userVa = await machine.memory(length);
      const { ioasId } = await machine.ioas(1);
      const mapping = { ioasId, userVa, length, iova: IOVA };
      const { map, unmap } = mapAndUnmap(fd, mapping);
      return [measured("fork", { fork: [map, unmap] })];
    },
  }));
}
