// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mutants that the fuzzer does not find.
 *
 * @module
 */

/** A reason, and the mutants that it is that of. */
type Reason = readonly [string, readonly string[]];

const REASONS: readonly Reason[] = [
  [
    "a user of a virtual function with the device's token, and the device opened again without: random programs do not get so far",
    ["vfio-token-users"],
  ],
  [
    "registers of a virtual function, or of its device while that has some: random programs seldom look at them",
    ["sriov-asleep", "sriov-file-stays", "sriov-no-ids", "sriov-sleeps"],
  ],
  [
    "a program of forty calls makes no thousand eventfds",
    ["vfio-ioeventfd-many"],
  ],
  [
    "no program of forty calls writes 64 KiB into a pipe, of 64 bytes a call",
    ["pipe-wraps"],
  ],
];

/** Why a mutant is not found, by its name. */
export const NOT_FOUND: ReadonlyMap<string, string> = new Map(
  REASONS.flatMap(([reason, names]) =>
    names.map((name): [string, string] => [name, reason])
  ),
);
