// SPDX-License-Identifier: GPL-2.0-only

/**
 * The selftest module: the mock IOMMU, its devices, and the operations of the
 * test ioctl (selftest.c). Nothing of it is for programs, and all of it is this
 * kernel's.
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const MOCK_RULES = {
  "P15.5": {
    level: "kernel",
    since: "v3",
    says:
      "ADD_RESERVED reserves a range of an IOAS, unless something of it is mapped or allowed: EADDRINUSE.",
    where: "selftest.c iommufd_test_add_reserved",
  },
  "P15.6": {
    level: "kernel",
    since: "v3",
    says: "MOCK_DOMAIN makes its objects in an order, which their ids show.",
    where: "selftest.c iommufd_test_mock_domain",
  },
  "P15.7": {
    level: "kernel",
    since: "v3",
    says:
      "MOCK_DOMAIN needs an IOAS or a HWPT to attach to, and what fails leaves no ids behind.",
    where:
      "selftest.c iommufd_test_mock_domain; device.c iommufd_device_change_pt",
  },
  "P15.8": {
    level: "kernel",
    since: "v3",
    says:
      "MD_CHECK_MAP compares each 2 KiB of a domain with the page of memory that belongs there: EINVAL for what is not aligned, not mapped or another page, whatever is in it.",
    where: "selftest.c iommufd_test_md_check_pa",
  },
  "P15.9": {
    level: "kernel",
    since: "v3",
    says:
      "MD_CHECK_REFS compares how often each page is pinned; another number is EIO.",
    where: "selftest.c iommufd_test_md_check_refs",
  },
  "P15.10": {
    level: "kernel",
    since: "v3",
    says:
      "CREATE_ACCESS answers with a descriptor; if it fails it leaves none, and without a free one it is ENOMEM.",
    where: "selftest.c iommufd_test_create_access",
  },
  "P15.12": {
    level: "kernel",
    since: "v3",
    says:
      "ACCESS_PAGES numbers what is pinned through an access from 0 on and uses no number twice; a pin that cannot be told of is taken back.",
    where: "selftest.c iommufd_test_access_pages",
  },
  "P15.13": {
    level: "kernel",
    since: "6.2",
    says:
      "A memory limit that holds no element of a batch is EINVAL; v3 took it.",
    where: "selftest.c iommufd_test",
  },
  "P15.14": {
    level: "kernel",
    since: "6.2",
    says:
      "With syzkaller's flag an IOVA is the number of an area and an offset in it.",
    where: "selftest.c iommufd_test_syz_conv_iova",
  },
  "P15.15": {
    level: "kernel",
    since: "6.7",
    says: "MOCK_DOMAIN_FLAGS refuses flags that it does not know.",
    where: "selftest.c mock_dev_create",
  },
  "P15.16": {
    level: "kernel",
    since: "6.6",
    says:
      "MOCK_DOMAIN_REPLACE refuses what is no device and no page table, and a device that cannot move stays.",
    where:
      "selftest.c iommufd_test_mock_domain_replace; device.c iommufd_device_replace",
  },
  "P15.17": {
    level: "kernel",
    since: "6.7",
    says:
      "DIRTY marks the IO page at each IOVA whose bit is set, and counts the bits; it checks its arguments in order.",
    where: "selftest.c iommufd_test_dirty",
  },
  "P15.18": {
    level: "kernel",
    since: "6.19",
    says:
      "The page table of the mock has the format of AMD's first version: an entry as large as IOVA, memory and length allow, split where a map ends.",
    where:
      "generic_pt/pt_iter.h pt_compute_best_pgsize; generic_pt/iommu_pt.h map_range; generic_pt/fmt/amdv1.h",
  },
  "P15.19": {
    level: "kernel",
    since: "6.19",
    says:
      "Without large IO pages each page of the CPU has an entry of its own.",
    where: "pages.c batch_iommu_map_small",
  },
  "P15.20": {
    level: "kernel",
    since: "6.19",
    says:
      "Reading a part of an entry's dirty bits leaves the entry dirty for the rest.",
    where: "generic_pt/iommu_pt.h record_dirty",
  },
  "P15.21": {
    level: "kernel",
    since: "6.19",
    says:
      "The mock's default domain maps from 16 MiB up to 2 GiB in units of 2 KiB; one with huge pages from 0 to 2^38-1 in 4 KiB and 1 MiB.",
    where: "selftest.c mock_domain_alloc_pgtable",
  },
  "P15.22": {
    level: "kernel",
    since: "6.19",
    says:
      "An unmap across the end of a table takes nothing else out of either.",
    where: "generic_pt/iommu_pt.h __unmap_range",
  },
  S24: {
    level: "kernel",
    since: "6.2",
    says:
      "Test operations are numbered from 1 on, in v3 from 0; unknown ones are EOPNOTSUPP. Since 6.4 MOCK_DOMAIN binds and attaches a device and tells three ids.",
    where: "selftest.c iommufd_test, iommufd_test_mock_domain",
  },
  S25: {
    level: "kernel",
    since: "6.2",
    says:
      "The test operations check lengths (to 16 MiB), flags and ends that wrap; v3 took what there was.",
    where: "selftest.c iommufd_test_access_rw, iommufd_test_access_pages",
  },
} as const satisfies Readonly<Record<string, Rule>>;
