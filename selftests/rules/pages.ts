// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pinned pages, accounting and accesses: who pins which page, from where it is
 * had, who is charged for it (pages.c), and drivers that touch memory without
 * DMA (device.c, iommufd_access).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const PAGES_RULES = {
  "P00.1": {
    level: "uapi",
    since: "v3",
    says:
      "However many IOAS and domains have memory that was mapped once and copied, its pages are pinned once.",
    where: "pages.c iopt_pages",
  },
  "P06.1": {
    level: "uapi",
    since: "v3",
    says:
      "Pinned memory is charged to its user, all of whose processes share the charge, or, in RLIMIT_MODE 1, to the process that mapped it.",
    where: "pages.c iopt_pages_update_pinned, iopt_alloc_pages",
  },
  "P07.1": {
    level: "kernel",
    since: "v3",
    says:
      "A page is taken from where it is pinned already: from an access's pins, else from any domain, else it is pinned from user memory. What neither an access nor a domain has is not pinned.",
    where: "pages.c iopt_pages_fill_from_domain, iopt_area_add_access",
  },
  "P07.6": {
    level: "kernel",
    since: "v3",
    says:
      "Where some pages of a range are pinned and others are not, a read goes from span to span, each with its own source.",
    where: "pages.c pfn_reader_fill_span, iopt_pages_rw_slow",
  },
  "P07.8": {
    level: "kernel",
    since: "v3",
    says:
      "Memory is pinned in batches of bounded size, and no batch boundary is seen from outside. The test operation SET_TEMP_MEMORY_LIMIT makes batches small.",
    where: "pages.c iopt_area_fill_domains, temp_kmalloc",
  },
  "P07.15": {
    level: "kernel",
    since: "v3",
    says:
      "Each contiguous run of frames is mapped by one call to the driver; the first and the last page of an area may be mapped in part.",
    where: "pages.c batch_to_domain",
  },
  "P07.21": {
    level: "uapi",
    since: "v3",
    says:
      "Memory is charged when it is pinned, not when it is mapped, and a page once.",
    where: "pages.c pfn_reader_user_update_pinned",
  },
  "P07.22": {
    level: "uapi",
    since: "v3",
    says:
      "A charge to the user above RLIMIT_MEMLOCK of the memory's owner is ENOMEM, and nothing stays pinned.",
    where: "pages.c incr_user_locked_vm",
  },
  "P07.23": {
    level: "uapi",
    since: "v3",
    says:
      "A charge to the process above its RLIMIT_MEMLOCK is ENOMEM, and nothing stays pinned.",
    where: "pages.c update_mm_locked_vm",
  },
  "P07.24": {
    level: "uapi",
    since: "v3",
    says:
      "Memory that was mapped with CAP_IPC_LOCK is not charged, but the process counts it as pinned.",
    where: "pages.c iopt_alloc_pages",
  },
  "P08.1": {
    level: "kernel",
    since: "v3",
    says:
      "Without a domain or an access nothing is pinned; what an access has pinned is kept, also for domains that come.",
    where: "pages.c iopt_pages_fill, pfn_reader_first",
  },
  "P08.2": {
    level: "kernel",
    since: "v3",
    says:
      "Unmapping asks the driver for the very runs that were mapped; it relies on no driver to split them.",
    where: "pages.c iopt_area_unpin_domain, batch_from_domain_continue",
  },
  "P08.5": {
    level: "uapi",
    since: "v3",
    says:
      "A domain that comes to areas pins their memory and is charged for it; over the limit it is refused.",
    where: "io_pagetable.c iopt_fill_domain; pages.c iopt_area_fill_domain",
  },
  "P08.6": {
    level: "uapi",
    since: "v3",
    says:
      "MAP pins what domains need, once for all of them; without a domain bad memory is not found. A failure unpins all.",
    where:
      "pages.c iopt_area_fill_domains; io_pagetable.c iopt_fill_domains_pages",
  },
  "P08.8": {
    level: "kernel",
    since: "v3",
    says:
      "When the last domain goes, what an access has pinned stays pinned and the rest is unpinned, after it was unmapped.",
    where: "pages.c iopt_area_unfill_domain",
  },
  "P08.9": {
    level: "kernel",
    since: "v3",
    says:
      "An access that goes unpins what neither a domain nor another access has.",
    where: "pages.c iopt_pages_unfill_xarray, iopt_area_add_access",
  },
  "P08.13": {
    level: "uapi",
    since: "v3",
    says: "An access does not write memory that was mapped for reading: EPERM.",
    where: "pages.c iopt_pages_rw_access",
  },
  "P08.14": {
    level: "kernel",
    since: "v3",
    says:
      "A copy over pages that are pinned reads what devices see, also where the process has other memory by now; pages that were pinned for the copy alone are unpinned again, uncharged.",
    where: "pages.c iopt_pages_rw_slow, pfn_reader_unpin, iopt_pages_rw_page",
  },
  "P08.15": {
    level: "kernel",
    since: "v3",
    says: "A domain keeps the pages that it has when their owner unmaps them.",
    where: "pages.c iopt_area_fill_domains",
  },
  "P08.16": {
    level: "uapi",
    since: "v3",
    says:
      "Memory that is mapped twice, by two MAPs, is pinned and charged twice.",
    where: "io_pagetable.c iopt_map_user_pages",
  },
  "P08.17": {
    level: "uapi",
    since: "v3",
    says:
      "The limit is that of the process whose memory it is, whoever makes the call that pins it.",
    where: "pages.c incr_user_locked_vm, update_mm_locked_vm",
  },
  "P08.18": {
    level: "kernel",
    since: "v3",
    says: "What a process was charged is forgotten when the process is gone.",
    where: "pages.c iopt_pages_update_pinned, update_mm_locked_vm",
  },
  "P08.19": {
    level: "uapi",
    since: "v3",
    says: "A hard limit can be raised with CAP_SYS_RESOURCE only: EPERM.",
    where: "kernel/sys.c do_prlimit",
  },
  "P08.20": {
    level: "uapi",
    since: "v3",
    says:
      "Memory is that of the process that mapped it. Through the same context another process has it pinned, read and written, as long as the owner lives: EFAULT afterwards, unless its pages are pinned already.",
    where: "pages.c pfn_reader_user_pin, iopt_pages_rw_access",
  },
  B26: {
    level: "kernel",
    since: "v3",
    says:
      "A map that fails in a late batch gives back what earlier ones have pinned, before it takes anything out of domains.",
    where: "pages.c pfn_reader_release_pins, iopt_area_fill_domains",
  },
  B27: {
    level: "kernel",
    since: "v3",
    says:
      "When pins of an access go, all pages of the hole that they leave are given back, however many batches that takes.",
    where: "pages.c iopt_pages_unfill_xarray, iopt_area_unfill_domain",
  },
  S12: {
    level: "uapi",
    since: "6.2",
    says:
      "Memory that cannot be written can be mapped for reading; v3 pinned it as if to write.",
    where: "pages.c pfn_reader_user_init",
  },
  S13: {
    level: "kernel",
    since: "v3",
    says:
      "When domains go, the runs to unmap are carried over a span that stays pinned with their right ends.",
    where:
      "pages.c batch_skip_carry, batch_clear_carry, __iopt_area_unfill_domain",
  },
  S23: {
    level: "uapi",
    since: "6.2",
    says:
      "An iommufd that was opened as /dev/vfio/vfio charges the process, as VFIO does.",
    where: "main.c iommufd_fops_open",
  },
  "P13.1": {
    level: "kernel",
    since: "v3",
    says:
      "An access is an object that userspace cannot destroy (EBUSY); it keeps its IOAS and its context.",
    where: "device.c iommufd_access_create, iommufd_access_attach",
  },
  "P13.3": {
    level: "kernel",
    since: "v3",
    says:
      "UNMAP tells every access of the IOAS which range goes, and none may have a pin in it afterwards.",
    where: "device.c iommufd_access_notify_unmap",
  },
  "P13.4": {
    level: "kernel",
    since: "v3",
    says:
      "A pin of no bytes or of a range that wraps is refused; so is one over a gap (ENOENT), without the right to each area (EPERM). Nothing stays pinned.",
    where: "device.c iommufd_access_pin_pages, check_area_prot",
  },
  "P13.7": {
    level: "kernel",
    since: "v3",
    says:
      "A read or write may cross areas that touch. One that comes to a gap (ENOENT) or an area without the right (EPERM) has moved the bytes before it.",
    where: "device.c iommufd_access_rw, check_area_prot",
  },
  B16: {
    level: "kernel",
    since: "6.2",
    says:
      "While there is an access that pins, areas must lie on whole pages; one that was made without that flag cannot pin.",
    where: "io_pagetable.c iopt_add_access; device.c iommufd_access_create",
  },
  B24: {
    level: "kernel",
    since: "v3",
    says:
      "Unmapping drops each item of an access that has a byte of the area, and no other.",
    where: "selftest.c iommufd_test_access_unmap",
  },
  S15: {
    level: "kernel",
    since: "6.4",
    says:
      "An access is made without an IOAS and can be moved to another one, which drops its pins; a move that fails changes nothing.",
    where: "device.c iommufd_access_attach, iommufd_access_replace",
  },
} as const satisfies Readonly<Record<string, Rule>>;
