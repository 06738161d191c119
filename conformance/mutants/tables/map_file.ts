// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of maps of files and DMA buffers, and of who is charged for them.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const MAP_FILE_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommufd/pages/alloc_pages.ts", [{
    name: "file-length-0",
    find: "  if (length === 0n) throw NO_LENGTH;\n  if (start",
    replace: "  if (start",
    breaks: "A length of 0 is found after the descriptor",
    killer: "kit_map_file.no_domain.map_errno",
  }, {
    name: "length-late",
    find: "  if (checksLengthFirst) checkLength(length);\n",
    replace: "",
    breaks: "Before Linux 6.13, a length that is too long is found late",
    killer: "kit_map.no_domain.map_errno",
    uapi: "6.12",
  }, {
    name: "file-wraps",
    find: "  if (start + length - 1n > U64_MAX) throw FILE_WRAPS;\n",
    replace: "",
    breaks: "A part of a file may wrap",
    killer: "kit_map_file.no_domain.map_errno",
  }, {
    name: "buffer-end",
    find: "BigInt(file.exporter.size) <= start + length - 1n",
    replace: "BigInt(file.exporter.size) < start + length - 1n",
    breaks: "A DMA buffer may be mapped a byte beyond its end",
    killer: "kit_dmabuf.no_domain.map_errno",
  }, {
    name: "file-from-0",
    find: "firstPage: pageOf(start)",
    replace: "firstPage: 0",
    breaks: "A file is always mapped from its first page on",
    killer: "kit_map_file.mock_domain.copy_between",
  }, {
    name: "buffer-as-file",
    find: "return file instanceof DmaBuf\n    ?",
    replace: "return file.noBuffer\n    ?",
    breaks: "A DMA buffer is taken for a file without memory",
    killer: "kit_dmabuf.mock_domain.revoked",
  }]),
  ...inFile("impl/iommufd/ioas/ioas.ts", [{
    name: "file-flags",
    find: "fd, start, length } = cmd;\n  if (flags & ~MAP_FLAGS) throw",
    replace: "fd, start, length } = cmd;\n  if (flags & ~0xff) throw",
    breaks: "MAP_FILE takes flags that it does not know",
    killer: "kit_map_file.no_domain.map_errno",
  }, {
    name: "file-rights",
    find: "  if (lacksProt(ctx, flags)) throw NO_RIGHTS;\n\n  ctx.objects.get(",
    replace: "\n  ctx.objects.get(",
    breaks: "MAP_FILE maps what may be neither read nor written",
    killer: "kit_map_file.no_domain.map_errno",
  }]),
  ...inFile("impl/iommufd/pages/sources/file_memory.ts", [{
    name: "file-end",
    find: "(first + npages) * PAGE_SIZE > memory.size",
    replace: "(first + npages) * PAGE_SIZE > memory.size + PAGE_SIZE - 1",
    breaks: "The part of a page at the end of a file can be pinned",
    killer: "kit_map_file.mock_domain.lengths",
  }, {
    name: "file-not-kept",
    find: "file.pinnable?.get()",
    replace: "file.pinnable",
    breaks: "An area loses the memory of a file that is closed",
    killer: "kit_map_file.no_domain.closed_file",
  }, {
    name: "file-leak",
    find: "    this.#memory?.put();\n",
    replace: "",
    breaks: "The memory of a file stays after its last area",
    killer: "kit_map_file.no_domain.closed_file",
  }, {
    name: "file-hole",
    find: "        memory.frameAt(first + done);\n",
    replace: "",
    breaks: "Pages that a file does not have yet cannot be pinned",
    killer: "kit_map_file.mock_domain.missing_pages",
  }, {
    name: "file-owner-fixed",
    find: "get ownerMayChange(): boolean {\n    return true;",
    replace: "get ownerMayChange(): boolean {\n    return false;",
    breaks: "A file cannot change hands",
    killer: "kit_change_process.user.moves",
  }, {
    name: "file-no-folios",
    find: "get listsFolios(): boolean {\n    return true;",
    replace: "get listsFolios(): boolean {\n    return false;",
    breaks: "Pins of a file need no buffer for its folios",
    killer: "kit_file_fail_nth.access_pin",
  }, {
    name: "file-copy-nothing",
    find: "copy(): boolean {\n    return false;",
    replace: "copy(): boolean {\n    return true;",
    breaks: "An access copies nothing from or to a file",
    killer: "kit_map_file.no_domain.access_rw",
  }]),
  ...inFile("impl/iommufd/pages/mapper.ts", [{
    name: "mapper-reads",
    find: "return writable ? this.#write : this.#read;",
    replace: "return this.#read;",
    breaks: "Memory is pinned for reading that devices may write",
    killer: "kit_access.no_domain.rw_read_only_memory",
  }, {
    name: "mapper-first",
    find:
      "return owner.task === task && owner.mm === task.mm &&\n      owner.user === task.user;",
    replace: "return owner.task !== undefined && task !== undefined;",
    breaks: "Whoever maps first owns all memory of an IOAS",
    killer: "kit_change_process.none.user_of_same_process",
  }]),
  ...inFile("impl/iommufd/pages/sources/user_memory.ts", [{
    name: "memory-changes-hands",
    find: "get ownerMayChange(): boolean {\n    return false;",
    replace: "get ownerMayChange(): boolean {\n    return true;",
    breaks: "The memory of a process can change hands",
    killer: "kit_change_process.user.takes_4_memory",
  }]),
  ...inFile("impl/iommufd/pages/sources/dma_buf_memory.ts", [{
    name: "buffer-books-stay",
    find: "    if (domains.size === 0) this.mapped.delete(area);\n",
    replace: "",
    breaks: "Areas that no domain has stay in the books of a DMA buffer",
    killer: "kit_dmabuf.mock_domain.many_areas",
  }, {
    name: "buffer-comes-back",
    find: "    this.#range = undefined;\n",
    replace: "",
    breaks: "A domain gets a DMA buffer that was taken back",
    killer: "kit_dmabuf.no_domain.domain_after",
  }, {
    name: "buffer-stays",
    find:
      "      for (const domain of domains) this.unmapDomain(area, domain);\n    }\n    this.#range",
    replace: "    }\n    this.#range",
    breaks: "Domains keep a DMA buffer that was taken back",
    killer: "kit_dmabuf.mock_domain.revoked",
  }, {
    name: "buffer-last-domain",
    find:
      "    this.unmapDomain(area, domain);\n  }\n\n  /** The driver takes the buffer back",
    replace: "  }\n\n  /** The driver takes the buffer back",
    breaks: "The last domain keeps a DMA buffer whose area is gone",
    killer: "kit_dmabuf.mock_domain.many_areas",
  }, {
    name: "buffer-first-domain",
    find: "      for (const domain of domains) {\n        batch",
    replace: "      for (const domain of domains.slice(0, 1)) {\n        batch",
    breaks: "Only the first domain of an IOAS gets a DMA buffer",
    killer: "kit_dmabuf.mock_domain.revoked",
  }, {
    name: "buffer-leak",
    find: "    this.#dmaBuf.put();\n",
    replace: "",
    breaks: "A DMA buffer stays after its last area",
    killer: "kit_dmabuf.no_domain.closed_buffer",
  }, {
    name: "buffer-not-kept",
    find: "this.#dmaBuf = dmaBuf.get();",
    replace: "this.#dmaBuf = dmaBuf;",
    breaks: "An area loses a DMA buffer whose descriptor is closed",
    killer: "kit_dmabuf.no_domain.closed_buffer",
  }]),
  ...inFile("impl/iommufd/pages/pages.ts", [{
    name: "source-leak",
    find: "    this.source.release();\n",
    replace: "",
    breaks: "What an area maps is not given back",
    killer: "kit_map_file.no_domain.closed_file",
  }]),
  ...inFile("impl/iommufd/pages/access_pages.ts", [{
    name: "buffer-pinned",
    find:
      "  if (pages.source.frames === undefined) throw NO_FRAMES;\n  const same",
    replace: "  const same",
    breaks: "An access pins a DMA buffer",
    killer: "kit_dmabuf.mock_domain.access_errno",
  }]),
  ...inFile("impl/iommufd/ioas/split.ts", [{
    name: "buffer-cut",
    find: "if (pages.source.frames === undefined) {",
    replace: "if (false) {",
    breaks: "An area of a DMA buffer can be cut",
    killer: "kit_dmabuf.no_domain.vfio_cut",
  }]),
  ...inFile("impl/kernel/files/dma_buf.ts", [{
    name: "importer-unknown",
    find: "    this.#importers.add(importer);\n",
    replace: "",
    breaks: "Nobody hears that a DMA buffer is taken back",
    killer: "kit_dmabuf.mock_domain.revoked",
  }, {
    name: "exporter-leak",
    find: "    this.exporter.release();\n",
    replace: "",
    breaks: "A DMA buffer is never freed",
    killer: "kit_dmabuf.no_domain.left_open",
  }, {
    name: "buffer-mmap",
    find: "override mmap(): FileMapping {\n    throw EINVAL;",
    replace: "override mmap(): FileMapping {\n    throw EOPNOTSUPP;",
    breaks: "Mapping a DMA buffer fails with another errno",
    killer: "kit_dmabuf.no_domain.as_a_file",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_dmabuf.ts", [{
    name: "buffer-empty",
    find: "if (size === 0 || size > MAX_LENGTH) {",
    replace: "if (size > MAX_LENGTH) {",
    breaks: "A DMA buffer may have no bytes",
    killer: "kit_dmabuf.no_domain.get_errno",
  }, {
    name: "buffer-rounding",
    find: "Math.ceil(length / PAGE_SIZE)",
    replace: "Math.floor(length / PAGE_SIZE)",
    breaks: "A DMA buffer loses its last page",
    killer: "kit_dmabuf.no_domain.get_errno",
  }, {
    name: "buffer-given-while-revoked",
    find: "if (this.revoked) throw",
    replace: "if (false) throw",
    breaks: "A DMA buffer that was taken back can be mapped",
    killer: "kit_dmabuf.no_domain.map_errno",
  }, {
    name: "buffer-never-restored",
    find: "exporter.revoked = revoked !== 0;",
    replace: "exporter.revoked = true;",
    breaks: "A DMA buffer that was taken back is never given again",
    killer: "kit_dmabuf.no_domain.revoked",
  }, {
    name: "file-as-buffer",
    find: 'if (!(file instanceof DmaBuf)) throw EINVAL.because("it',
    replace: 'if (!(file instanceof DmaBuf)) throw EBADF.because("it',
    breaks: "A file that is no DMA buffer counts as none",
    killer: "kit_dmabuf.no_domain.revoke_errno",
  }]),
  ...inFile("impl/iommufd/ioas/change_process.ts", [{
    name: "owner-reserved",
    find: "  if (cmd.reserved !== 0) throw RESERVED_FIELD;\n",
    replace: "",
    breaks: "CHANGE_PROCESS does not look at its reserved field",
    killer: "kit_change_process.user.takes_1_nothing",
  }, {
    name: "owner-charged-by-area",
    find: "new Set(all.flatMap(({ iopt }) => [...filesOf(iopt)]))",
    replace: "all.flatMap(({ iopt }) => [...filesOf(iopt)])",
    breaks: "A new owner is charged for every area of the same pages",
    killer: "kit_change_process.user.shared_pages",
  }]),
  ...inFile("impl/iommufd/pages/accounting.ts", [{
    name: "owner-charge-stays",
    find:
      "    undo.defer(() => chargeOwner(owner, mode, -npages, warnings));\n",
    replace: "",
    breaks: "Who may not take everything over is charged for a part",
    killer: "kit_change_process_mixed.limit",
  }, {
    name: "owner-not-charged",
    find: "  undo.move();\n",
    replace: "",
    breaks: "A new owner is not charged",
    killer: "kit_change_process.user.moves",
  }, {
    name: "owner-not-uncharged",
    find:
      "    chargeOwner(pages.owner, pages.accountMode, -pages.npinned, warnings);\n",
    replace: "",
    breaks: "A former owner stays charged",
    killer: "kit_change_process.mm.moves",
  }, {
    name: "owner-free-pins",
    find: "return old.mm !== next.mm ||",
    replace: "return (accountMode !== ACCOUNT_NONE && old.mm !== next.mm) ||",
    breaks: "Pins that nobody is charged for stay with a former owner",
    killer: "kit_change_process.none.moves",
  }, {
    name: "owner-user",
    find: "(accountMode === ACCOUNT_USER && old.user !== next.user)",
    replace: "false",
    breaks: "Memory stays charged to the user that its process was of before",
    killer: "kit_change_process.user.user_of_same_process",
  }, {
    name: "owner-kept",
    find: "  for (const pages of all) pages.owner = owner;\n",
    replace: "",
    breaks: "What is pinned later is charged to a former owner",
    killer: "kit_change_process.user.pinned_later",
  }]),
  ...inFile("impl/iommufd/main.ts", [{
    name: "ioctl-result",
    find: "return buffer.result;",
    replace: "return 0;",
    breaks: "An ioctl cannot return a descriptor",
    killer: "kit_dmabuf.no_domain.as_a_file",
  }]),
];
