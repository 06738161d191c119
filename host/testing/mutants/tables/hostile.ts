// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in what devices do for hostile programs, and in their requests for pages.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const PAGES = [
  "impl/vfio/devices/page_requests_test.ts",
  "a device that asks for pages",
] as const;
const RANDOM = [
  "impl/vfio/devices/hostile_test.ts",
  "a device that reaches itself",
] as const;

const IOAT = [
  "impl/vfio/devices/ioat_test.ts",
  "an engine of I/OAT",
] as const;
const FUNCTIONS = [
  "impl/vfio/devices/sriov_test.ts",
  "a device with virtual functions",
] as const;

const DMA = [
  "impl/iommu/hardware/dma_test.ts",
  "the DMA of a device",
] as const;

/** Theirs. */
export const HOSTILE_MUTANTS: readonly HostMutant[] = [
  ...inFile("impl/iommu/hardware/page_requests.ts", [{
    name: "request-not-kept",
    find: "this.#waiting.set(grpid, undefined);",
    replace: "this.#waiting.delete(grpid);",
    breaks: "An answer of before a reset is taken for that of a later request",
    killer: [
      ...PAGES,
      "has so many requests at most, those of before a reset too",
    ],
  }, {
    name: "request-not-forgotten",
    find: "this.#waiting.set(grpid, undefined);",
    replace: "",
    breaks: "A command goes on that a reset has ended",
    killer: [
      ...PAGES,
      "forgets at a reset what it asked for, whose answer comes later",
    ],
  }, {
    name: "request-without-master",
    find: "!faults.every((fault) => fault.isMissing)",
    replace: "false",
    breaks: "A device asks for pages that may do no DMA",
    killer: [...PAGES, "asks for nothing while bus mastering is off"],
  }, {
    name: "request-refused-granted",
    find: "answered?.(code === IOMMU_PAGE_RESP_SUCCESS);",
    replace: "answered?.(true);",
    breaks: "A device tries again what was refused",
    killer: [...PAGES, "fails where the answer is that the page cannot be had"],
  }, {
    name: "request-access",
    find: "access === IOMMU_WRITE",
    replace: "access !== IOMMU_WRITE",
    breaks: "A device that wants to write asks for reading",
    killer: [
      ...PAGES,
      "asks for either end of a copy, for what it wants to do there",
    ],
  }, {
    name: "request-without-pasid",
    find: "(pasid === IOMMU_NO_PASID ? 0 : ofPasid)",
    replace: "0",
    breaks: "A request for a PASID's page goes to the device's own domain",
    killer: [...PAGES, "asks with its PASID, whose domain answers"],
  }]),
  ...inFile("impl/pci/devices/copy_engine.ts", [{
    name: "copy-from-the-start",
    find: "transfer.done = iova - begin;",
    replace: "transfer.done = 0;",
    breaks: "A command that waited begins again",
    killer: [...PAGES, "waits for the answer, and goes on where it was"],
  }, {
    name: "copy-while-waiting",
    find: "if (this.#waiting !== undefined) {",
    replace: "if (false) {",
    breaks: "A second command begins while one waits",
    killer: [...PAGES, "takes no other command while it waits"],
  }]),
  ...inFile("impl/pci/iommu.ts", [{
    name: "faults-without-requests",
    find: "if (!pci.hasPageRequests) {",
    replace: "if (false) {",
    breaks: "A device that cannot ask for pages is attached for that",
    killer: [
      PAGES[0],
      "a domain that answers page requests",
      "is for devices that make them: ENODEV",
    ],
  }]),
  ...inFile("impl/pci/bar.ts", [{
    name: "register-tells-itself",
    find: "if (this.#acts) return;",
    replace: "",
    breaks: "A device that writes to its own registers never comes to an end",
    killer: [...RANDOM, "by DMA, and its registers take no notice of that"],
  }]),
  ...inFile("impl/vfio/pci/signal.ts", [{
    name: "eventfd-wakes-itself",
    find: "if (this.#isActing || ",
    replace: "if (",
    breaks: "An eventfd that unmasks the interrupt that it is of never ends",
    killer: [
      ...RANDOM,
      "by an eventfd that lets its legacy interrupt through, once",
    ],
  }]),
  ...inFile("impl/vfio/vfio.ts", [{
    name: "group-stays-in-container",
    find: "    group.remove();\n",
    replace: "",
    breaks: "A group without devices is in a container, which cannot let it go",
    killer: [
      ...FUNCTIONS,
      "takes one out of a container whose group's file is open, which is of no use then",
    ],
  }]),
  ...inFile("impl/vfio/device_file.ts", [{
    name: "open-file-is-nothing",
    find: "    device.files++;\n",
    replace: "",
    breaks: "A device goes away whose file is open",
    killer: [
      ...FUNCTIONS,
      "cannot take one away whose file is open, bound or not",
    ],
  }]),
  ...inFile("impl/pci/devices/ioat.ts", [{
    name: "ioat-halted-goes",
    find: 'if (registers.get("CHANSTS") % 8 === STATUS.halted) return;',
    replace: "",
    breaks: "A channel that has stopped goes on before it is reset",
    killer: [...IOAT, "stops at a length that is none, until it is reset"],
  }, {
    name: "ioat-write-fault",
    find: "throw new ChannelError(writes ? ERROR.write : bit);",
    replace: "throw new ChannelError(bit);",
    breaks: "A target that is blocked is told as a source",
    killer: [...IOAT, "stops at a target that is none, until it is reset"],
  }, {
    name: "ioat-length",
    find: "if (size > 2 ** XFERCAP) throw new ChannelError(ERROR.length);",
    replace: "",
    breaks: "A descriptor copies as much as it likes",
    killer: [...IOAT, "stops at a length that is none, until it is reset"],
  }]),
  ...inFile("impl/iommu/hardware/dma.ts", [{
    name: "dma-whole-pages",
    find: "Math.min(domain!.pageSizes[0] ?? PAGE_SIZE, PAGE_SIZE)",
    replace: "PAGE_SIZE",
    breaks: "DMA goes on behind half a page as if the IOMMU had whole ones",
    killer: [
      ...DMA,
      "goes where its domain says, by pieces of the domain's smallest page",
    ],
  }, {
    name: "dma-blocked-untold",
    find: "domain?.blocked(this.#dev, fault);",
    replace: "return fault;",
    breaks: "A driver is not told that DMA was blocked",
    killer: [
      ...DMA,
      "stops where it is blocked, tells what it did not reach, and the domain",
    ],
  }]),
  ...inFile("impl/iommu/device.ts", [{
    name: "dma-without-pasid",
    find: "if (pasid === IOMMU_NO_PASID) return this.group",
    replace: "return this.group",
    breaks: "DMA with a PASID goes where that without goes",
    killer: [...DMA, "has a domain for each PASID"],
  }]),
  ...inFile("impl/iommu/domain.ts", [{
    name: "dma-identity-unpinned",
    find: "pfn < frames.count && frames.pins(pfn) > 0",
    replace: "pfn < frames.count",
    breaks: "DMA without translation reaches memory that nobody pinned",
    killer: [
      ...DMA,
      "is blocked where a domain maps nothing, and what is nobody's in one of identity",
    ],
  }]),
  ...inFile("impl/inspect/pci.ts", [{
    name: "inspect-dma-ranges",
    find: "paddr - last.paddr === last.size;",
    replace: "true;",
    breaks: "A drawing shows memory as one range that is scattered",
    killer: [
      "impl/inspect/pci_test.ts",
      "a drawing of a PCI device",
      "shows who has it, what it has and what it reaches",
    ],
  }]),
];
