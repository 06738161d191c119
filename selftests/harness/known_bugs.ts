// SPDX-License-Identifier: GPL-2.0-only

/**
 * Bugs of Linux that the model does not have. A test of the right behaviour
 * names one (`knownBug`) and is not applicable where it is: on a target with
 * the capability {@link LINUX}, in the versions that have it. The program that
 * shows each is in conformance/known_bugs.
 *
 * @module
 */

import {
  existsIn,
  type Lifetime,
  type Version,
} from "../../impl/uapi/revision/versions.ts";
import type { TargetInfo } from "../target/target.ts";

/** The capability of a target that is Linux itself, and so has its bugs. */
export const LINUX = "linux";

/** A bug of Linux; it is there in its lifetime. */
export interface BugOfLinux extends Lifetime {
  readonly since: Version;
  /** Where it is, and what Linux does. */
  readonly linux: string;
  /** What the model does. */
  readonly right: string;
}

/** The bugs, by the names that tests give. */
export const KNOWN_BUGS = {
  unlocks_dead_owner: {
    since: "6.2",
    linux:
      "pages.c do_update_pinned: in RLIMIT_MODE 1 a map of memory, some of which was unpinned after the process that owned it had exited, takes a lock that is not there, and hangs for ever",
    right: "the map succeeds",
  },
  warns_of_wrapped_length: {
    since: "6.2",
    linux:
      "io_pagetable.c iopt_insert_area: warns of a fixed map so long that the number of its pages wraps",
    right: "the map is EOVERFLOW without a warning",
  },
  replace_drops_reserved: {
    since: "6.6",
    linux:
      "device.c iommufd_device_do_replace: a replace that fails between two HWPTs of the same IOAS gives up what the group's devices reserve, although they stay attached",
    right: "the ranges stay reserved",
  },
  drops_dmabuf_descriptor: {
    since: "7.3",
    linux:
      "selftest.c iommufd_test_dmabuf_get: returns 0 instead of the descriptor that it made, which nobody gets to know",
    right:
      "the operation returns the descriptor; the kernel of linux-vm: is mended",
  },
  maps_keep_any_file: {
    since: "6.13",
    linux:
      "io_pagetable.c iopt_map_file_pages: an area keeps whatever file it was given open, so that an iommufd that maps itself is never released",
    right: "the iommufd is released with the process",
  },
  unpins_unused_folios: {
    since: "6.13",
    linux:
      "pages.c pfn_reader_release_pins: after an error unpins as many folios of a file as the array could hold, not as were pinned",
    right: "what was pinned is unpinned",
  },
  pins_unwritten_memory: {
    since: "6.13",
    linux:
      "mm/memfd.c memfd_pin_folios: does not clear what fallocate made and nobody touched: a device reads what that memory held before, and the first touch of a process zeroes what the device has written",
    right: "the memory is zero, and keeps what the device writes",
  },
  takes_from_dead_owner: {
    since: "6.13",
    linux:
      "ioas.c iommufd_ioas_change_process: in RLIMIT_MODE 1, where the former owner is gone, it fails with a warning, has charged the caller all the same, and that is never given back",
    right: "the memory is the caller's, and its unmap gives the charge back",
  },
  leaves_pins_with_owner: {
    since: "6.13",
    linux:
      "ioas.c need_charge_update: pins of memory that was mapped with CAP_IPC_LOCK stay counted (VmPin) with the former owner, and are taken from the new one",
    right: "they are counted with the new owner",
  },
  loses_dirty_of_cut_entry: {
    since: "7.3",
    linux:
      "iommu_pt.h record_dirty: a read of dirty bits that begins inside an entry drops and clears them, one that ends inside an entry sets bits behind those that were asked for",
    right: "the bits that were asked for are set, and no dirt is lost",
  },
  keeps_viommu_of_failed_attach: {
    since: "7.3",
    linux:
      "selftest.c mock_domain_nop_attach: a device whose attach fails for want of page faults reports events to the virtual IOMMU all the same, also after that is gone",
    right: "a failed attach changes nothing",
  },
  takes_any_device_for_mock: {
    since: "6.13",
    linux:
      "selftest.c iommufd_test_trigger_vevent, iommufd_test_dev_check_cache: read the memory of a device of another driver as that of a mock device",
    right: "the operation is EINVAL",
  },
  replaces_with_any_domain: {
    since: "6.6",
    linux:
      "iommu.c iommu_replace_group_handle: does not ask whose the domain is, so that a driver takes the device of another one for its own: a VFIO device and a mock device that are attached elsewhere in one iommufd",
    right: "the domain is EINVAL, as it is for what is attached to nothing",
  },
  warns_of_map_without_access: {
    since: "7.3",
    linux:
      "iommu_pt.h: warns of VFIO_IOMMU_MAP_DMA with neither right where there is a domain",
    right: "it fails without a warning",
  },
  maps_cut_page: {
    since: "7.3",
    linux:
      "iommu_pt.h __map_range_leaf: takes what is left at the end of a range and fits no page size for a page of one byte, and overwrites the kernel's memory: a copy of several areas, one of which ends inside a page of the IOMMU",
    right:
      "the copy is ENXIO, as it is for what fits no page size at its start",
  },
  warns_of_most_invalidations: {
    since: "6.13",
    linux:
      "selftest.c mock_viommu_cache_invalidate: asks for more memory than there can be for 2^19 entries, which the core allows, with a warning",
    right: "they are done",
  },
  forgets_index_of_queue: {
    since: "6.17",
    linux:
      "selftest.c mock_hw_queue_init_phys: does not note a queue's index, so that index 0 is free when queue 1 goes, and 1 never again",
    right: "the index is free that the queue had",
  },
  keeps_device_with_pasid: {
    since: "6.15",
    linux:
      "selftest.c iommufd_selftest_destroy: a device that is destroyed with a PASID attached is never freed, nor what it is attached to, and four warnings say so",
    right: "the PASID is detached first",
  },
  lets_child_write_huge_page: {
    since: "6.2",
    until: "7.3",
    linux:
      "hugetlb.c hugetlb_install_folio: the child of a fork gets its copy of a pinned private huge page with the right to write, whatever the mapping allows, so that it is pinned for writing",
    right: "what may not be written is EFAULT",
  },
  unreserves_huge_page_twice: {
    since: "6.2",
    linux:
      "hugetlb.c: a pinned private huge page that is dropped and touched again makes the count of reserved huge pages negative; so it is while one is pinned whose mapping is gone, and huge pages of files are ENOMEM",
    right: "huge pages are counted right",
  },
  tells_dirty_of_unmapped: {
    since: "6.2",
    linux:
      "vfio_iommu_type1.c vfio_iova_dirty_bitmap: clears a mapping's bits where they were before it shifted them to the mapping's place, so that from the second report on pages behind the mapping count as written",
    right: "only pages that are mapped count as written",
  },
} as const satisfies Readonly<Record<string, BugOfLinux>>;

/** The name of a bug of Linux. */
export type KnownBug = keyof typeof KNOWN_BUGS;

/** Whether a target has a bug. */
export function hasBug(
  { uapi, capabilities }: Pick<TargetInfo, "uapi" | "capabilities">,
  bug: KnownBug,
): boolean {
  return capabilities.includes(LINUX) &&
    existsIn(uapi as Version, KNOWN_BUGS[bug]);
}
