// SPDX-License-Identifier: GPL-2.0-only

/**
 * Files, DMA buffers and CHANGE_PROCESS: memory of files and of drivers that is
 * mapped by descriptor, and what the next process of a program takes over
 * (io_pagetable.c, pages.c, ioas.c).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const FILES_RULES = {
  "F1.1": {
    level: "uapi",
    since: "6.13",
    says:
      "MAP_FILE checks its arguments as MAP does, then the descriptor; the place of a fixed map comes before the file's pages. A map that cannot tell its IOVA stays.",
    where:
      "ioas.c iommufd_ioas_map_file; io_pagetable.c iopt_map_file_pages, iopt_alloc_area_pages",
  },
  "F1.2": {
    level: "uapi",
    since: "6.13",
    says:
      "Files of memory can be mapped: memfds, files of a tmpfs, with a name or without, and of huge pages, from any page on. Another file is refused when pages are to be pinned, not before.",
    where: "mm/gup.c memfd_pin_folios",
  },
  "F1.3": {
    level: "uapi",
    since: "6.13",
    says:
      "How the file was opened does not matter, nor whether it is sealed against writes, nor whose descriptor it is as long as the caller has it.",
    where: "io_pagetable.c iopt_map_file_pages",
  },
  "F1.4": {
    level: "uapi",
    since: "6.13",
    says:
      "An area keeps the file's memory when the descriptor is closed, and when the process that mapped it is gone; an iommufd that maps itself goes all the same.",
    where: "pages.c iopt_alloc_file_pages, pfn_reader_user_pin",
  },
  "F1.5": {
    level: "uapi",
    since: "6.13",
    says:
      "Only whole pages of a file can be pinned, up to its end; a file that was too short can be once it has grown. A file of huge pages is as long as those that it has whole.",
    where: "mm/gup.c memfd_pin_folios",
  },
  "F1.6": {
    level: "uapi",
    since: "6.13",
    says: "A kernel-chosen IOVA is as aligned as the place in the file is.",
    where: "io_pagetable.c iopt_alloc_area_pages, iopt_alloc_iova",
  },
  "F1.7": {
    level: "uapi",
    since: "6.13",
    says:
      "A file that was mapped for reading is not written, by no copy and by no access.",
    where:
      "pages.c iopt_alloc_file_pages, iopt_area_add_access, iopt_pages_rw_access",
  },
  "F1.8": {
    level: "kernel",
    since: "6.13",
    says:
      "A page of a file is pinned once by each map of it, copies not counted, by the first domain or access that needs it; a failure leaves none pinned.",
    where:
      "pages.c iopt_area_fill_domains, iopt_area_add_access; io_pagetable.c iopt_fill_domain",
  },
  "F1.9": {
    level: "uapi",
    since: "6.13",
    says:
      "Pages that the file does not have yet, holes too, are made by a pin, with zeros.",
    where:
      "mm/memfd.c memfd_alloc_folio; mm/shmem.c shmem_fallocate; mm/gup.c memfd_pin_folios",
  },
  "F1.10": {
    level: "uapi",
    since: "6.13",
    says:
      "Pinned pages stay what they were when the file is cut off or a hole is made; what was cut off before can be neither pinned nor copied.",
    where:
      "mm/gup.c memfd_pin_folios; mm/shmem.c shmem_fallocate; fs/hugetlbfs/inode.c hugetlbfs_punch_hole; mm/hugetlb.c",
  },
  "F1.11": {
    level: "uapi",
    since: "6.13",
    says: "A file cannot be sealed against writes while it is pinned.",
    where: "mm/memfd.c memfd_wait_for_pins",
  },
  "F1.12": {
    level: "uapi",
    since: "6.13",
    says:
      "An access copies the bytes of the file; a copy of an area has its pages, and outlives it.",
    where: "pages.c iopt_pages_rw_access; io_pagetable.c iopt_get_pages",
  },
  "F1.13": {
    level: "kernel",
    since: "6.13",
    says:
      "Areas of files are mapped page by page where large pages are off, and cut by the first version of VFIO's type1, as others are.",
    where: "pages.c batch_to_domain; io_pagetable.c iopt_area_split",
  },
  "F2.1": {
    level: "uapi",
    since: "6.19",
    says:
      "MAP_FILE maps a DMA buffer that its driver lets iommufd have, looked at before the IOVA; a kernel-chosen IOVA is as aligned as the place in the buffer.",
    where:
      "io_pagetable.c iopt_map_file_pages, iopt_alloc_area_pages; pages.c iopt_alloc_dmabuf_pages",
  },
  "F2.2": {
    level: "kernel",
    since: "6.19",
    says:
      "A buffer is mapped in the granules of the domain, page by page where large pages are off; it is neither pinned nor charged.",
    where:
      "pages.c pfn_reader_fill_dmabuf, batch_to_domain, batch_iommu_map_small, iopt_alloc_dmabuf_pages",
  },
  "F2.3": {
    level: "uapi",
    since: "6.19",
    says:
      "No access gets anything of a buffer, and no hardware queue lies in one. An IOAS with accesses maps buffers all the same.",
    where:
      "pages.c iopt_area_add_access, iopt_pages_rw_access, iopt_revoke_notify; viommu.c iommufd_hw_queue_alloc_phys",
  },
  "F2.4": {
    level: "kernel",
    since: "6.19",
    says: "An area of a buffer cannot be cut.",
    where: "io_pagetable.c iopt_area_split",
  },
  "F2.5": {
    level: "uapi",
    since: "6.19",
    says:
      "A driver may take a buffer back at any time: every area and copy of it, in every context, keeps its IOVA and maps nothing there from then on, for good. Other buffers stay.",
    where:
      "pages.c iopt_revoke_notify, iopt_dmabuf_track_all_domains; dma-buf.c dma_buf_invalidate_mappings; selftest.c iommufd_test_dmabuf_revoke",
  },
  "F2.6": {
    level: "uapi",
    since: "6.19",
    says:
      "A domain that comes to a buffer has it, unless it was taken back; one that goes takes its part along. A device that moves leaves it behind.",
    where:
      "io_pagetable.c iopt_fill_domain, iopt_unfill_domain; pages.c iopt_area_fill_domain; device.c iommufd_device_do_replace",
  },
  "F2.7": {
    level: "uapi",
    since: "6.19",
    says:
      "An area keeps its buffer when the descriptor is closed. It is given back with the last area of it: by an unmap, with the IOAS, with the context.",
    where:
      "pages.c iopt_release_pages; io_pagetable.c iopt_unmap_all, iopt_get_pages; dma-buf.c dma_buf_release",
  },
  "F2.8": {
    level: "kernel",
    since: "6.19",
    says:
      "The selftest module makes buffers of up to 2 MiB, whole pages, that are files without reading, writing or mapping, and takes back what it has made only.",
    where:
      "selftest.c iommufd_test_dmabuf_get, iommufd_test_dmabuf_revoke; dma-buf.c dma_buf_fd, dma_buf_get, dma_buf_fops",
  },
  "F3.1": {
    level: "uapi",
    since: "6.14",
    says:
      "CHANGE_PROCESS makes the caller the one who is charged for all that is mapped in all IOAS of the context; whoever has the descriptor may, also when the former owner is gone or runs another program.",
    where: "ioas.c iommufd_ioas_change_process, iommufd_take_all_iova_rwsem",
  },
  "F3.2": {
    level: "uapi",
    since: "6.14",
    says:
      "CHANGE_PROCESS wants all that is mapped to be of files: EINVAL else, and nothing changes.",
    where: "ioas.c iommufd_ioas_change_process",
  },
  "F3.3": {
    level: "uapi",
    since: "6.14",
    says:
      "What a charge moves is counted once, however many areas share the pages, and not at all where the owner stays. The caller's limit counts, and above it nothing changes.",
    where:
      "ioas.c charge_current, need_charge_update, iommufd_ioas_change_process",
  },
  "F3.4": {
    level: "uapi",
    since: "6.14",
    says:
      "What is pinned later is charged to, and limited as, the owner of then. A file outlives each of its owners.",
    where:
      "pages.c pfn_reader_user_update_pinned, incr_user_locked_vm, update_mm_locked_vm, iopt_release_pages",
  },
} as const satisfies Readonly<Record<string, Rule>>;
