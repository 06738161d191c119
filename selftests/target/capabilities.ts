// SPDX-License-Identifier: GPL-2.0-only

/**
 * The capabilities that are the kernel's, and since when it has them; the
 * others are up to the target.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { existsIn, type Lifetime } from "../../impl/uapi/revision/versions.ts";

/** The capabilities that a target may lack. */
export const NEEDS = [
  "hugetlb",
  // A huge page of 1 GiB.
  "hugetlb_1g",
  "fork",
  "fail_nth",
  "setrlimit",
  "setuid",
  // Files of memory: seals, holes, offsets, names in `/dev/shm`.
  "files",
  // Descriptors that become another one's: `dup2`, `dup3`.
  "dup2",
  // Descriptors that one process gives another.
  "passfd",
  // Processes that run a program anew.
  "exec",
  // Mappings that change their length and their place.
  "mremap",
  // HWPT_ALLOC, GET_HW_INFO, HWPT_INVALIDATE.
  "hwpt",
  // HWPT_SET_DIRTY_TRACKING, HWPT_GET_DIRTY_BITMAP.
  "dirty",
  // FAULT_QUEUE_ALLOC.
  "faults",
  // IOAS_MAP_FILE, IOAS_CHANGE_PROCESS.
  "map_file",
  // VIOMMU_ALLOC, VDEVICE_ALLOC, VEVENTQ_ALLOC, HW_QUEUE_ALLOC.
  "viommu",
  // HWPTs for PASIDs, and devices that have them.
  "pasid",
  // `/dev/vfio/vfio` is there: an iommufd, or VFIO's own.
  "vfio_container",
  // `/dev/vfio/vfio` opens an iommufd.
  "vfio",
  // `/dev/vfio/vfio` opens a container of VFIO's own, of type1.
  "type1_container",
  // A process can map 2 GiB of memory.
  "memory_2g",
  // `/dev/vfio/devices/vfio0` is a network card of Intel's, an 82576 as QEMU has it.
  "vfio_device",
  // It can have virtual functions, which are VFIO's too: its `sriov_numvfs` can be written.
  "vfio_sriov",
  // `vfio0` and `vfio1` in `/dev/vfio/devices` are copy engines of this package.
  "copy_engines",
  // The first has a ROM, the other one without images.
  "vfio_rom",
  // The only VFIO device is behind no IOMMU.
  "noiommu_device",
  // It is a copy engine of this package.
  "noiommu_engine",
  // `vfio0` and `vfio1` are copy engines of this package, `0000:01:00.0` and `.1`, in one group, on a bus that can be reset.
  "vfio_group_of_two",
] as const;

/** A capability; a test that needs it is skipped where it is lacking, with this as the reason. */
export type Need = typeof NEEDS[number];

const LIFETIMES: Readonly<Partial<Record<Need, Lifetime>>> = {
  vfio: { since: "6.2" },
  hwpt: { since: "6.6" },
  dirty: { since: "6.7" },
  faults: { since: "6.11" },
  map_file: { since: "7.3" },
  viommu: { since: "7.3" },
  pasid: { since: "7.3" },
};

/** What each of some capabilities is there with. */
const IMPLIED_BY: Readonly<Partial<Record<Need, readonly Need[]>>> = {
  vfio_container: ["vfio", "type1_container"],
};

/** Whether a target that names these capabilities has what a test needs. */
export function offers(capabilities: readonly string[], need: Need): boolean {
  const names = [need, ...IMPLIED_BY[need] ?? []];
  return names.some((name) => capabilities.includes(name));
}

/** When there is what a capability stands for. */
export function lifetimeOf(need: Need): Lifetime {
  return LIFETIMES[need] ?? {};
}

/** The capabilities that a kernel of a revision has by its age. */
export function kernelCapabilities(uapi: RevisionName): Need[] {
  const all = Object.keys(LIFETIMES) as Need[];
  return all.filter((need) => existsIn(uapi, lifetimeOf(need)));
}
