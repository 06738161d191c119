// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of files of memory: seals, holes, names, descriptors.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const FILES_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/kernel/files/file.ts", [{
    name: "reopened-once",
    find: "  file.device = device;\n  return file;",
    replace: "  return file;",
    breaks: "A device cannot be opened by its descriptor",
    killer: "kit_names.reopen",
  }]),
  ...inFile("impl/kernel/files/memory_inode.ts", [{
    name: "seals-for-ever",
    find: "    if (this.#has(F_SEAL_SEAL)) throw SEALED;\n",
    replace: "",
    breaks: "Seals are added to a file that is sealed against that",
    killer: "kit_seals.add",
  }, {
    name: "seal-exec-alone",
    find: "implied ? seals | EXEC_SEALS : seals;",
    replace: "implied ? seals : seals;",
    breaks: "F_SEAL_EXEC of an executable leaves it writable",
    killer: "kit_seals.add",
  }, {
    name: "seal-write-mapped",
    find: "    if (this.object.writableMappings > 0) {",
    replace: "    if (false) {",
    breaks: "A file that a mapping may write is sealed against writes",
    killer: "kit_seals.writers",
  }, {
    name: "seal-write-pinned",
    find: "    if (this.object.isPinned()) {",
    replace: "    if (false) {",
    breaks: "A file whose pages are pinned is sealed against writes",
    killer: "kit_seals.pins",
  }, {
    name: "seal-order-huge",
    find:
      "    if (object.huge && size % object.pageSize !== 0) {\n      throw EINVAL.because",
    replace: "    if (false) {\n      throw EINVAL.because",
    breaks: "The length of a file of huge pages cuts one",
    killer: "kit_holes.huge",
  }, {
    name: "seal-shrink",
    find: "size < object.size && this.#has(F_SEAL_SHRINK);",
    replace: "size < object.size && false;",
    breaks: "F_SEAL_SHRINK forbids nothing",
    killer: "kit_seals.forbids",
  }, {
    name: "seal-grow",
    find: "size > object.size && this.#has(F_SEAL_GROW);",
    replace: "size > object.size && false;",
    breaks: "F_SEAL_GROW does not forbid ftruncate",
    killer: "kit_seals.forbids",
  }, {
    name: "seal-grow-write",
    find: " || grows && this.#has(F_SEAL_GROW)) throw SEALED;",
    replace: ") throw SEALED;",
    breaks: "A write makes a file longer that is sealed against that",
    killer: "kit_seals.write_up_to_the_end",
  }, {
    name: "seal-hole",
    find: "      if (this.isWriteSealed) throw SEALED;\n",
    replace: "",
    breaks: "A hole is punched in a file that is sealed against writes",
    killer: "kit_seals.forbids",
  }, {
    name: "allocate-keeps",
    find: "    if ((mode & FALLOC_FL_KEEP_SIZE) === 0) object.extend(end);",
    replace: "    object.extend(end);",
    breaks: "FALLOC_FL_KEEP_SIZE does not keep the length",
    killer: "kit_holes.length",
  }]),
  ...inFile("impl/kernel/files/memory_file.ts", [{
    name: "seal-later-write",
    find: "isSealed ? { ...mapping, mayWrite: false } : mapping;",
    replace: "mapping;",
    breaks: "A mapping of a sealed file is made writable",
    killer: "kit_seals.mprotect",
  }, {
    name: "open-truncates-not",
    find: "    if ((flags & O_TRUNC) !== 0) inode.truncate(0);\n",
    replace: "",
    breaks: "O_TRUNC does nothing",
    killer: "kit_names.truncate",
  }, {
    name: "seek-from-zero",
    find: "        return this.#position;",
    replace: "        return 0;",
    breaks: "SEEK_CUR counts from the beginning",
    killer: "kit_names.lseek",
  }]),
  ...inFile("impl/kernel/simulated/pages/memory_object.ts", [{
    name: "hole-leaves-pages",
    find:
      "    this.#pages.zap(this.#frames, start / PAGE_SIZE, end / PAGE_SIZE);\n    this.#clear(end, to);",
    replace: "    this.#clear(from, to);",
    breaks: "A hole zeroes pages and keeps them",
    killer: "kit_holes.pinned_hole",
  }, {
    name: "hole-edge",
    find: "    this.#clear(from, start);\n    if (this.huge)",
    replace: "    if (this.huge)",
    breaks: "A hole leaves the rest of its first page",
    killer: "kit_holes.bytes",
  }, {
    name: "hole-private-huge",
    find:
      "    if (this.huge) this.#dropPrivate(start / PAGE_SIZE, end / PAGE_SIZE);\n",
    replace: "",
    breaks: "Private copies of huge pages survive a hole",
    killer: "kit_holes.private_huge",
  }, {
    name: "pages-behind-the-end",
    find: "index < this.#end || this.huge && pfn !== 0;",
    replace: "index < this.#end || pfn !== 0;",
    breaks: "Pages that were allocated behind the end can be touched",
    killer: "kit_holes.behind_the_end",
  }]),
  ...inFile("impl/kernel/simulated/mappings/mremap.ts", [{
    name: "remap-overlap",
    find: "  if (from < to + length && to < from + oldLength) {",
    replace: "  if (false) {",
    breaks: "A mapping is moved over itself",
    killer: "kit_remap.errno",
  }, {
    name: "remap-leaves-pages",
    find: "      this.privatePages.table.move(first, end, to / PAGE_SIZE);\n",
    replace: "      first + end;\n",
    breaks: "Private memory is lost when it moves",
    killer: "kit_remap.private",
  }, {
    name: "remap-offset",
    find: "    copy.pageOffset = vma.objectIndex(address / PAGE_SIZE);\n",
    replace: "    address;\n",
    breaks: "A part of a file that moves is its beginning then",
    killer: "kit_remap.file",
  }, {
    name: "remap-keeps-old",
    find:
      "    for (const old of this.vmas.remove(from, from + kept)) old.close();",
    replace: "    from + kept;",
    breaks: "What was moved is in both places",
    killer: "kit_remap.private",
  }, {
    name: "remap-huge-grows",
    find: "  if (aligned.length > aligned.oldLength) {",
    replace: "  if (false) {",
    breaks: "A mapping of huge pages grows",
    killer: "kit_remap.huge",
  }, {
    name: "remap-device-grows",
    find: "  if (length > oldLength && vma.device !== undefined) {",
    replace: "  if (false) {",
    breaks: "A mapping of a device's memory grows",
    killer: "kit_remap.region",
  }]),
  ...inFile("impl/kernel/files/fd_table.ts", [{
    name: "exec-closes-nothing",
    find: "    if (closeOnExec) this.#closeOnExec.add(fd);\n",
    replace: "",
    breaks: "Descriptors that are made with O_CLOEXEC survive exec",
    killer: "kit_exec.descriptors",
  }, {
    name: "exec-number-used-before",
    find: "    this.#closeOnExec.delete(fd);\n    pushHeap",
    replace: "    pushHeap",
    breaks: "FD_CLOEXEC stays with a number when it is closed",
    killer: "kit_exec.descriptors",
  }, {
    name: "exec-forgets-parents-flags",
    find:
      "    for (const fd of this.#closeOnExec) copy.#closeOnExec.add(fd);\n",
    replace: "",
    breaks: "A child's descriptors have no FD_CLOEXEC",
    killer: "kit_exec.descriptors_of_a_child",
  }]),
  ...inFile("impl/kernel/credentials.ts", [{
    name: "exec-keeps-capabilities",
    find: "    this.#capabilities.clear();\n    if (this.#uid !== 0) return;",
    replace: "    if (this.#uid >= 0) return;",
    breaks: "Root does not get back at exec what it gave up",
    killer: "kit_exec.capabilities_of_root",
  }, {
    name: "exec-all-capabilities",
    find: "    if (this.#uid !== 0) return;",
    replace: "    this.#uid;",
    breaks: "Everybody has all capabilities after exec",
    killer: "kit_exec.capabilities_of_others",
  }]),
  ...inFile("impl/kernel/simulated/process.ts", [{
    name: "exec-keeps-memory",
    find: "      mm.release();\n      this.files.exec();",
    replace: "      this.files.exec();",
    breaks: "Memory of before exec stays mapped",
    killer: "kit_exec.memory",
  }]),
  ...inFile("impl/kernel/files/fd_table.ts", [{
    name: "dup2-closes-nothing",
    find: "    old?.put();\n",
    replace: "",
    breaks: "dup2 over the last descriptor of a context leaves it open",
    killer: "kit_dup2.last",
  }, {
    name: "dup3-has-no-flag",
    find: "    this.setCloseOnExec(fd, closeOnExec);",
    replace: "    this.setCloseOnExec(fd, false);",
    breaks: "dup3 forgets O_CLOEXEC",
    killer: "kit_dup2.flag",
  }, {
    name: "exec-keeps-queues",
    find: "    this.install(file, limit, true);",
    replace: "    this.install(file, limit);",
    breaks: "The descriptors of event queues survive exec",
    killer: "kit_exec.descriptors_of_iommufd",
  }]),
  ...inFile("impl/kernel/simulated/mappings/vma.ts", [{
    name: "writers-read",
    find: "    else if (this.mayWrite) object.writableMappings++;",
    replace: "    else if ((this.prot & 2) !== 0) object.writableMappings++;",
    breaks: "A shared mapping that could be made writable does not count",
    killer: "kit_seals.writers",
  }]),
  ...inFile("impl/kernel/files/tmpfs.ts", [{
    name: "unlink-keeps-name",
    find: "    this.#entries.delete(name);\n    entry.object.put();",
    replace: "    entry.object;",
    breaks: "unlink does nothing",
    killer: "kit_names.unlink",
  }]),
  ...inFile("impl/kernel/files/memory_file.ts", [{
    name: "names-for-all",
    find: "    if (!inode.isOf(task, CAP_DAC_OVERRIDE)) throw EACCES;\n",
    replace: "",
    breaks: "Anybody may open a file with the mode 0600",
    killer: "kit_names.reopen_others",
  }]),
  ...inFile("impl/kernel/system_calls.ts", [{
    name: "seal-read-only",
    find: "  if (!file.isWritable) {\n    throw EPERM",
    replace: "  if (false) {\n    throw EPERM",
    breaks: "Who may only read a file seals it",
    killer: "kit_seals.add",
  }, {
    name: "hole-that-cuts",
    find: " || mode === FALLOC_FL_PUNCH_HOLE) {",
    replace: ") {",
    breaks: "A hole need not say that the length is kept",
    killer: "kit_holes.errno",
  }, {
    name: "pass-copies-nothing",
    find: "      return to.install(file.get());",
    replace: "      return this.install(file.get());",
    breaks: "A descriptor that is passed comes back",
    killer: "kit_passing.memory",
  }]),
];
