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
    "no random program makes virtual functions, and no trace has any: what they are called is the machine's own",
    [
      "sriov-asleep",
      "sriov-file-stays",
      "sriov-no-ids",
      "sriov-sleeps",
      "sriov-some-more",
      "sriov-too-many",
      "vfio-token-any",
      "vfio-token-none",
      "vfio-token-not-set",
      "vfio-token-users",
    ],
  ],
  [
    "a card does DMA when its registers tell it how: no trace has those, as cards differ, and no random program sets them up",
    ["dma-rights", "pci-detached-dma"],
  ],
];

/** Why a mutant is not found, by its name. */
export const NOT_FOUND: ReadonlyMap<string, string> = new Map(
  REASONS.flatMap(([reason, names]) =>
    names.map((name): [string, string] => [name, reason])
  ),
);
