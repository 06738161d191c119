// SPDX-License-Identifier: GPL-2.0-only

/**
 * HWPTs, devices and PASIDs: page tables that programs allocate, nest,
 * invalidate and track, and what devices and their PASIDs are attached to
 * (hw_pagetable.c, device.c).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const HWPT_RULES = {
  "C2.1": {
    level: "uapi",
    since: "6.8",
    says:
      "A nested HWPT holds a page table of the user's own, which nobody trusts, so it lies on a parent that the kernel controls: an HWPT made with NEST_PARENT. It holds the parent (EBUSY) and has no map of its own.",
    where:
      "hw_pagetable.c iommufd_hwpt_nested_alloc, iommufd_hwpt_nested_destroy; selftest.c get_md_pagetable, get_md_pagetable_nested",
  },
  "C2.7": {
    level: "uapi",
    since: "6.6",
    says:
      "What a HWPT is made of is said when it is allocated and never changes; a device is moved to another one instead, and stays where it is if the move fails.",
    where:
      "device.c iommufd_device_do_replace, iommufd_hw_pagetable_put; selftest.c mock_domain_nop_attach",
  },
  "C2.9": {
    level: "uapi",
    since: "6.6",
    says:
      "HWPT_ALLOC checks its reserved field (EOPNOTSUPP), that data have a type and a length or neither (EINVAL), the device (ENOENT), then what it is to lie on: EINVAL for an id of nothing, too. A refusal uses no id up.",
    where: "hw_pagetable.c iommufd_hwpt_alloc",
  },
  "C2.10": {
    level: "uapi",
    since: "6.6",
    says:
      "A device that is attached to an IOAS shares the IOAS's automatic HWPTs only, and the last one of them takes such a HWPT along.",
    where: "device.c iommufd_device_auto_get_domain, iommufd_hw_pagetable_put",
  },
  "C2.11": {
    level: "uapi",
    since: "6.6",
    says:
      "A device can be attached to a HWPT by its id, and holds it: DESTROY is EBUSY.",
    where: "device.c iommufd_device_change_pt, iommufd_hw_pagetable_attach",
  },
  "C2.12": {
    level: "kernel",
    since: "6.6",
    says:
      "IOVA that a domain does not have is reserved in the IOAS as long as the domain is in it, and only there.",
    where: "io_pagetable.c iopt_table_add_domain, iopt_table_remove_domain",
  },
  "C2.13": {
    level: "kernel",
    since: "v3",
    says:
      "Closing the descriptor destroys all objects, the users of each before it, however deep they are nested.",
    where: "main.c iommufd_fops_release",
  },
  "C2.20": {
    level: "uapi",
    since: "6.6",
    says:
      "HWPT_ALLOC on an IOAS takes the flags that it knows, and DIRTY_TRACKING from devices that can track (EOPNOTSUPP). What the IOAS has is mapped before it returns; if that fails there is no HWPT. A HWPT holds its IOAS.",
    where:
      "hw_pagetable.c iommufd_hwpt_paging_alloc; io_pagetable.c iopt_table_add_domain",
  },
  "C2.21": {
    level: "uapi",
    since: "6.8",
    says:
      "HWPT_ALLOC on a HWPT must have data and no flags but those of fault queues and PASIDs (EOPNOTSUPP), then a parent that was allocated as one (EINVAL); the data are the driver's to check.",
    where: "hw_pagetable.c iommufd_hwpt_nested_alloc",
  },
  "C2.23": {
    level: "kernel",
    since: "6.8",
    says:
      "The mock has a type of data for nested HWPTs, one for invalidation and four entries to invalidate; another type is refused, and data on an IOAS only choose its page table.",
    where:
      "selftest.c mock_domain_alloc_paging_flags, mock_domain_alloc_nested, mock_domain_cache_invalidate_user, iommufd_test_md_check_iotlb",
  },
  "C2.24": {
    level: "uapi",
    since: "6.6",
    says:
      "GET_HW_INFO checks flags and reserved bytes, the device, then writes as many bytes as there is room for, zeroes what room is left, and tells the length that there is; without room the address does not matter. A buffer that cannot be written is EFAULT, and the struct stays as it was.",
    where: "device.c iommufd_get_hw_info",
  },
  "C2.25": {
    level: "uapi",
    since: "6.8",
    says:
      "HWPT_INVALIDATE checks its reserved field, the array (since 6.12 at most 2^19 requests of at most a page each), the HWPT, then the type. No request at all asks whether the type is known. Requests are carried out up to the first that is wrong, and how many were is told in any case.",
    where:
      "hw_pagetable.c iommufd_hwpt_invalidate; selftest.c mock_domain_cache_invalidate_user",
  },
  "C2.26": {
    level: "uapi",
    since: "6.7",
    says:
      "SET_DIRTY_TRACKING takes a HWPT of an IOAS (ENOENT) that was allocated for it (EOPNOTSUPP); flags come first. Turning it on forgets what was dirty in every area, also where it is on; turning it off does not.",
    where:
      "hw_pagetable.c iommufd_hwpt_set_dirty_tracking; io_pagetable.c iopt_set_dirty_tracking, iopt_clear_dirty_data",
  },
  "C2.27": {
    level: "uapi",
    since: "6.7",
    says:
      "GET_DIRTY_BITMAP checks flags and reserved field, the HWPT, then the range: no bytes are EINVAL, one that wraps EOVERFLOW, ends that are not aligned as the IOAS needs or to the page size EINVAL; then whether the HWPT tracks. A range may end with the space.",
    where:
      "hw_pagetable.c iommufd_hwpt_get_dirty_bitmap; io_pagetable.c iommufd_check_iova_range",
  },
  "C2.28": {
    level: "uapi",
    since: "6.7",
    says:
      "Bits are added to the bitmap, from bit 0 for the first page of the range, each for as many bytes as the page size says; nothing else of it is touched.",
    where: "iova_bitmap.c iova_bitmap_set, iova_bitmap_offset_to_index",
  },
  "C2.29": {
    level: "uapi",
    since: "6.7",
    says:
      "A page that was told is clean, unless NO_CLEAR is given; what is outside of the range stays dirty.",
    where:
      "io_pagetable.c iommu_read_and_clear_dirty; generic_pt/iommu_pt.h read_and_clear_dirty",
  },
  "C2.30": {
    level: "kernel",
    since: "6.7",
    says:
      "A read of the bitmap goes through areas that touch and ends at a hole; a bit whose place in memory cannot be written is lost, and the read succeeds.",
    where:
      "io_pagetable.c __iommu_read_and_clear_dirty; iova_bitmap.c iova_bitmap_set",
  },
  "C2.31": {
    level: "kernel",
    since: "6.7",
    says:
      "A bitmap is pinned window by window, and nothing of it stays pinned.",
    where: "iova_bitmap.c iova_bitmap_advance_to, iova_bitmap_put",
  },
  "C2.32": {
    level: "kernel",
    since: "6.7",
    says:
      "A page size of several bits counts as its lowest one, and the ends are checked against its highest.",
    where:
      "io_pagetable.c iommufd_check_iova_range; iova_bitmap.c iova_bitmap_alloc",
  },
  "C2.33": {
    level: "uapi",
    since: "6.7",
    says:
      "Each HWPT of an IOAS tracks for itself, and what is unmapped is forgotten.",
    where:
      "selftest.c mock_domain_set_dirty_tracking; generic_pt/iommu_pt.h unmap_range",
  },
  "C2.34": {
    level: "kernel",
    since: "6.7",
    says:
      "A page table tracks by its own entries: memory that is aligned to a large page by that, other memory by small ones.",
    where: "generic_pt/iommu_pt.h record_dirty; iommu.c iommu_pgsize",
  },
  "C2.35": {
    level: "uapi",
    since: "6.17",
    says:
      "GET_HW_INFO can ask for a type of information; one that the driver does not have is EOPNOTSUPP.",
    where: "device.c iommufd_get_hw_info; selftest.c mock_domain_hw_info",
  },
  "C2.36": {
    level: "kernel",
    since: "6.7",
    says:
      "A device that cannot be tracked is not attached to a HWPT that tracks: EINVAL.",
    where: "selftest.c mock_domain_nop_attach",
  },
  S16: {
    level: "kernel",
    since: "6.4",
    says:
      "A HWPT is in its IOAS from its allocation until it is destroyed, whether a device is attached or not.",
    where: "hw_pagetable.c iommufd_hwpt_paging_alloc",
  },
  "A1.1": {
    level: "uapi",
    since: "6.15",
    says:
      "Each PASID of a device is attached to a HWPT by itself, moved and detached, beside the device's own attachment; PASID 0 is the device without one.",
    where:
      "device.c iommufd_hw_pagetable_attach, iommufd_device_attach, iommufd_device_replace, iommufd_device_do_replace",
  },
  "A1.2": {
    level: "uapi",
    since: "6.15",
    says:
      "What a PASID is attached to, and the device then too, must have been allocated with IOMMU_HWPT_ALLOC_PASID: EINVAL for a plain or an automatic HWPT, whichever comes first. A nested HWPT needs the flag itself.",
    where:
      "device.c iommufd_hwpt_pasid_compat, iommufd_device_detach; hw_pagetable.c iommufd_hwpt_nested_alloc",
  },
  "A1.3": {
    level: "kernel",
    since: "6.15",
    says:
      "Attaching and replacing a PASID look at the ids, then at what is attached, then at the HWPT.",
    where:
      "device.c iommufd_device_change_pt, iommufd_hw_pagetable_attach, iommufd_device_do_replace, iommufd_hwpt_replace_device",
  },
  "A1.4": {
    level: "uapi",
    since: "6.15",
    says:
      "GET_HW_INFO tells how many bits the PASIDs of a device have; a device without any takes a HWPT for PASIDs, but has no PASID to attach.",
    where:
      "iommu.c iommu_attach_device_pasid; device.c iommufd_get_hw_info; selftest.c mock_dev_create",
  },
  "A1.5": {
    level: "uapi",
    since: "6.15",
    says:
      "A PASID holds its HWPT and its device: neither can be destroyed, EBUSY. It is detached with the device, and with the context.",
    where:
      "device.c iommufd_hw_pagetable_attach, iommufd_device_attach, iommufd_hw_pagetable_detach; selftest.c iommufd_selftest_destroy; main.c iommufd_fops_release",
  },
  "A1.6": {
    level: "uapi",
    since: "6.15",
    says:
      "A PASID whose driver refuses a HWPT stays at the one it has, and so do all others.",
    where:
      "iommu.c iommu_replace_device_pasid; selftest.c mock_domain_set_dev_pasid_nop, mock_domain_nop_attach",
  },
  "A1.7": {
    level: "uapi",
    since: "6.15",
    says:
      "A HWPT that only a PASID uses has the map of its IOAS all the same, and a process that shares the descriptor attaches and detaches as its parent does.",
    where:
      "hw_pagetable.c iommufd_hwpt_paging_alloc; main.c iommufd_fops_ioctl",
  },
  "A1.8": {
    level: "kernel",
    since: "6.15",
    says:
      "Detaching a PASID that is not attached does nothing. An attachment that cannot be told of is taken back, a replacement is not.",
    where:
      "device.c iommufd_device_detach; selftest.c iommufd_test_pasid_attach, iommufd_test_pasid_replace",
  },
} as const satisfies Readonly<Record<string, Rule>>;
