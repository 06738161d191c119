// SPDX-License-Identifier: GPL-2.0-only

/**
 * The programs that are recorded on a machine.
 *
 * @module
 */

import { allTests } from "../../../selftests/all.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import { formatSteps } from "../../protocol/program.ts";
import { select } from "../select.ts";
import {
  type Candidate,
  type Machine,
  randomCandidates,
  testCandidates,
  writtenCandidates,
} from "./candidates.ts";

/** Random programs that are taken along although they reach nothing of their own. */
const MORE = 300;
/** Characters of a test's program that is taken along too. */
const SHORT = 8192;
/** What a machine with a device has that others lack. */
const SPECIAL: readonly Need[] = [
  "vfio_device",
  "vfio_sriov",
  "vfio_container",
  "type1_container",
];

/**
 * Chooses programs that reach what `covered` lacks, and adds to it what they
 * reach; of a machine with a device, only of what takes one. Of one without, all
 * of the suite's own tests that are short, and some random programs are taken
 * along.
 */
export async function gather(
  machine: Machine,
  covered: Set<string>,
): Promise<Candidate[]> {
  const tests = allTests(machine.uapi);
  const written = writtenCandidates(machine);
  if (machine.capabilities.includes("vfio_device")) {
    const special = tests.filter(({ needs }) =>
      needs.some((need) => SPECIAL.includes(need))
    );
    const all = [...await testCandidates(machine, special), ...written];
    return select(all, covered);
  }
  const random = randomCandidates(machine);
  const { own = [], upstream = [] } = Object.groupBy(
    tests,
    (test) => test.upstream ? "upstream" : "own",
  );
  const owned = await testCandidates(machine, own);
  const others = await testCandidates(machine, upstream);
  const all = [...owned, ...others, ...written, ...random];
  const chosen = select(all, covered);
  const left = (candidates: readonly Candidate[]) =>
    candidates.filter((candidate) => !chosen.includes(candidate));
  const short = left(owned)
    .filter(({ program }) => formatSteps(program).length <= SHORT);
  return [...chosen, ...short, ...spread(left(random), MORE)];
}

/** Some of many, as far from each other as they can be. */
function spread<T>(all: readonly T[], count: number): T[] {
  const step = Math.max(1, all.length / count);
  return Array.from(
    { length: Math.min(count, all.length) },
    (_, i) => all[Math.floor(i * step)]!,
  );
}
