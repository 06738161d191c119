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
    ["sriov-file-stays", "sriov-no-ids", "sriov-sleeps"],
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
    "two devices of a group are opened in a container, and one is closed: random programs seldom have both",
    ["group-leaves-with-one-open"],
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
    ["amd-cut-start", "amd-entry-head", "amd-entry-tail"],
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
