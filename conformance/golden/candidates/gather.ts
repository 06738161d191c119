// SPDX-License-Identifier: GPL-2.0-only

/**
 * The programs that are recorded on a machine.
 *
 * @module
 */

import { allTests } from "../../../selftests/all.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import { select } from "../select.ts";
import {
  type Candidate,
  type Machine,
  randomCandidates,
  testCandidates,
} from "./candidates.ts";

/** Random programs that are taken along although they reach nothing of their own. */
const MORE = 300;
/** What the machines after the first have that it lacks. */
const SPECIAL: readonly Need[] = [
  "vfio_device",
  "vfio_sriov",
  "vfio_container",
  "type1_container",
];

/**
 * Chooses programs that reach what `covered` lacks, and adds to it what they
 * reach. On a machine after the first only what the first could not do.
 */
export async function gather(
  machine: Machine,
  covered: Set<string>,
): Promise<Candidate[]> {
  const tests = allTests(machine.uapi);
  if (covered.size > 0) {
    const special = tests.filter(({ needs }) =>
      needs.some((need) => SPECIAL.includes(need))
    );
    return select(await testCandidates(machine, special), covered);
  }
  const random = randomCandidates(machine);
  const all = [...await testCandidates(machine, tests), ...random];
  const chosen = select(all, covered);
  const more = random.filter((candidate) => !chosen.includes(candidate));
  return [...chosen, ...spread(more, MORE)];
}

/** Some of many, as far from each other as they can be. */
function spread<T>(all: readonly T[], count: number): T[] {
  const step = Math.max(1, all.length / count);
  return Array.from(
    { length: Math.min(count, all.length) },
    (_, i) => all[Math.floor(i * step)]!,
  );
}
