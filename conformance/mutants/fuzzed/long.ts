// SPDX-License-Identifier: GPL-2.0-only

/**
 * The mutants whose smallest program has more than eight calls: what shows them
 * takes so many to begin with.
 *
 * @module
 */

/** A reason, and the mutants that it is that of. */
type Reason = readonly [string, readonly string[]];

const REASONS: readonly Reason[] = [
  [
    "DMA: a device is bound and attached, memory is mapped, registers are written and read",
    ["noiommu-blocked"],
  ],
  [
    "dirty bits: a context, an IOAS, a device, a HWPT that tracks, tracking, memory, a map, the bits to set, the write, the question and a look at the answer",
    [
      "amd-dirty-bits",
      "amd-one-dirty-item",
      "amd-largest",
      "amd-beyond",
      "amd-set-dirty",
      "amd-no-clear",
      "bitmap-last-bit",
      "bitmap-leak",
      "bitmap-part-page",
      "dirty-clear-first-area",
      "dirty-old-bits",
      "iommu-large-pages",
      "iopte-huge-bit",
      "mock-dirty-unmapped",
      "mock-huge-size",
      "mock-no-clear",
      "mock-untracked-read",
      "window-of-the-beginning",
    ],
  ],
  [
    "a DMA buffer has no memory that a program sees: what a domain has of it only dirty bits show, behind what makes, maps and revokes the buffer",
    [
      "buffer-comes-back",
      "buffer-stays",
      "buffer-first-domain",
      "importer-unknown",
    ],
  ],
  [
    "a virtual device's event: a context, an IOAS, a device, a parent, a virtual IOMMU, a vDEVICE, memory, a nested HWPT, the move to it, and what triggers or reads",
    [
      "event-queue-any-type",
      "lost-header-counts",
      "lost-header-stays",
      "lost-not-counted",
      "number-follows",
      "number-zero-told",
      "vdevice-stays-known",
      "veventq-read-again",
      "veventq-read-parts",
    ],
  ],
  [
    "what a virtual IOMMU has: a context, an IOAS, a device, a parent and it are five calls, memory that is mapped for a queue two more",
    [
      "cache-any-word",
      "lock-after-cut",
      "no-tombstone",
      "queue-does-not-lock",
      "queue-never-stops",
      "queue-no-dependence",
      "queue-scattered",
    ],
  ],
  [
    "a page fault: a context, an IOAS, a device, a queue, a HWPT with it, the move to it, the fault and its read are eight calls before the answer or another move, and a PASID takes more",
    [
      "answered-stays",
      "fault-falls-back",
      "fault-user-pasid",
      "mock-pasid-faults",
      "pasid-replace-answers",
      "replace-same",
      "write-any-code",
    ],
  ],
  [
    "a PASID that moves: a context, an IOAS, a device, two HWPTs for PASIDs, the device's own move, the PASID's attach and its moves",
    ["mock-refuses-always", "pasid-replace-forgets"],
  ],
  [
    "a file's pages that a new owner takes over: a context, an IOAS, a device, the file, its length, the capability given up, the map, another process or user and the change",
    [
      "owner-charged-by-area",
      "owner-kept",
      "owner-not-charged",
      "owner-not-uncharged",
      "owner-user",
    ],
  ],
  [
    "an answer that cannot be told: its struct is in memory of which the rights are taken, behind all that the call needs",
    ["access-pages-answer", "pasid-reply-stays", "vfio-attach-untold"],
  ],
  [
    "a bitmap that type 1 adds to: a group, a container, the group in it, its type, memory, a map, tracking, the unmap that fills the bitmap and a look at that",
    ["type1-dirty-clears"],
  ],
  [
    "only what is left of two maps is over a lowered limit, and only of a process that gave up a capability",
    ["unmap-over-process-limit"],
  ],
  [
    "only type 1 cuts areas, and an access that pins is two calls more",
    ["split-pinned-area"],
  ],
  [
    "two IOAS that share memory, one with a domain and one with an access that pins",
    ["pin-past-area"],
  ],
];

/** Why no program of eight calls shows a mutant, by its name. */
export const LONG: ReadonlyMap<string, string> = new Map(
  REASONS.flatMap(([reason, names]) =>
    names.map((name): [string, string] => [name, reason])
  ),
);
