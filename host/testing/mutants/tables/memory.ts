// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in the memory of programs, and in what they do to it.
 *
 * @module
 */

import type { HostMutant, Killer } from "../mutant.ts";

type Fault = Omit<HostMutant, "file" | "killer"> & { readonly it: string };

/** Faults of a file, noticed by tests of one thing in one file. */
function faults(
  file: string,
  [test, about]: readonly [test: string, about: string],
  list: readonly Fault[],
): HostMutant[] {
  return list.map(({ it, ...fault }) => {
    const killer: Killer = [`host/${test}`, about, it];
    return { ...fault, file: `host/${file}`, killer };
  });
}

const FRAMES = "memory/frames/frames_test.ts";
const MM = "memory/host_mm_test.ts";
const PRIVATE = [MM, "pinned private memory"] as const;
const SHARED = [MM, "pinned shared memory"] as const;
const PIN = [MM, "a pin"] as const;
const LEAVING = [
  "memory/leaving_test.ts",
  "what is pinned, to an ordinary user",
] as const;
const LARGE = [
  "memory/leaving_test.ts",
  "what is pinned of huge pages of 1 GiB",
] as const;
const PROGRAM = [
  "calls/memory_test.ts",
  "pinned memory of a program of an ordinary user",
] as const;

/** Theirs. */
export const MEMORY_MUTANTS: readonly HostMutant[] = [
  ...faults("memory/frames/frames.ts", [FRAMES, "a pinned page"], [{
    name: "memory-keeps-nothing",
    find: "        this.#keepRun(store, page + i, Math.min(step, n - i));\n",
    replace: "",
    breaks: "A device silently reads what the program maps there later",
    it:
      "that its owner lets go of lives on, and the next page there is another",
  }, {
    name: "memory-number-twice",
    find: "if (this.#isLive(leaf.block * LEAF_PAGES + i)) {",
    replace: "if (false) {",
    breaks: "A new page has the number of one that lives on by its pins",
    it:
      "that its owner lets go of lives on, and the next page there is another",
  }, {
    name: "memory-not-huge",
    find: "LIVE | (compound ? COMPOUND : 0)",
    replace: "LIVE",
    breaks: "A huge page is not marked huge",
    it: "is known to be of a huge page, also when it is kept",
  }, {
    name: "memory-moves-nowhere",
    find: "return [pfn, start + i - first + page];",
    replace: "return [pfn, start + i];",
    breaks: "A page that was moved is looked for where it was",
    it: "moves with its number, also over where it was",
  }, {
    name: "memory-pins-without-end",
    find: "          if (pins === PINS_MAX) return done;\n",
    replace: "",
    breaks: "A page is pinned more often than Linux can count",
    it: "counts its pins, up to what Linux can count",
  }]),
  ...faults("memory/frames/frames.ts", [FRAMES, "the bytes of frames"], [{
    name: "memory-bits-beyond",
    find: "(bit & 7) === 0 && bit + 7 <= last",
    replace: "(bit & 7) === 0",
    breaks: "Pages that were not written are dirty",
    it: "have bits that can be set",
  }]),
  ...faults("memory/spaces/private_pages.ts", PRIVATE, [{
    name: "memory-write-lost",
    find: "this.#space.poke(page * PAGE_SIZE + offset, from);",
    replace: "from.slice();",
    breaks: "What a device writes goes to a copy",
    it: "is what the program sees, both ways",
  }]),
  ...faults("memory/spaces/private_pages.ts", PROGRAM, [{
    name: "memory-remembers-nothing",
    find: "this.#last.push({ page, bytes });",
    replace: "",
    breaks: "What is pinned of a process that runs another program is zero",
    it: "stays what it is when it is a process's that runs another program",
  }]),
  ...faults("memory/spaces/process_space.ts", PRIVATE, [{
    name: "memory-pins-file",
    find:
      "      if (this.#hasPagemap() && this.countOwn(at, 1) === 1) continue;\n",
    replace: "      continue;\n",
    breaks: "What is pinned of a private mapping changes with the file",
    it: "of a file does not change the file",
  }]),
  ...faults("memory/spaces/mappings.ts", SHARED, [{
    name: "memory-offset-ignored",
    find: "offset: getLong(view, QUERY.offset),",
    replace: "offset: 0,",
    breaks: "Two mappings of a page are two pages",
    it: "is one frame by all its mappings, and by its descriptor",
  }, {
    name: "memory-shared-is-private",
    find: "shared: (flags & VMA_SHARED) !== 0,",
    replace: "shared: false,",
    breaks: "Shared memory that is unmapped is another page afterwards",
    it: "is one frame by all its mappings, and by its descriptor",
  }]),
  ...faults("memory/permissions.ts", PIN, [{
    name: "memory-writes-read-only",
    find: "if ((mapping.prot & PROT_WRITE) !== 0) return true;",
    replace: "return true;",
    breaks: "A device may write what the program may not",
    it: "needs the right to what it is for",
  }]),
  ...faults("memory/host_mm.ts", PIN, [{
    name: "memory-disk-for-long",
    find: "!isMemory(mapping.file)",
    replace: "false",
    breaks: "A file of a disk can be mapped, which fails on Linux",
    it: "for writing and for long is not for files of a disk",
  }]),
  ...faults("memory/host_mm.ts", SHARED, [{
    name: "memory-pins-device",
    find: "    if (object.own) throw DEVICE_MEMORY;\n",
    replace: "",
    breaks: "The memory of a device can be pinned",
    it: "of a device cannot be pinned",
  }]),
  ...faults("memory/host_mm.ts", [MM, "a copy"], [{
    name: "memory-write-only-unread",
    find: "if (mapping === undefined || mapping.prot === 0) break;",
    replace: "break;",
    breaks: "A struct in memory that may only be written is EFAULT",
    it:
      "reads what may only be written, and writes nothing that may only be read",
  }]),
  ...faults("memory/shared/host_object.ts", SHARED, [{
    name: "memory-beyond-end",
    find: "Math.min(count, Math.ceil(this.size / PAGE_SIZE) - index)",
    replace: "count",
    breaks: "Pages behind the end of a file can be pinned",
    it: "is not beyond the end of the file",
  }]),
  ...faults("memory/machine.ts", SHARED, [{
    name: "memory-never-idle",
    find: "      object.close();\n",
    replace: "",
    breaks: "A file that was pinned once can never be sealed",
    it: "can be sealed when nobody has it pinned any more",
  }]),
  ...faults("memory/shared/shared_pages.ts", LEAVING, [{
    name: "memory-shared-lost",
    find: "for (const [first, end] of this.#onlyIn(lost)) keep(first, end);",
    replace: "",
    breaks: "Shared memory that is unmapped is lost to an ordinary user",
    it:
      "stays when shared memory is unmapped, and what is mapped there then is something else",
  }, {
    name: "memory-shared-stays",
    find: "address: place.address - moved.start + to",
    replace: "address: place.address",
    breaks: "Shared memory that was moved is looked for where it was",
    it: "goes with shared memory that is moved",
  }]),
  ...faults("calls/memory.ts", PROGRAM, [{
    name: "memory-unmap-unseen",
    find: "if (call.arg(0) % PAGE_SIZE !== 0) return;",
    replace: "return;",
    breaks: "A device reads what a program maps where it unmapped something",
    it: "stays what it is when it is unmapped, and mapped again",
  }, {
    name: "memory-move-unseen",
    find: "if (result > 0 && result !== from)",
    replace: "if (false)",
    breaks: "A device writes where memory was before it was moved",
    it: "stays what it is when it is moved",
  }, {
    name: "memory-freed",
    find: "return hasPinned(machine, mm, range) ? 0 : CONTINUE;",
    replace: "keepUnneeded(machine, mm, range); return CONTINUE;",
    breaks: "What a device writes to memory that may be freed is lost",
    it: "stays what it is when it may be freed",
  }, {
    name: "memory-heap-unseen",
    find: "keepUnmapped(call.host.machine, mm, { start, end: heap.end });",
    replace: "start;",
    breaks: "A device reads what a heap has that shrank and grew again",
    it: "stays what it is when it is of a heap that shrinks",
  }]),
  ...faults("memory/leaving.ts", PROGRAM, [{
    name: "memory-cut-unseen",
    find: "end: Infinity };",
    replace: "end: 0 };",
    breaks: "A device reads zeros from a file that was cut off",
    it: "stays what it is when it is of a file that is cut off and gets holes",
  }]),
  ...faults("memory/leaving.ts", LARGE, [{
    name: "memory-part-is-hole",
    find: "end: Math.floor(to / pageSize) * pageSize,",
    replace: "end: Math.floor(to / PAGE_SIZE) * PAGE_SIZE,",
    breaks:
      "A device no longer sees a huge page of which a part becomes a hole",
    it: "is let go of where a whole one is removed or becomes a hole",
  }, {
    name: "memory-private-without-hole",
    find: "({ pageSize }) => pageSize > PAGE_SIZE);",
    replace: "() => false);",
    breaks: "A device sees a private huge page that became a hole",
    it: "goes from private mappings too where a whole one becomes a hole",
  }, {
    name: "memory-part-is-cut",
    find: "if (pageSize > PAGE_SIZE && size % pageSize !== 0) return NOTHING;",
    replace: "",
    breaks: "A file of huge pages that is not cut off loses what is pinned",
    it: "stays where a file cannot end",
  }, {
    name: "memory-part-unneeded",
    find: "const end = Math.floor(last / pageSize) * pageSize;",
    replace: "const end = last;",
    breaks: "A process loses a part of a huge page that it keeps",
    it: "is dropped from a process by whole ones",
  }]),
  ...faults("calls/process.ts", PROGRAM, [{
    name: "memory-stale-after-exec",
    find: "    this.releaseMemory();\n    this.identity",
    replace: "    this.identity",
    breaks: "A program is answered from the memory of the one before it",
    it: "stays what it is when it is a process's that runs another program",
  }]),
];
