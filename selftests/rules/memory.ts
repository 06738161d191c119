// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory and files of programs: What Linux does around iommufd to the memory,
 * the files and the processes that use it (mm/, fs/, kernel/).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const MEMORY_RULES = {
  "U1.1": {
    level: "uapi",
    since: "v3",
    says:
      "Memory is pinned for what the map allows, which its mapping must allow too, touched or not.",
    where:
      "mm/gup.c check_vma_flags, pin_user_pages_remote; pages.c pfn_reader_user_pin",
  },
  "U1.2": {
    level: "uapi",
    since: "v3",
    says:
      "After a fork the parent keeps the pages that a device sees, and the child has copies. A page that a fork shares is copied before it is pinned, also for reading; shared memory is the same in both.",
    where:
      "mm/memory.c copy_present_page, vma_needs_copy; mm/hugetlb.c; mm/gup.c gup_must_unshare",
  },
  "U1.3": {
    level: "uapi",
    since: "v3",
    says:
      "Shared mappings of a file are the file's pages, for a device too; a private one has pages of its own once they are written or pinned. What is behind the end of the file cannot be pinned.",
    where:
      "mm/shmem.c shmem_get_folio_gfp, shmem_setattr; mm/memory.c do_cow_fault; mm/gup.c gup_must_unshare; mm/mprotect.c do_mprotect_pkey",
  },
  "U1.4": {
    level: "kernel",
    since: "v3",
    says:
      "There is no zero page of huge size: reading private memory of huge pages, or a hole of a huge file through a private mapping, gives it a page of its own, which devices then see.",
    where:
      "mm/hugetlb.c hugetlb_no_page; mm/shmem.c shmem_fault; selftest.c iommufd_test_md_check_refs",
  },
  "U1.5": {
    level: "uapi",
    since: "v3",
    says:
      "MADV_DONTNEED gives a process new pages, of zeros or the file's, while a device keeps the old ones; shared memory stays as it is.",
    where: "mm/madvise.c madvise_dontneed_single_vma",
  },
  "U1.6": {
    level: "uapi",
    since: "v3",
    says:
      "MADV_POPULATE_READ and _WRITE go from page to page and stop at the first that cannot be had: EFAULT behind the end of a file.",
    where: "mm/madvise.c madvise_populate; mm/gup.c faultin_page_range",
  },
  "U1.7": {
    level: "uapi",
    since: "v3",
    says:
      "A child does not have what MADV_DONTFORK names, and so cannot map it. MADV_DOFORK takes that back, of huge pages before 6.17 only.",
    where: "mm/mmap.c dup_mmap; mm/madvise.c madvise_vma_behavior",
  },
  "U1.8": {
    level: "kernel",
    since: "v3",
    says:
      "Advice about reading cuts a mapping where it changes, which a huge page cannot be.",
    where: "mm/madvise.c madvise_update_vma; mm/hugetlb.c hugetlb_vm_op_split",
  },
  "U1.9": {
    level: "uapi",
    since: "v3",
    says:
      "Calls about memory want addresses of pages. Over a hole munmap goes on, mprotect stops there, and MADV_DONTNEED tells of it in the end.",
    where:
      "mm/mprotect.c do_mprotect_pkey; mm/vma.c do_vmi_munmap; mm/madvise.c madvise_walk_vmas",
  },
  "U1.10": {
    level: "uapi",
    since: "v3",
    says:
      "MADV_REMOVE makes a hole in the file behind a shared mapping that may write it, or in shared anonymous memory.",
    where: "mm/madvise.c madvise_remove",
  },
  "U1.11": {
    level: "uapi",
    since: "v3",
    says: "MADV_FREE is for private anonymous memory: EINVAL elsewhere.",
    where: "mm/madvise.c madvise_free_single_vma",
  },
  "U1.12": {
    level: "kernel",
    since: "6.2",
    says:
      "Memory with PROT_WRITE alone can be pinned for reading where a page is present, by its own process, and not while a child has the page too; else it is EFAULT.",
    where:
      "mm/gup.c gup_fast_pte_range, gup_fast_fallback, check_vma_flags; mm/internal.h gup_must_unshare; pages.c pfn_reader_user_pin",
  },
  "U2.1": {
    level: "uapi",
    since: "v3",
    says:
      "A memory file can be sealed if it was made for that (MFD_ALLOW_SEALING), one with a name in /dev/shm never; memfd_create checks flags, name, size.",
    where: "mm/memfd.c memfd_create; mm/shmem.c __shmem_get_inode",
  },
  "U2.2": {
    level: "uapi",
    since: "v3",
    says:
      "Seals are added by who may write the file, until it is sealed against seals; each forbids what it is about and nothing else, of a write all.",
    where:
      "mm/memfd.c memfd_add_seals; mm/shmem.c shmem_setattr, shmem_write_begin, shmem_fallocate; fs/hugetlbfs/inode.c",
  },
  "U2.3": {
    level: "uapi",
    since: "v3",
    says:
      "A file is not sealed against writes while a shared mapping may write it, a child's too, now or later, or while a device has its pages, to read them too; pages that it has no more do not count.",
    where:
      "mm/memfd.c memfd_add_seals, memfd_wait_for_pins; include/linux/fs.h mapping_deny_writable; mm/mmap.c dup_mmap",
  },
  "U2.4": {
    level: "uapi",
    since: "v3",
    says:
      "What was mapped to read when the file was sealed against writes stays so; after F_SEAL_FUTURE_WRITE a mapping that may write goes on.",
    where: "mm/memfd.c memfd_check_seals_mmap, memfd_add_seals",
  },
  "U2.5": {
    level: "uapi",
    since: "v3",
    says:
      "fallocate checks its arguments, the access and the file; to allocate makes a file longer, unless its length is kept. Mapped memory behind the end is not there until the file is longer.",
    where: "fs/open.c vfs_fallocate; mm/shmem.c shmem_fallocate, shmem_fault",
  },
  "U2.6": {
    level: "uapi",
    since: "v3",
    says:
      "A hole, a new end and a write change the bytes that they are about, for shared mappings too. Private copies outlast a hole, but not a new end; those of huge pages outlast neither. Of a hole in huge pages, whole ones are dropped and parts zeroed.",
    where:
      "mm/shmem.c shmem_undo_range, shmem_fallocate; fs/hugetlbfs/inode.c hugetlb_vmdelete_list, hugetlbfs_punch_hole",
  },
  "U2.7": {
    level: "uapi",
    since: "v3",
    says:
      "A device keeps the pages that a file drops; the process gets new ones.",
    where: "mm/truncate.c; pages.c",
  },
  "U2.8": {
    level: "uapi",
    since: "v3",
    says:
      "Flags of open say whether a file must be there or not; O_TRUNC cuts it off, and a file that is open for one thing cannot be used for another.",
    where:
      "fs/namei.c do_open, lookup_open, handle_truncate; fs/open.c build_open_flags, do_ftruncate; fs/read_write.c; mm/mmap.c do_mmap",
  },
  "U2.9": {
    level: "uapi",
    since: "v3",
    says:
      "A file that lost its name is there for who has it open or mapped, one that nobody has open by its name. Another user can neither open nor remove it.",
    where: "mm/shmem.c shmem_unlink; fs/namei.c may_open, may_delete_dentry",
  },
  "U2.10": {
    level: "uapi",
    since: "v3",
    says:
      "The path of a descriptor opens the same file anew, another user's only if its mode lets it.",
    where:
      "fs/proc/fd.c; fs/inode.c no_open; fs/namei.c may_open; mm/memfd.c memfd_alloc_file",
  },
  "U2.11": {
    level: "uapi",
    since: "v3",
    says:
      "A file's position is counted from somewhere, not negative, and shared by all descriptors of one open; pread and pwrite leave it.",
    where:
      "fs/read_write.c generic_file_llseek_size, ksys_pread64, ksys_pwrite64; mm/shmem.c shmem_file_read_iter, shmem_file_write_iter",
  },
  "U2.12": {
    level: "uapi",
    since: "v3",
    says:
      "An eventfd counts up to 2^64-2, is readable above 0 and writable below that; a pipe passes bytes on in order.",
    where: "fs/eventfd.c eventfd_poll; fs/pipe.c",
  },
  "U2.13": {
    level: "uapi",
    since: "v3",
    says:
      "A directory can be opened, but not read, written, mapped or pinned as a file.",
    where: "fs/libfs.c simple_offset_dir_operations, generic_read_dir",
  },
  "U3.1": {
    level: "uapi",
    since: "v3",
    says:
      "exec leaves a process no mapping, and its parent all of its own. What a device has of the memory stays pinned, not charged to the new program; what was to be pinned later is gone.",
    where:
      "fs/exec.c exec_mmap; pages.c iopt_release_pages, pfn_reader_user_pin",
  },
  "U3.2": {
    level: "uapi",
    since: "v3",
    says:
      "exec closes descriptors with FD_CLOEXEC, which those have that iommufd makes; a flag is of one descriptor, not of the file.",
    where:
      "fs/file.c do_close_on_exec, dup_fd; fs/fcntl.c; net/core/scm.c; eventq.c iommufd_eventq_init; selftest.c",
  },
  "U3.3": {
    level: "uapi",
    since: "v3",
    says: "exec gives root its capabilities back and others none; limits stay.",
    where: "security/commoncap.c cap_bprm_creds_from_file; fs/exec.c",
  },
  "U3.4": {
    level: "kernel",
    since: "v3",
    says:
      "fail_nth makes one step of a process fail, the nth from then on, and none of what it runs afterwards.",
    where: "lib/fault-inject.c should_fail_ex",
  },
  "U3.5": {
    level: "uapi",
    since: "v3",
    says:
      "A descriptor that is passed on is the lowest free one of who gets it, and of the same open file; a context lives on with it, and its memory is still that of who mapped it. What is not open, or beyond the limit, cannot be passed.",
    where:
      "net/core/scm.c scm_detach_fds, scm_fp_copy; fs/file.c receive_fd; main.c iommufd_fops_release",
  },
  "U3.6": {
    level: "uapi",
    since: "v3",
    says:
      "mremap checks its arguments, and what is mapped; a mapping is cut off, grows where there is room, or moves with what is in it over what is there.",
    where:
      "mm/mremap.c check_mremap_params, check_prep_vma, shrink_vma, expand_vma_in_place, move_vma, move_page_tables",
  },
  "U3.7": {
    level: "uapi",
    since: "v3",
    says:
      "A mapping of a file moves with its place and rights; of no bytes of a shared one another is made. Huge pages move and go whole, and do not grow.",
    where: "mm/mremap.c copy_vma_and_data, check_prep_vma, align_hugetlb",
  },
  "U3.8": {
    level: "uapi",
    since: "v3",
    says:
      "Pages that a device has move with their mapping; memory of a driver keeps its owner, and cannot grow.",
    where:
      "mm/mremap.c move_page_tables, check_prep_vma; main.c iommufd_vma_ops",
  },
  "U3.9": {
    level: "uapi",
    since: "v3",
    says:
      "dup2 and dup3 close what a descriptor was open to, a context with its last one too, and give it the other's file; its flag is that of the call. dup2 to itself does nothing, dup3 is EINVAL; what fails closes nothing.",
    where: "fs/file.c ksys_dup3, do_dup2; main.c iommufd_fops_release",
  },
  "U4.1": {
    level: "uapi",
    since: "v3",
    says:
      "Any step of an ioctl of IOAS and accesses that can fail leaves nothing behind when it does: the call made again succeeds, and no page stays pinned or charged.",
    where: "pages.c; io_pagetable.c",
  },
  "U4.2": {
    level: "uapi",
    since: "6.6",
    says: "The same holds of HWPTs, dirty tracking, page faults and PASIDs.",
    where: "hw_pagetable.c; device.c; eventq.c; io-pgfault.c",
  },
  "U4.3": {
    level: "uapi",
    since: "6.13",
    says: "The same holds of virtual IOMMUs and what is made on them.",
    where: "viommu.c; eventq.c",
  },
  "U4.4": {
    level: "uapi",
    since: "6.13",
    says:
      "The same holds of files and CHANGE_PROCESS, and since 6.19 of DMA buffers.",
    where: "pages.c; ioas.c",
  },
} as const satisfies Readonly<Record<string, Rule>>;
