// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of pages: pinning, batches, accounting, accesses.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const PAGES_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommufd/pages/alloc_pages.ts", [{
    name: "pages-wrap",
    find: "if (checksUserVaOverflow && uptr + length > U64_MAX) throw",
    replace: "if (false) throw",
    breaks: "Memory may wrap",
    killer: "kit_map.no_domain.map_errno",
  }, {
    name: "pages-count",
    find: "length + offset + PAGE_MASK",
    replace: "length + PAGE_MASK",
    breaks: "Memory that begins in a page lacks its last page",
    killer: "kit_memory_limit.limit_24.map_unaligned",
  }]),
  ...inFile("impl/iommufd/pages/pages.ts", [{
    name: "pages-privilege",
    find: "this.accountMode = isFree ? ACCOUNT_NONE : ACCOUNT_USER;",
    replace: "this.accountMode = ACCOUNT_USER;",
    breaks: "CAP_IPC_LOCK does not lift the limit",
    killer: "kit_rlimit_mode.no_limit",
  }]),
  ...inFile("impl/iommufd/pages/pages_list.ts", [{
    name: "failed-map-stays",
    find:
      "      if (element.area) element.area.iopt.abortArea(element.area);\n",
    replace: "",
    breaks: "A map that failed keeps its IOVA",
    killer: "kit_map.mock_domain.map_bad_memory",
  }]),
  ...inFile("impl/iommufd/pages/pfn_batch.ts", [{
    name: "carry-wrong-frame",
    find: "pfns[0] = pfns[tail]! + npfns[tail]! - keep;",
    replace: "pfns[0] = pfns[tail]!;",
    breaks: "What a batch keeps are other pages",
    killer: "iommufd_ioas.mock_domain_limit.access_domain_destory",
  }, {
    name: "batch-unmap-unwind",
    find: "        iommuUnmapNofail(domain, startIova, iova - startIova);\n",
    replace: "",
    breaks: "A batch that cannot be mapped stays half mapped",
    killer: "kit_fail_nth.scattered",
    uapi: "6.12",
  }, {
    name: "batch-tail",
    find: "batchEnd === area.lastIndex ? end - 1 : end",
    replace: "end",
    breaks: "The last page of an area is mapped whole",
    killer: "kit_memory_limit.limit_24.map_unaligned",
  }, {
    name: "small-pages",
    find: "if (small) domain.mapSmall(",
    replace: "if (small && !small) domain.mapSmall(",
    breaks: "Large pages are used although they are turned off",
    killer: "vfio_compat_mock_domain.Ver1v0.huge_map",
  }, {
    name: "unpin-wrong-page",
    find: "frames.unpinRange(pfns[cur++]! + skip as Pfn, head",
    replace: "frames.unpinRange(pfns[cur++]! as Pfn, head",
    breaks: "Other pages are unpinned than were pinned",
    killer: "kit_access.no_domain.rw_beside_pins",
  }]),
  ...inFile("impl/iommufd/pages/sources/user_memory.ts", [{
    name: "pin-without-write",
    find: "if (writable) return FOLL_LONGTERM | FOLL_WRITE;",
    replace: "if (writable) return FOLL_LONGTERM;",
    breaks: "Pages that a device writes are pinned for reading",
    killer: "kit_access.no_domain.rw_read_only_memory",
  }, {
    name: "pin-read-cow",
    find: "return FOLL_LONGTERM | FOLL_FORCE | FOLL_WRITE;",
    replace: "return FOLL_LONGTERM;",
    breaks:
      "Memory that is mapped for reading stays shared with what it is a copy of",
    killer: "kit_mock_domain.one_domain.read_only_memory",
    uapi: "v3",
  }]),
  ...inFile("impl/iommufd/pages/pfn_pinner.ts", [{
    name: "pinner-leak",
    find:
      "    this.#pages.kernel.frames.unpinRuns(list, this.#next, list.end);\n",
    replace: "",
    breaks: "Pages that were pinned ahead stay pinned when a map fails",
    killer: "kit_fail_nth.scattered",
    uapi: "6.12",
  }, {
    name: "pinner-again",
    find: "    this.#next += batch.addRuns(this.#list!, this.#next);",
    replace: "    batch.addRuns(this.#list!, this.#next);",
    breaks:
      "What did not fit into a batch is not what the next one begins with",
    killer: "kit_fail_nth.scattered",
    uapi: "6.12",
  }]),
  ...inFile("impl/iommufd/pages/pfn_reader.ts", [{
    name: "reader-past-area",
    find: "const last = min(area!.lastIndex, span.last);",
    replace: "const last = span.last;",
    breaks: "Frames are read from a domain beyond the area that it has",
    killer: "kit_copy.copy_gathers",
  }, {
    name: "reader-unpins-all",
    find: "      if (span.isUsed) continue;\n" +
      "      this.batch.unpin(",
    replace: "      this.batch.unpin(",
    breaks: "A slow copy unpins what others hold",
    killer: "kit_access.no_domain.rw_beside_pins",
  }, {
    name: "reader-stuck",
    find: "if (this.batchEnd === this.#span.last + 1) this.#span.next();",
    replace: "if (this.batchEnd > this.#span.last + 1) this.#span.next();",
    breaks: "Reading pages never gets past the first holder of some",
    killer: "kit_copy.copy_destination",
  }]),
  ...inFile("impl/iommufd/pages/fill.ts", [{
    name: "copy-unwind",
    find: "      unfillDomains(area!, pages!, unmapper);\n",
    replace: "",
    breaks: "COPY leaves areas in the domains when a later one fails",
    killer: "kit_copy.copy_bad_memory",
  }, {
    name: "fill-leak",
    find: "    reader.releasePins();\n    domains.forEach",
    replace: "    domains.forEach",
    breaks: "Pages of a map that failed stay pinned",
    killer: "kit_memory_limit.limit_24.fault_in_late_batch",
  }, {
    name: "fill-unwind",
    find: "const end = i < failed ? firstEnd : allEnd;",
    replace: "const end = firstEnd;",
    breaks: "A map that failed is undone in domains that never had it",
    killer: "kit_vfio_compat.Ver1v2.map_dma_without_rights",
  }]),
  ...inFile("impl/iommufd/pages/unmapper.ts", [{
    name: "unfill-carry",
    find: "if (span.isUsed) this.#batch.skipCarry(span.last - span.start + 1);",
    replace: "if (span.isUsed) continue;",
    breaks: "An unmap unpins pages that an access holds",
    killer: "kit_mock_domain.one_domain.pin_outlasts_domains",
  }]),
  ...inFile("impl/iommufd/pages/accounting.ts", [{
    name: "user-limit",
    find: "const total = user.lockedVm + delta;\n" +
      "  if (delta > 0) checkLimit(owner, total)",
    replace: "const total = user.lockedVm + delta;\n" +
      "  if (delta > 0) checkLimit(owner, total + 1)",
    breaks: "A user may not lock the last page of the limit",
    killer: "kit_rlimit.user.map_limit",
  }, {
    name: "process-limit",
    find: "const total = mm.lockedVm + delta;\n" +
      "  if (delta > 0) checkLimit(owner, total)",
    replace: "const total = mm.lockedVm + delta;\n" +
      "  if (delta > 0) checkLimit(owner, total - 1)",
    breaks: "A process may lock one page beyond the limit",
    killer: "kit_rlimit.mm.map_limit",
  }, {
    name: "unmap-over-user-limit",
    find: "if (delta > 0) checkLimit(owner, total);\n  if (",
    replace: "checkLimit(owner, total);\n  if (",
    breaks: "Memory over a limit that was lowered cannot be unmapped (user)",
    killer: "kit_rlimit.user.lowered",
  }, {
    name: "unmap-over-process-limit",
    find: "if (delta > 0) checkLimit(owner, total);\n  warnings",
    replace: "checkLimit(owner, total);\n  warnings",
    breaks: "Memory over a limit that was lowered cannot be unmapped (process)",
    killer: "kit_rlimit.mm.lowered",
  }, {
    name: "limit-of-caller",
    find: "chargeOwner(pages.owner, pages.accountMode, delta,",
    replace:
      "chargeOwner({ ...pages.owner, task: pages.kernel.current! }, pages.accountMode, delta,",
    breaks: "Pinned memory is limited by who has it pinned, not by whose it is",
    killer: "kit_rlimit.user.owner_limit",
  }]),
  ...inFile("impl/iommufd/access/access.ts", [{
    name: "pin-hole-leak",
    find: "        this.#unpinRange(iopt, iova, areas.curIova - 1n);\n",
    replace: "",
    breaks: "Pages before a hole stay pinned",
    killer: "kit_access.mock_domain.pin_errno",
  }, {
    name: "access-write-right",
    find:
      "const prot = flags & IOMMUFD_ACCESS_RW_WRITE ? IOMMU_WRITE : IOMMU_READ;",
    replace: "const prot = IOMMU_READ;",
    breaks: "An access writes what is mapped for reading",
    killer: "kit_access.mock_domain.rights",
  }, {
    name: "access-not-moved",
    find: "      removeIoptAccess(current.iopt, this, listId);\n",
    replace: "",
    breaks: "An access that moved is still asked by its old IOAS",
    killer: "kit_access.mock_domain.replace_ioas",
  }, {
    name: "access-copy-length",
    find: "const end = at + Number(areas.curLast - curIova) + 1;",
    replace: "const end = at + Number(areas.curLast - curIova);",
    breaks: "A copy lacks its last byte",
    killer: "kit_access.mock_domain.rw_across_areas",
  }, {
    name: "pin-rights-first",
    find: "        checkRights(area, flags);\n        const range",
    replace:
      "        if (at === 0) checkRights(area, flags);\n        const range",
    breaks: "A pin asks only the first area for the right",
    killer: "kit_access.no_domain.rights_across",
  }, {
    name: "rw-rights-first",
    find: "      checkRights(area, flags);\n      const end = at + Number",
    replace:
      "      if (at === 0) checkRights(area, flags);\n      const end = at + Number",
    breaks: "A copy asks only the first area for the right",
    killer: "kit_access.no_domain.rights_across",
  }]),
  ...inFile("impl/iommufd/pages/access_pages.ts", [{
    name: "pin-fault-leak",
    find: "    pages.kernel.frames.unpin(out, at, index - first);\n",
    replace: "",
    breaks: "Pages before bad memory stay pinned",
    killer: "basic_fail_nth.access_pin",
  }, {
    name: "pin-count",
    find: "    same.users++;\n",
    replace: "",
    breaks: "A range that is pinned twice is unpinned once",
    killer: "kit_access.mock_domain.unmap_all_accesses",
  }, {
    name: "slow-copy-batches",
    find: "copied === 0 ? offset : 0",
    replace: "offset",
    breaks: "A slow copy goes on at a wrong offset after a batch",
    killer: "kit_memory_limit.limit_24.rw_slow",
  }, {
    name: "store-keeps-frames",
    find: "      pinnedPfns.clearRange(span.start, span.last);\n",
    replace: "",
    breaks: "An access leaves frames behind where a domain holds the pages",
    killer: "kit_access.mock_domain.pin_counts",
  }, {
    name: "pin-past-area",
    find: "const end = min(area.lastIndex, last);",
    replace: "const end = last;",
    breaks:
      "A pin reads past the area of another IOAS that has its first pages",
    killer: "kit_access.no_domain.pin_from_elsewhere",
  }]),
];
