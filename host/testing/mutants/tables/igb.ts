// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of the 82576 that the drivers of the kernel's selftests do not see.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const TEST = "impl/vfio/devices/igb_test.ts";
const DRIVER = "an 82576's driver";
const FRAMES = "frames of an 82576";
const FOLDER = "impl/pci/devices/igb";

const ANSWERS = "host/clients/answers_test.ts";
const REAL = "the answers of real Linux";

/** Theirs. */
export const IGB_MUTANTS: readonly HostMutant[] = [
  ...inFile("host/calls/ioctl.ts", [{
    name: "answers-terminal",
    find: '    { argument: 1, test: "equals", value: TCGETS },\n',
    replace: "",
    breaks: "A device that is not bound says that it is no terminal",
    killer: [ANSWERS, REAL, "are given by a device's own file"],
  }]),
  ...inFile("host/calls/descriptor.ts", [{
    name: "answers-seek",
    find: "call.process.lseek(call.int(0), offset, call.int(2))",
    replace: "-29",
    breaks: "A DMA buffer does not tell how long it is",
    killer: [ANSWERS, REAL, "are given by a device's own file"],
  }]),
  ...inFile("impl/vfio/device_file.ts", [{
    name: "answers-fdinfo",
    find: 'if (!this.#kernel.revision.vfio.hasFdinfo) return "";',
    replace: 'return "";',
    breaks: "/proc does not say which device a descriptor is of",
    killer: [ANSWERS, REAL, "are given by a group in a container of type1"],
  }]),
  ...inFile("impl/pci/bar.ts", [{
    name: "igb-reset-forgets",
    find: "for (const { at, bytes } of newer) this.write(at, bytes);",
    replace: "newer.length = 0;",
    breaks: "A reset that is seen late takes back what the driver stored since",
    killer: [
      TEST,
      DRIVER,
      "keeps what it stores behind a reset, if one look finds both",
    ],
  }]),
  ...inFile(`${FOLDER}/nvm.ts`, [{
    name: "igb-checksum",
    find: "CHECKSUM.sum - sum",
    replace: "CHECKSUM.sum",
    breaks: "The checksum of the EEPROM is wrong",
    killer: [
      TEST,
      DRIVER,
      "reads an EEPROM whose checksum is right, and its address",
    ],
  }]),
  ...inFile(`${FOLDER}/phy.ts`, [{
    name: "igb-phy-pages",
    find: "return page & ~0x1f | register;",
    replace: "return register;",
    breaks: "All pages of the PHY's registers are one",
    killer: [TEST, DRIVER, "finds a PHY that negotiates at once"],
  }]),
  ...inFile(`${FOLDER}/igb.ts`, [{
    name: "igb-first-vector",
    find: "this.#causeOf(queue, 8)",
    replace: "this.#causeOf(queue, 0)",
    breaks: "What was sent interrupts by the vector of what is received",
    killer: [TEST, FRAMES, "interrupt by the vectors of their queues"],
  }]),
  ...inFile(`${FOLDER}/rings.ts`, [{
    name: "igb-report-all",
    find: "if (!isSent || (command & SEND.report) === 0) continue;",
    replace: "if (!isSent) continue;",
    breaks: "Frames are reported that the driver does not ask about",
    killer: [
      TEST,
      FRAMES,
      "come back, and are reported where that is wanted",
    ],
  }, {
    name: "igb-report-lost",
    find: "if (!isSent || (command & SEND.report) === 0) continue;",
    replace: "if ((command & SEND.report) === 0) continue;",
    breaks: "A frame that could not be fetched is reported as sent",
    killer: [
      TEST,
      FRAMES,
      "are lost where memory is not mapped, and the next one is not",
    ],
  }, {
    name: "igb-context-is-data",
    find: "const isSent = isContext || this.#add(descriptor, command);",
    replace: "const isSent = this.#add(descriptor, command);",
    breaks: "What describes a frame is taken for a part of it",
    killer: [
      TEST,
      FRAMES,
      "lie in several buffers, behind what only describes them",
    ],
  }, {
    name: "igb-buffer-full",
    find: "if (this.#free < needed) {",
    replace: "if (this.#free < 1) {",
    breaks: "A long frame is put into buffers that are the driver's",
    killer: [
      TEST,
      FRAMES,
      "are missed where there is no buffer, or not enough",
    ],
  }]),
];
