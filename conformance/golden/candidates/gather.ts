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
import { pack } from "../trace.ts";
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
const SHORT = 2 ** 17;
/** Bytes that it has in a file, compressed. */
const SMALL = 5000;
/** What a machine with a device has that others lack. */
const SPECIAL: readonly Need[] = [
  "vfio_device",
  "vfio_sriov",
  "vfio_container",
  "type1_container",
];

/**
 * Chooses programs that reach what `covered` lacks, and adds to it what they
 * reach; of a machine with a device, only of what takes one. All of the suite's
 * own tests that are small are taken along, and some random programs of a
 * machine without a device.
 */
export async function gather(
  machine: Machine,
  covered: Set<string>,
): Promise<Candidate[]> {
  const hasDevice = machine.capabilities.includes("vfio_device");
  const tests = allTests(machine.uapi).filter(({ needs }) =>
    !hasDevice || needs.some((need) => SPECIAL.includes(need))
  );
  const { own = [], upstream = [] } = Object.groupBy(
    tests,
    (test) => test.upstream ? "upstream" : "own",
  );
  const owned = await testCandidates(machine, own);
  const others = await testCandidates(machine, upstream);
  const written = writtenCandidates(machine);
  const random = hasDevice ? [] : randomCandidates(machine);
  const all = [...owned, ...others, ...written, ...random];
  const chosen = select(all, covered);
  const left = (candidates: readonly Candidate[]) =>
    candidates.filter((candidate) => !chosen.includes(candidate));
  const small: Candidate[] = [];
  for (const candidate of left(owned)) {
    if (await isSmall(candidate)) small.push(candidate);
  }
  return [...chosen, ...small, ...spread(left(random), MORE)];
}

/** Whether a program takes little of a file, and of who reads it. */
async function isSmall({ program }: Candidate): Promise<boolean> {
  const text = formatSteps(program);
  return text.length <= SHORT && (await pack(text)).length <= SMALL;
}

/** Some of many, as far from each other as they can be. */
function spread<T>(all: readonly T[], count: number): T[] {
  const step = Math.max(1, all.length / count);
  return Array.from(
    { length: Math.min(count, all.length) },
    (_, i) => all[Math.floor(i * step)]!,
  );
}
