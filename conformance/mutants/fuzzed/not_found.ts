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
    "what a virtual function reads, its file when it is gone, or the power of its device: random programs seldom look at that while they have some",
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
  [
    "a group without an IOMMU in a container of VFIO's own, which then gets a type: random programs give it no type",
    ["noiommu-ioctls", "noiommu-type1"],
  ],
  [
    "two devices of a group are open, and one is closed or reset: random programs seldom have both",
    ["group-leaves-with-one-open", "group-resets-one"],
  ],
  [
    "a process with a low limit gives another one's memory its address again, which no trace has: random programs do not get so far",
    ["type1-moves-unlimited"],
  ],
  [
    "a bitmap that was not empty before, for a mapping that begins with one of its words, which no trace has",
    ["type1-dirty-keeps"],
  ],
  [
    "DMA of an engine that notes what it writes, and two questions about it: random programs do not get so far",
    ["dma-log-keeps"],
  ],
  [
    "a slow copy of an access from the middle of a page over several batches, which want a limit of a few pages",
    ["slow-copy-batches"],
  ],
  [
    "a read of dirty bits that begins or ends within an entry of several pages, which no trace has, as Linux does it wrong",
    [
      "amd-cut-clean",
      "amd-cut-end",
      "amd-cut-start",
      "amd-entry-head",
      "amd-entry-tail",
    ],
  ],
  [
    "the kernel chooses the last page of the IOVA space only where all others are taken or not allowed",
    ["chosen-iova-last"],
  ],
  [
    "an access pins a part of what it then reads as a whole, the slow way: random programs seldom have both, and only the count of pins shows it",
    ["unpin-wrong-page"],
  ],
  [
    "a private and a shared mapping of one file of huge pages, both over a hole, of which the private one is read first",
    ["huge-hole-shared"],
  ],
  [
    "a device refuses a mapping of fixed place where memory was, which is then touched: random programs map devices where nothing was",
    ["refused-map-keeps"],
  ],
  [
    "DMA of a device that must not reach what it reaches: random programs get so far at the end of the minute, if at all",
    ["dma-log-all", "dma-rights", "pci-detached-dma"],
  ],
  [
    "the one step of the kernel that is lost must be the one that is made to fail",
    ["fwspec-before-add", "iommu-map-unwind"],
  ],
  [
    "a process takes over files that another one has mapped, in several modes of accounting or past a limit: random programs do not get so far, and no trace has it, as Linux does a part of it wrong",
    ["owner-charge-stays", "owner-free-pins"],
  ],
];

/** Why a mutant is not found, by its name. */
export const NOT_FOUND: ReadonlyMap<string, string> = new Map(
  REASONS.flatMap(([reason, names]) =>
    names.map((name): [string, string] => [name, reason])
  ),
);
