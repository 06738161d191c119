// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of the page table in AMD's format, and of the mock's domain with it.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const PAGE_TABLE_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommu/amdv1/entry.ts", [{
    name: "amd-size-code",
    find: "  return frame + sizeOf(order - 1) - 1;",
    replace: "  return frame + sizeOf(order - 2) - 1;",
    breaks: "An entry's address tells half its size",
    killer: "kit_page_table.up_and_down",
  }, {
    name: "amd-single-item",
    find: "  if ((low & NEXT_LEVEL) === 0) return level * TABLE_ORDER;",
    replace: "  if ((low & NEXT_LEVEL) === 0) return 0;",
    breaks: "An entry of one item of a higher table has the size of a granule",
    killer: "kit_page_table.entry_sizes",
  }, {
    name: "amd-frame",
    find:
      "  return (low & NEXT_LEVEL) === 0 ? address : address - (sizeOf(order - 1) - 1);",
    replace: "  return address;",
    breaks: "The size of an entry counts as part of its address",
    killer: "kit_page_table.up_and_down",
  }, {
    name: "amd-index",
    find: ": Math.floor(granule / itemSize(level)) & (TABLE_ITEMS - 1);",
    replace: ": Math.floor(granule / itemSize(level)) & (TABLE_ITEMS - 2);",
    breaks: "Every other item of the higher tables is never used",
    killer: "kit_page_table.entry_sizes",
  }]),
  ...inFile("impl/iommu/amdv1/format.ts", [{
    name: "amd-largest",
    find: "      this.#best.fill(order, order);",
    replace: "      this.#best.fill(order, order + 1);",
    breaks: "An entry is only made where twice as much would fit",
    killer: "kit_page_table.entry_sizes",
  }, {
    name: "amd-length",
    find: "    ? 31 - Math.clz32(count)",
    replace: "    ? 32 - Math.clz32(count)",
    breaks: "An entry may be twice as long as the map",
    killer: "kit_page_table.up_and_down",
  }]),
  ...inFile("impl/iommu/amdv1/page_table.ts", [{
    name: "amd-cap",
    find: "          Math.min(cap, alignmentOf(at), lengthOrder(end - at)),",
    replace: "          Math.min(alignmentOf(at), lengthOrder(end - at)),",
    breaks: "An entry maps memory that is not aligned to its size",
    killer: "kit_page_table.apart",
  }, {
    name: "amd-alignment",
    find: "          Math.min(cap, alignmentOf(at), lengthOrder(end - at)),",
    replace: "          Math.min(cap, lengthOrder(end - at)),",
    breaks: "An entry begins at an IOVA that is not aligned to its size",
    killer: "kit_page_table.up_and_down",
  }, {
    name: "amd-rights",
    find: "    if ((prot & (IOMMU_READ | IOMMU_WRITE)) === 0) {",
    replace: "    if (false) {",
    breaks: "Memory is mapped that no device can reach",
    killer: "kit_vfio_compat.Ver1v2.map_dma_without_rights",
  }, {
    name: "amd-beyond",
    find: "    return at >= this.#granules ? undefined : this.#tree.find(at);",
    replace: "    return this.#tree.find(at);",
    breaks: "An IOVA behind the end of the table is looked up at its beginning",
    killer: "kit_dirty.mark_iova",
  }]),
  ...inFile("impl/iommu/amdv1/tree.ts", [{
    name: "amd-unmap-table",
    find: "      const isWhole = at === next - size && wanted === next;",
    replace: "      const isWhole = wanted === next;",
    breaks: "A table is freed of which a part was not unmapped",
    killer: "vfio_compat_mock_domain.Ver1v0.huge_map",
  }, {
    name: "amd-full-table",
    find:
      "      const isFull = isWhole && level === 1 && lower.live === TABLE_ITEMS;",
    replace: "      const isFull = level === 1 && lower.live === TABLE_ITEMS;",
    breaks: "All of a full table is unmapped with a part of it",
    killer: "kit_page_table.two_tables",
  }]),
  ...inFile("impl/iommu/amdv1/tree.ts", [{
    name: "amd-stale-table",
    find:
      "        const lower = this.#memory.alloc(isFilled && above - 1 === level);",
    replace: "        const lower = this.#memory.alloc(above - 1 === level);",
    breaks: "A table that is used again still has its old entries",
    killer: "kit_mock_domain.one_domain_hugepage.all_aligns",
  }]),
  ...inFile("impl/iommu/amdv1/page_table.ts", [{
    name: "amd-small",
    find: "    this.map(iova, paddr, size, prot, PAGE_SIZE);",
    replace: "    this.map(iova, paddr, size, prot);",
    breaks: "What was mapped page by page is unmapped as a whole",
    killer: "kit_page_table.small_pages",
  }, {
    name: "amd-set-dirty",
    find: "words[2 * indexOf(at, this.#tree.level)]! |= D;",
    replace: "words[2 * indexOf(at, 0)]! |= D;",
    breaks: "A write through a large entry marks another one",
    killer: "kit_page_table.entry_sizes",
  }, {
    name: "amd-no-clear",
    find: "    const clears = (flags & IOMMU_DIRTY_NO_CLEAR) === 0;",
    replace: "    const clears = true;",
    breaks: "NO_CLEAR clears",
    killer: "kit_dirty.no_clear",
  }]),
  ...inFile("impl/iommu/amdv1/walk.ts", [{
    name: "amd-entry-head",
    find: "  let index = head - head % entryItems(table, level, head);",
    replace: "  let index = head;",
    breaks: "A read that begins within an entry does not see who wrote before",
    killer: "kit_page_table.cut_entry",
  }, {
    name: "amd-entry-tail",
    find: "  const stop = tail - tail % items + items;",
    replace: "  const stop = tail + 1;",
    breaks: "A read that ends within an entry does not see who wrote behind",
    killer: "kit_page_table.cut_entry",
  }]),
  ...inFile("impl/iommu/amdv1/items.ts", [{
    name: "amd-frame-offset",
    find: "  return frameOf(low, high, order) + at % sizeOf(order);",
    replace: "  return frameOf(low, high, order);",
    breaks: "All of an entry translates like its first granule",
    killer: "kit_page_table.entry_sizes",
  }, {
    name: "amd-second-item",
    find:
      "      values[at] = value;\n      values[at + 1] = value;\n    }\n  } else {\n    for (let run",
    replace: "      values[at] = value;\n    }\n  } else {\n    for (let run",
    breaks: "Only the first half of a single page is mapped",
    killer: "kit_memory_limit.limit_4096.map",
  }, {
    name: "amd-next-entry",
    find: "    for (; at < end; at += 2, value += step) {",
    replace: "    for (; at < end; at += 2) {",
    breaks: "All entries of a map point to the first one's memory",
    killer: "kit_page_table.apart",
  }, {
    name: "amd-step-items",
    find:
      "      for (const stop = at + items; at < stop; at++) values[at] = value;",
    replace:
      "      for (const stop = at + items; at < stop; at++) if (at + 1 < stop) values[at] = value;",
    breaks: "An entry lacks its last item",
    killer: "kit_page_table.up_and_down",
  }, {
    name: "amd-read-break",
    find: "    if (!addRun(list, maxRuns, pfn, count)) break;",
    replace: "    addRun(list, maxRuns, pfn, count);",
    breaks: "Frames are lost where a batch is full",
    killer: "kit_memory_limit.limit_12.pin_and_unfill",
  }, {
    name: "amd-dirty-bits",
    find: "    while (at < end && (words[2 * at]! & bits) === 0) at++;",
    replace: "    at = end;",
    breaks: "No entry is dirty",
    killer: "kit_dirty.no_clear",
  }]),
  ...inFile("impl/iommu/amdv1/dirty_walk.ts", [{
    name: "amd-cut-start",
    find: "    const from = Math.max(at, this.#first);",
    replace: "    const from = at;",
    breaks: "A read reports what lies before its range",
    killer: "kit_page_table.cut_entry",
  }, {
    name: "amd-cut-end",
    find: "    const to = Math.min(at + size, this.#end);",
    replace: "    const to = at + size;",
    breaks: "A read writes behind the bits that were asked for",
    killer: "kit_page_table.cut_entry",
  }, {
    name: "amd-cut-clean",
    find: "      this.#report(from, to - from, 1);\n",
    replace:
      "      this.#report(from, to - from, 1);\n      if (this.#clears) makeClean(table, head, items);\n",
    breaks: "A read of a part makes all of an entry clean",
    killer: "kit_page_table.cut_entry",
  }, {
    name: "amd-one-dirty-item",
    find: "    const head = index - index % items;",
    replace: "    const head = index;",
    breaks: "An entry begins with the item that is dirty",
    killer: "kit_page_table.entry_sizes",
  }]),
  ...inFile("impl/mock/amd_domain.ts", [{
    name: "amd-huge-aperture",
    find: "      apertureStart: huge ? 0n : BigInt(MOCK_APERTURE_START),",
    replace: "      apertureStart: BigInt(MOCK_APERTURE_START),",
    breaks: "The table for huge pages begins at 16 MiB",
    killer: "kit_page_table.huge_table",
  }, {
    name: "amd-largest-page",
    find: "  { length: IOVA_BITS - 1 - Math.log2(MOCK_IO_PAGE_SIZE) },",
    replace: "  { length: IOVA_BITS - 2 - Math.log2(MOCK_IO_PAGE_SIZE) },",
    breaks: "There are no pages of 64 GiB",
    killer: "kit_vfio_compat.Ver1v2.get_info_errno",
  }, {
    name: "amd-count-given",
    find: "      given++;",
    replace:
      "      if (this.pageTable.lookup(Number(iova)) !== undefined) given++;",
    breaks: "DIRTY counts by whether the first IOVA is mapped",
    killer: "kit_dirty.mark_iova",
  }]),
  ...inFile("impl/lib/frame_list.ts", [{
    name: "frame-list-full",
    find: "    for (; i < end && run < maxRuns; i++) {",
    replace: "    for (; i < end && run <= maxRuns; i++) {",
    breaks: "A full batch takes one more run",
    killer: "iommufd_ioas.mock_domain.access_domain_destory",
    uapi: "6.12",
  }]),
];
