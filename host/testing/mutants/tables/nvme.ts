// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of the NVMe drive, and of what is behind it.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const FOLDER = "impl/pci/devices/nvme";
const DATA = ["impl/vfio/devices/nvme_test.ts", "an NVMe drive"] as const;
const ADMIN = [
  "impl/vfio/devices/nvme_admin_test.ts",
  "the admin queue of an NVMe drive",
] as const;
const MEMORY = [
  `${FOLDER}/storage_test.ts`,
  "memory behind a drive",
] as const;
const FILE = ["host/command/storage_test.ts", "a file behind a drive"] as const;

/** Theirs. */
export const NVME_MUTANTS: readonly HostMutant[] = [
  ...inFile(`${FOLDER}/data.ts`, [{
    name: "nvme-runs",
    find: "if (page !== iova + end - from) {",
    replace: "if (true) {",
    breaks: "Each page is copied by itself",
    killer: [...DATA, "moves pages that follow each other at once"],
  }, {
    name: "nvme-run-of-others",
    find: "if (page !== iova + end - from) {",
    replace: "if (false) {",
    breaks: "Data go to pages that were not named",
    killer: [...DATA, "goes on in the next list where one ends"],
  }, {
    name: "nvme-page-offset",
    find:
      "      if (page % pageSize !== 0) throw new NvmeError(STATUS.invalidPrpOffset);\n",
    replace: "",
    breaks: "A page may begin anywhere",
    killer: [...DATA, "refuses commands as the specification says"],
  }, {
    name: "nvme-list-without-end",
    find: "if (list % this.pageSize !== 0) {",
    replace: "if (false) {",
    breaks: "A list that is its own next list is read for ever",
    killer: [...DATA, "follows a list only to where whole pages are"],
  }, {
    name: "nvme-too-long",
    find:
      "  if (length > MAX_TRANSFER) throw new NvmeError(STATUS.invalidField);\n",
    replace: "",
    breaks: "A command may have any length",
    killer: [...DATA, "refuses commands as the specification says"],
  }]),
  ...inFile(`${FOLDER}/commands.ts`, [{
    name: "nvme-retry",
    find: "(PASSING.has(status) ? 0 : DO_NOT_RETRY)",
    replace: "0",
    breaks: "Drivers try again what cannot go",
    killer: [...DATA, "says what may go another time"],
  }]),
  ...inFile(`${FOLDER}/io.ts`, [{
    name: "nvme-range",
    find: "if (offset + length > size) throw",
    replace: "if (offset > size) throw",
    breaks: "A read goes beyond the end",
    killer: [...DATA, "refuses commands as the specification says"],
  }, {
    name: "nvme-read-only",
    find: "if (storage.isReadOnly) throw",
    replace: "if (false) throw",
    breaks: "What is read-only is written",
    killer: [...DATA, "lets nobody write to what is read-only"],
  }, {
    name: "nvme-forced",
    find: "if (isForced || !features.hasWriteCache)",
    replace: "if (!features.hasWriteCache)",
    breaks: "A forced write waits for a flush",
    killer: [...DATA, "flushes what is forced, and all without a cache"],
  }, {
    name: "nvme-no-cache",
    find: "if (isForced || !features.hasWriteCache)",
    replace: "if (isForced)",
    breaks: "Writes wait for a flush when the cache is off",
    killer: [...DATA, "flushes what is forced, and all without a cache"],
  }, {
    name: "nvme-compare",
    find: "if (wanted.some((byte, i) => byte !== bytes[i])) {",
    replace: "if (wanted[0] !== bytes[0]) {",
    breaks: "Blocks that differ compare as equal",
    killer: [...DATA, "compares"],
  }, {
    name: "nvme-keeps-deallocated",
    find: "if ((command.word(11) & DEALLOCATE) === 0) return;",
    replace: "",
    breaks: "Blocks are forgotten that nobody said",
    killer: [...DATA, "flushes, writes zeroes and forgets blocks"],
  }]),
  ...inFile(`${FOLDER}/nvme.ts`, [{
    name: "nvme-full-queue",
    find: "const count = Math.min(roomOf(completions), end - queue.head);",
    replace: "const count = end - queue.head;",
    breaks: "Answers are written over others",
    killer: [...DATA, "waits for room for its answers"],
  }, {
    name: "nvme-queue-lost",
    find: "if (!(error instanceof DmaFault)) throw error;\n      this",
    replace: "return;\n      this",
    breaks: "A driver waits for ever for a queue that is not reached",
    killer: [
      ...DATA,
      "fails where a queue cannot be reached, until it is turned off",
    ],
  }, {
    name: "nvme-shutdown",
    find: "      flushAll(this.namespaces);\n",
    replace: "",
    breaks: "What was written is lost when the drive is shut down",
    killer: [...DATA, "flushes what is forced, and all without a cache"],
  }, {
    name: "nvme-configuration",
    find: "if (pageShift > MAX_PAGE_SHIFT || (config & CC.commandSet) !== 0) {",
    replace: "if (false) {",
    breaks: "The drive is on with a configuration that it has not",
    killer: [...DATA, "fails with a configuration that it has not"],
  }, {
    name: "nvme-flags",
    find: "if (command.flags !== 0) throw new NvmeError(STATUS.invalidField);",
    replace: "",
    breaks: "A command with a scatter gather list is taken for one with pages",
    killer: [...DATA, "refuses commands as the specification says"],
  }]),
  ...inFile(`${FOLDER}/queues.ts`, [{
    name: "nvme-old-doorbell",
    find: "    this.#silence(2 * ring.id);\n",
    replace: "",
    breaks: "The first command of a new queue is not seen",
    killer: [...DATA, "hears the first ring of a queue that there was before"],
  }, {
    name: "nvme-queue-in-use",
    find: "submissions.some((queue) => queue?.completions.id === id)",
    replace: "submissions.some(() => false)",
    breaks: "Commands are answered into a queue that is deleted",
    killer: [...ADMIN, "refuses commands as the specification says"],
  }, {
    name: "nvme-queue-twice",
    find: " || queues[id] !== undefined) {",
    replace: ") {",
    breaks: "A queue is lost when there is a second with its number",
    killer: [...ADMIN, "refuses commands as the specification says"],
  }]),
  ...inFile(`${FOLDER}/features.ts`, [{
    name: "nvme-features-stay",
    find: "    this.#values.clear();\n",
    replace: "",
    breaks: "Features outlive a reset",
    killer: [...ADMIN, "has features"],
  }, {
    name: "nvme-late-queues",
    find:
      "  if (queuesInUse) throw new NvmeError(STATUS.commandSequenceError);\n",
    replace: "",
    breaks: "A driver may ask for queues when it has them",
    killer: [
      ...ADMIN,
      "does not ask for a number of queues when there are some",
    ],
  }]),
  ...inFile(`${FOLDER}/log_pages.ts`, [{
    name: "nvme-log-grows",
    find:
      "    this.#errors.length = Math.min(this.#errors.length, MAX_ERRORS);\n",
    replace: "",
    breaks: "The log grows with each error",
    killer: [...ADMIN, "logs errors, the newest first"],
  }]),
  ...inFile(`${FOLDER}/async_events.ts`, [{
    name: "nvme-events-flood",
    find: "      this.#unread.add(event >>> 16);\n",
    replace: "",
    breaks: "The same event is told again before its log is read",
    killer: [...ADMIN, "tells of a wild doorbell, once until the log is read"],
  }, {
    name: "nvme-too-many-events",
    find: "if (this.#waiting.length === MAX_ASYNC_EVENTS) {",
    replace: "if (false) {",
    breaks: "Any number of commands may wait for events",
    killer: [...ADMIN, "answers no event that is waited for, and takes four"],
  }]),
  ...inFile(`${FOLDER}/storage.ts`, [{
    name: "nvme-copies",
    find: "return chunk.subarray(at, at + length);",
    replace: "return chunk.slice(at, at + length);",
    breaks: "What is read is copied twice",
    killer: [...MEMORY, "moves what lies in one chunk without a copy"],
  }, {
    name: "nvme-chunk-forgotten",
    find: "else if (from < to) chunk.fill(0, from, to);",
    replace: "",
    breaks: "Zeroes are written only where they are many",
    killer: [...MEMORY, "is zero, and keeps what is written across chunks"],
  }]),
  ...inFile("host/command/storage.ts", [{
    name: "nvme-file-shorter",
    find: `if (count === null) throw new Error("The file became shorter");`,
    replace: "if (count === null) break;",
    breaks: "What is behind the end of a file is read as what was there before",
    killer: [...FILE, "fails where it became shorter"],
  }, {
    name: "nvme-file-zeroes",
    find: "(bytes) => bytes.fill(0)",
    replace: "() => {}",
    breaks: "Zeroes in a file are what was read last",
    killer: [...FILE, "has what is written, and what it had"],
  }]),
];
