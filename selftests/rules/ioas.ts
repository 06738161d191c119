// SPDX-License-Identifier: GPL-2.0-only

/**
 * IO address spaces: IOVA ranges, areas, copies and options of an IOAS
 * (io_pagetable.c, ioas.c).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const IOAS_RULES = {
  "P09.2": {
    level: "uapi",
    since: "v3",
    says:
      "A kernel-chosen IOVA is never 0 and never in the last page of the space: it lies from one page on. A length of 0, or of half the space, is refused.",
    where: "io_pagetable.c iopt_alloc_iova",
  },
  "P09.3": {
    level: "uapi",
    since: "v3",
    says:
      "A kernel-chosen IOVA is aligned to the length rounded up to a power of two, but not more than the memory's own address is; it has the address's offset in its page. An alignment below what the domains need is EINVAL.",
    where: "io_pagetable.c iopt_alloc_iova",
  },
  "P09.4": {
    level: "kernel",
    since: "v3",
    says:
      "The kernel takes the first place that fits, going up through allowed ranges, what is free in them of areas, and what is free of reserved ranges. ENOSPC if there is none.",
    where: "io_pagetable.c iopt_alloc_iova",
  },
  "P09.5": {
    level: "kernel",
    since: "v3",
    says:
      "In each free span the search begins anew at the first aligned place; what lies below that place is not looked at, and the offset in the page is put in without looking whether it carries.",
    where: "io_pagetable.c __alloc_iova_check_used, __alloc_iova_check_hole",
  },
  "P09.6": {
    level: "uapi",
    since: "v3",
    says:
      "A copy may not be writeable where the memory was mapped for reading: EPERM.",
    where: "io_pagetable.c iopt_insert_area",
  },
  "P09.7": {
    level: "kernel",
    since: "v3",
    says:
      "A copy of several areas makes an area for each, at IOVAs that follow each other.",
    where: "io_pagetable.c iopt_alloc_area_pages, iopt_get_pages",
  },
  "P09.8": {
    level: "uapi",
    since: "v3",
    says:
      "A copy must fit its destination as a map must, and its IOVA can be chosen by the kernel.",
    where: "io_pagetable.c iopt_map_pages, iopt_alloc_area_pages",
  },
  "P09.9": {
    level: "uapi",
    since: "v3",
    says:
      "A copy that fails at one area removes those that it had made of the areas before.",
    where: "io_pagetable.c iopt_fill_domains_pages",
  },
  "P09.10": {
    level: "uapi",
    since: "v3",
    says:
      "The source of a copy may be any part of one area or of several that touch; a hole in it is ENOENT. The source may be gone afterwards.",
    where: "io_pagetable.c iopt_get_pages",
  },
  "P09.11": {
    level: "uapi",
    since: "v3",
    says:
      "UNMAP removes whole areas: one that sticks out of the range at either end is ENOENT.",
    where: "io_pagetable.c iopt_unmap_iova_range",
  },
  "P09.12": {
    level: "kernel",
    since: "v3",
    says:
      "UNMAP goes from area to area: those before one that cannot be removed are gone. An access that has pinned part of an area is asked to let go, with the area's whole range, until it has.",
    where:
      "io_pagetable.c iopt_unmap_iova_range; selftest.c iommufd_test_access_unmap",
  },
  "P09.14": {
    level: "kernel",
    since: "v3",
    says:
      "A range can be reserved if nothing of it is mapped or allowed, else EADDRINUSE. Reserved ranges may overlap, and each is there until its owner goes.",
    where: "io_pagetable.c iopt_reserve_iova",
  },
  "P09.15": {
    level: "kernel",
    since: "v3",
    says: "IOVA that a domain reserved is free again when the domain is gone.",
    where: "io_pagetable.c iopt_table_remove_domain",
  },
  "P09.17": {
    level: "uapi",
    since: "v3",
    says:
      "A domain is added if the areas that exist fit into it: outside of its aperture nothing may be mapped or allowed (EADDRINUSE), and all memory must be there to be pinned (EFAULT). A refusal leaves no trace.",
    where: "io_pagetable.c iopt_table_add_domain, iopt_fill_domain",
  },
  "P09.19": {
    level: "kernel",
    since: "v3",
    says:
      "When one of several domains goes, pages stay pinned; when the last goes, those are unpinned that no access has.",
    where: "io_pagetable.c iopt_table_remove_domain, iopt_unfill_domain",
  },
  "P09.20": {
    level: "uapi",
    since: "v3",
    says:
      "IOVA must be aligned as the coarsest domain needs; to whole pages where large pages are off.",
    where: "io_pagetable.c iopt_calculate_iova_alignment",
  },
  "P09.21": {
    level: "uapi",
    since: "v3",
    says:
      "The first version of the VFIO container cuts areas where a range to unmap begins and ends; both parts keep the rights and the pins. Where large pages are on, an area that a domain has cannot be cut: EINVAL.",
    where: "io_pagetable.c iopt_area_split",
  },
  "P09.23": {
    level: "uapi",
    since: "v3",
    says:
      "Large pages can be turned off as long as there are not both domains and areas: EINVAL then.",
    where: "io_pagetable.c iopt_disable_large_pages",
  },
  B05: {
    level: "uapi",
    since: "v3",
    says:
      "Unmapping everything succeeds where nothing is mapped; in the series as it was posted it was ENOENT.",
    where:
      "io_pagetable.c iopt_unmap_all; vfio_compat.c iommufd_vfio_unmap_dma",
  },
  B08: {
    level: "uapi",
    since: "v3",
    says:
      "A domain that needs more alignment than there was is refused while an area lacks it, in its IOVA, its length or its place in memory: EADDRINUSE. IOVA_RANGES tells the alignment that is needed.",
    where:
      "io_pagetable.c iopt_check_iova_alignment, iopt_calculate_iova_alignment",
  },
  B19: {
    level: "kernel",
    since: "v3",
    says:
      "A domain that goes unmaps area by area, and so nothing that was never mapped.",
    where: "io_pagetable.c iopt_unfill_domain",
  },
  B25: {
    level: "kernel",
    since: "v3",
    says:
      "A map into several domains that fails takes back from each of them what it has, and no more.",
    where:
      "pages.c iopt_area_fill_domains; io_pagetable.c iopt_fill_domains_pages",
  },
  B33: {
    level: "uapi",
    since: "v3",
    says:
      "The list of allowed ranges guides the kernel's choice, and keeps domains away that cannot map all of it. A fixed map may lie outside.",
    where: "io_pagetable.c iopt_alloc_iova, iopt_table_add_domain",
  },
  S01: {
    level: "uapi",
    since: "6.2",
    says: "A fixed map over an area is EEXIST; in v3 it was EADDRINUSE.",
    where: "io_pagetable.c iopt_check_iova",
  },
  S02: {
    level: "uapi",
    since: "6.2",
    says: "A fixed map over reserved IOVA is EINVAL; in v3 it was ENOENT.",
    where: "io_pagetable.c iopt_check_iova",
  },
  S03: {
    level: "uapi",
    since: "6.2",
    says:
      "MAP and COPY must be readable or writeable: EINVAL, before the IOAS is looked up. In v3 they could be neither.",
    where: "ioas.c iommufd_ioas_map, iommufd_ioas_copy",
  },
  S04: {
    level: "uapi",
    since: "6.3",
    says: "Memory whose end wraps is EOVERFLOW.",
    where: "pages.c iopt_alloc_pages",
  },
  S08: {
    level: "kernel",
    since: "6.11",
    says: "A kernel-chosen IOVA is aligned to a huge page at most.",
    where: "io_pagetable.c iopt_alloc_iova",
  },
  S26: {
    level: "kernel",
    since: "v3",
    says:
      "v3 went from hole to hole between areas and tried each from its own first place on; since 6.2 reserved ranges bound a hole as areas do.",
    where: "io_pagetable.c iopt_alloc_iova",
  },
  "P10.1": {
    level: "uapi",
    since: "v3",
    says: "IOAS_ALLOC has no flags: EOPNOTSUPP. A refusal uses no id up.",
    where: "ioas.c iommufd_ioas_alloc_ioctl",
  },
  "P10.2": {
    level: "uapi",
    since: "v3",
    says:
      "An IOAS is busy while a HWPT or an access uses it; areas do not keep it. Destroying it unmaps everything.",
    where: "ioas.c iommufd_ioas_destroy",
  },
  "P10.3": {
    level: "uapi",
    since: "v3",
    says:
      "IOVA_RANGES stores as many ranges as there is room for, and tells how many there are and the alignment; EMSGSIZE if not all fit. Areas and allowed ranges do not matter.",
    where: "ioas.c iommufd_ioas_iova_ranges",
  },
  "P10.4": {
    level: "uapi",
    since: "v3",
    says:
      "ALLOW_IOVAS takes ranges of at least two bytes that neither overlap (EINVAL) nor are reserved (EADDRINUSE). A list that is refused leaves the old one.",
    where: "ioas.c iommufd_ioas_allow_iovas",
  },
  "P10.6": {
    level: "uapi",
    since: "v3",
    says:
      "MAP checks flags and reserved field, then that IOVA and length are below 2^64-1 (the IOVA also where it is not fixed), the rights, the IOAS, the memory, the place.",
    where: "ioas.c iommufd_ioas_map; pages.c iopt_alloc_pages",
  },
  "P10.7": {
    level: "uapi",
    since: "v3",
    says:
      "COPY checks flags, IOVAs and length, rights, the source and what is mapped there, then the destination. It may be within one IOAS.",
    where: "ioas.c iommufd_ioas_copy; io_pagetable.c iopt_get_pages",
  },
  "P10.8": {
    level: "uapi",
    since: "v3",
    says:
      "UNMAP of 0 to 2^64-1 is everything. Another IOVA or length of 2^64-1 is EOVERFLOW, and a range without an area ENOENT. The length that was unmapped is told on success only.",
    where: "ioas.c iommufd_ioas_unmap",
  },
  "P10.9": {
    level: "uapi",
    since: "v3",
    says:
      "OPTION with an option that there is not is EOPNOTSUPP; success writes back the value and nothing else.",
    where: "main.c iommufd_option",
  },
  "P10.10": {
    level: "uapi",
    since: "v3",
    says:
      "RLIMIT_MODE can be set with CAP_SYS_RESOURCE only (EPERM), before the first object (EBUSY), to 0 or 1 (EINVAL), checked in that order.",
    where: "ioas.c iommufd_option_rlimit_mode",
  },
  "P10.11": {
    level: "uapi",
    since: "v3",
    says:
      "HUGE_PAGES is an option of an IOAS: on at first, set to 0 or 1. A value that is refused changes nothing.",
    where: "ioas.c iommufd_ioas_option_huge_pages",
  },
  "P10.12": {
    level: "kernel",
    since: "v3",
    says: "Memory so long that the number of its pages wraps is refused.",
    where: "pages.c iopt_alloc_pages; io_pagetable.c iopt_insert_area",
  },
  B13: {
    level: "uapi",
    since: "6.2",
    says:
      "COPY refuses an IOVA of 2^64-1, of the source and of the destination: EOVERFLOW. v3 looked at the length only.",
    where: "ioas.c iommufd_ioas_copy",
  },
  S05: {
    level: "uapi",
    since: "6.2",
    says:
      "RLIMIT_MODE with an object's id is EOPNOTSUPP; v3 did not look at it.",
    where: "ioas.c iommufd_option_rlimit_mode",
  },
  "P10.13": {
    level: "uapi",
    since: "7.3",
    says:
      "IOAS_NOIOMMU_GET_PA tells physical addresses to those with CAP_SYS_RAWIO: EPERM else, before it checks flags and reserved field, the range and the IOAS.",
    where: "ioas.c iommufd_ioas_noiommu_get_pa, iopt_get_phys",
  },
} as const satisfies Readonly<Record<string, Rule>>;
