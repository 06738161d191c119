// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of what Linux provides around iommufd: process memory, files, fault
 * injection.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const MEMORY_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/kernel/simulated/pages/frames.ts", [{
    name: "bitmap-last-bit",
    find: "const tail = 0xff >> (7 - (last & 7));",
    replace: "const tail = 0x7f >> (7 - (last & 7));",
    breaks: "The last bit of a run is not set",
    killer: "iommufd_dirty_tracking.domain_dirty8k.get_dirty_bitmap",
  }]),
  ...inFile("impl/kernel/simulated/pages/private_pages.ts", [{
    name: "huge-zero-page",
    find: "objectFrame(vma, page) || this.#makeHugeExclusive(vma, page)",
    replace: "objectFrame(vma, page)",
    breaks: "Untouched private huge pages read the zero page",
    killer: "kit_user_memory.huge_untouched",
  }, {
    name: "huge-hole-shared",
    find: "return objectFrame(vma, page) ||",
    replace: "return vma.object?.frameAt(vma.objectIndex(page)) ||",
    breaks:
      "A private mapping that reads a hole of a huge file fills the file's",
    killer: "kit_user_memory.huge_hole",
  }, {
    name: "fork-takes-pinned",
    find: "if ((pte & PTE_EXCLUSIVE) !== 0 && this.#frames.pins(pfn) > 0) {",
    replace: "if (false) {",
    breaks:
      "A fork shares pinned pages, so that the parent's write leaves them",
    killer: "kit_user_memory.fork",
  }, {
    name: "fork-takes-pinned-huge",
    find: "if ((leaf[0]! & PTE_EXCLUSIVE) !== 0 && this.#isHugePinned(head)) {",
    replace: "if (false) {",
    breaks: "A fork shares a huge page of which a part is pinned",
    killer: "kit_user_memory.fork_huge",
  }]),
  ...inFile("impl/kernel/simulated/mappings/user_pages.ts", [{
    name: "pin-write-only",
    find: "return vma.shared ? (vma.prot & PROT_WRITE) !== 0 : vma.prot !== 0;",
    replace: "return vma.shared && (vma.prot & PROT_WRITE) !== 0;",
    breaks: "Write-only memory cannot be pinned for reading",
    killer: "kit_user_memory.write_only",
  }, {
    name: "pin-write-only-untouched",
    find: "        if (!allowed) throw PROTECTED;\n",
    replace: "",
    breaks: "Write-only memory is faulted in by a pin for reading",
    killer: "kit_user_memory.write_only",
  }, {
    name: "pin-write-only-remote",
    find: "FOLL_WRITE | FOLL_REMOTE)) !== 0) return false;",
    replace: "FOLL_WRITE)) !== 0) return false;",
    breaks: "Write-only memory of another process can be pinned",
    killer: "kit_user_memory.write_only_forked",
  }, {
    name: "junk-after-hole",
    find: "    return !this.#somePage(\n      uaddr,\n      length,\n",
    replace: "    this.#somePage(uaddr, length, PROT_READ, () => false);\n" +
      "    return !this.#somePage(\n      uaddr,\n      length,\n",
    breaks: "A bad page behind a byte that is not zero is found before it",
    killer: "kit_struct.ioas_map.junk_before_hole",
  }, {
    name: "pin-without-rights",
    find: "return force || (vma.prot & PROT_READ) !== 0;",
    replace: "return true;",
    breaks: "Memory that may not be read is pinned for reading",
    killer: "kit_user_memory.rights",
  }, {
    name: "user-page-prot",
    find:
      "    if (pfn === 0 || vma.prot === 0) throw PROTECTED;\n    return pfn as Pfn;",
    replace: "    if (pfn === 0) throw PROTECTED;\n    return pfn as Pfn;",
    breaks: "Memory without rights can be looked up",
    killer: "kit_test_ops.check_refs",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_access.ts", [{
    name: "compare-last-page",
    find: "    checkGupRange(kernel, address, 1);\n",
    replace: "",
    breaks: "The last page of all, to compare with, is EFAULT",
    killer: "kit_access.mock_domain.pin_errno",
  }]),
  ...inFile("impl/kernel/system_calls.ts", [{
    name: "poll-without-limit",
    find: "if (this.rlimit(RLIMIT_NOFILE) < 1n) throw EINVAL;",
    replace: "",
    breaks: "poll does not look at how many descriptors there may be",
    killer: "kit_passing.errno",
  }]),
  ...inFile("impl/kernel/files/tmpfs.ts", [{
    name: "folder-of-anybody",
    find: "task.user.uid === 0 ? EISDIR : EACCES",
    replace: "EISDIR",
    breaks: "Who may not take the folder away is told that it is one",
    killer: "kit_names.unlink_folder",
  }]),
  ...inFile("impl/kernel/core.ts", [{
    name: "null-any-access",
    find: "new NullFile(access)",
    replace: "new NullFile()",
    breaks: "/dev/null can be written however it was opened",
    killer: "kit_names.lseek",
  }]),
  ...inFile("impl/kernel/credentials.ts", [{
    name: "anyone-raises-limits",
    find: "soft > most || !mayRaise",
    replace: "soft > most",
    breaks: "A process raises its hard limits without CAP_SYS_RESOURCE",
    killer: "kit_rlimit_mode.raise",
  }]),
  ...inFile("impl/kernel/simulated/mappings/mremap.ts", [{
    name: "remap-ignores-address",
    find: "|| given % granule !== 0",
    replace: "|| remap.to !== undefined && given % granule !== 0",
    breaks: "mremap of huge pages does not look at an address without its flag",
    killer: "kit_remap.huge",
  }]),
  ...inFile("impl/kernel/files/exe_file.ts", [{
    name: "program-written",
    find: "user.uid === 0 ? ETXTBSY : EACCES",
    replace: "EACCES",
    breaks: "To write the program that runs is EACCES for root too",
    killer: "kit_names.open",
  }]),
  ...inFile("impl/kernel/simulated/mappings/address_space.ts", [{
    name: "reading-cuts-nothing",
    find: "if (READINGS.has(advice)) {",
    replace: "if (READINGS.has(advice) && vma.granule === PAGE_SIZE) {",
    breaks: "Advice about reading does not cut a huge page's mapping",
    killer: "kit_user_memory.reading_cuts",
  }, {
    name: "populate-over-hole",
    find:
      "      if (vma.start > next) throw ENOMEM;\n      if (vma.device !== undefined",
    replace: "      if (vma.device !== undefined",
    breaks: "MADV_POPULATE_* goes on behind a hole",
    killer: "kit_user_memory.populate",
  }, {
    name: "dont-need-nothing",
    find: "return this.#dontNeed(vma, start, end);",
    replace: "return;",
    breaks: "MADV_DONTNEED does nothing",
    killer: "kit_user_memory.dont_need",
  }, {
    name: "remove-nothing",
    find: "    object.punch(start + offset, end + offset);",
    replace: "    offset;",
    breaks: "MADV_REMOVE does nothing",
    killer: "kit_holes.remove",
  }, {
    name: "remove-sealed",
    find: "    if (object.writeSealed) throw EPERM;\n",
    replace: "",
    breaks: "MADV_REMOVE makes a hole in a file that is sealed against writes",
    killer: "kit_holes.remove",
  }, {
    name: "free-all",
    find:
      "    if (advice === MADV_FREE && (vma.huge || vma.object !== null)) throw EINVAL;\n",
    replace: "",
    breaks: "MADV_FREE takes any memory",
    killer: "kit_holes.free",
  }, {
    name: "dont-fork-nothing",
    find: '"dontFork", advice === MADV_DONTFORK);',
    replace: '"dontFork", false);',
    breaks: "MADV_DONTFORK does nothing",
    killer: "kit_user_memory.dont_fork",
  }, {
    name: "huge-do-fork",
    find: "      (!vma.huge || this.differences.hugePagesDoFork);",
    replace: "      true;",
    breaks: "MADV_DOFORK takes huge pages",
    killer: "kit_user_memory.huge_do_fork",
  }, {
    name: "populate-nothing",
    find:
      "      return this.#populateAll(start, end, writes ? PROT_WRITE : PROT_READ);",
    replace: "      return;",
    breaks: "MADV_POPULATE_* does nothing",
    killer: "kit_user_memory.populate",
  }, {
    name: "protect-hole",
    find:
      "      if (vma.start > next) throw ENOMEM;\n      if ((prot & PROT_WRITE)",
    replace: "      if ((prot & PROT_WRITE)",
    breaks: "mprotect goes on over a hole",
    killer: "kit_user_memory.range_holes",
  }]),
  ...inFile("impl/kernel/simulated/mappings/mmap.ts", [{
    name: "shared-is-private",
    find: "      shared,\n      mayWrite",
    replace: "      shared: false,\n      mayWrite",
    breaks: "MAP_SHARED behaves as MAP_PRIVATE",
    killer: "kit_user_memory.file_shared",
  }, {
    name: "may-write",
    find: "(!shared || file?.isWritable !== false),",
    replace: "(!shared || file?.isWritable === false),",
    breaks: "A shared mapping of a file cannot be made writable",
    killer: "kit_user_memory.file_write_later",
  }, {
    name: "refused-map-keeps",
    find: "() => this.unmap(address, address + length)",
    replace: "() => {}",
    breaks: "What was mapped stays where a file refuses to take its place",
    killer: "kit_vfio_region.mmap",
  }]),
  ...inFile("impl/kernel/files/memory_file.ts", [{
    name: "truncate-nothing",
    find: "    this.#inode.truncate(length);",
    replace: "    length;",
    breaks: "ftruncate does nothing",
    killer: "kit_user_memory.file_length",
  }, {
    name: "read-position",
    find: "    if (offset === undefined) this.#position += done;",
    replace: "    offset;",
    breaks: "Every read and write of a memory file begins anew",
    killer: "kit_files.memfd",
  }]),
  ...inFile("impl/kernel/fault_injection.ts", [{
    name: "fail-nth-early",
    find: "    return left <= 0;",
    replace: "    if (left === 1) this.nth = 0;\n    return left <= 1;",
    breaks: "Every step to fail from the second on fails one too early",
    killer: "kit_fail_nth.count",
  }]),
  ...inFile("impl/kernel/files/eventfd.ts", [{
    name: "eventfd-overflow",
    find: "    if (this.#count + added >= COUNTER_MAX) throw EAGAIN;\n",
    replace: "",
    breaks: "An eventfd counts beyond its highest count",
    killer: "kit_files.eventfd",
  }]),
  ...inFile("impl/kernel/files/pipe.ts", [{
    name: "pipe-wraps",
    find: "subarray(end, end + head), uaddr);\n    if (n > head) {",
    replace: "subarray(end, end + head), uaddr);\n    if (false) {",
    breaks: "A pipe loses bytes where its buffer wraps",
    killer: "kit_files.pipe",
  }]),
];
