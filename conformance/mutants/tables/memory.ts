// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of process memory.
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
  }]),
  ...inFile("impl/kernel/simulated/mappings/user_pages.ts", [{
    name: "pin-write-only",
    find: "return vma.shared ? (vma.prot & PROT_WRITE) !== 0 : vma.prot !== 0;",
    replace: "return vma.shared && (vma.prot & PROT_WRITE) !== 0;",
    breaks: "Write-only memory cannot be pinned for reading",
    killer: "kit_user_memory.write_only",
  }, {
    name: "pin-write-only-untouched",
    find: "        if (!allowed) throw EFAULT;\n",
    replace: "",
    breaks: "Write-only memory is faulted in by a pin for reading",
    killer: "kit_user_memory.write_only",
  }, {
    name: "pin-write-only-remote",
    find: "FOLL_WRITE | FOLL_REMOTE)) !== 0) return false;",
    replace: "FOLL_WRITE)) !== 0) return false;",
    breaks: "Write-only memory of another process can be pinned",
    killer: "kit_user_memory.write_only_forked",
  }]),
  ...inFile("impl/kernel/simulated/mappings/address_space.ts", [{
    name: "populate-over-hole",
    find:
      "      if (vma.start > next) throw ENOMEM;\n      if ((vma.prot & access)",
    replace: "      if ((vma.prot & access)",
    breaks: "MADV_POPULATE_* goes on behind a hole",
    killer: "kit_user_memory.populate",
  }]),
];
