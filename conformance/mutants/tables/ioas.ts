// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of address spaces: what is mapped where, and what is refused.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const IOAS_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommufd/ioas/ioas.ts", [{
    name: "map-reserved-field",
    find: "  if (cmd.reserved !== 0) throw RESERVED_FIELD;\n  if (iova",
    replace: "  if (iova",
    breaks: "MAP takes a reserved field that is not zero",
    killer: "kit_map.mock_domain.map_errno",
  }, {
    name: "map-length-limit",
    find:
      "  if (length >= U64_MAX) throw TOO_LONG;\n  if (lacksProt(ctx, flags)) throw NO_RIGHTS;\n\n  const ioas",
    replace: "  if (lacksProt(ctx, flags)) throw NO_RIGHTS;\n\n  const ioas",
    breaks: "MAP takes a length of 2^64-1",
    killer: "kit_map.mock_domain.map_errno",
  }, {
    name: "map-errno-order",
    find: "if (lacksProt(ctx, flags)) throw NO_RIGHTS;\n\n" +
      "  const ioas = ctx.objects.get(cmd.ioasId, Ioas);\n",
    replace: "const ioas = ctx.objects.get(cmd.ioasId, Ioas);\n" +
      "  if (lacksProt(ctx, flags)) throw NO_RIGHTS;\n",
    breaks: "MAP looks for the IOAS before it looks at the rights",
    killer: "kit_map.mock_domain.map_without_rights",
  }, {
    name: "unmap-nothing",
    find: "      if (result.unmapped === 0n) throw NOTHING_MAPPED;\n",
    replace: "",
    breaks: "UNMAP of a range where nothing is mapped succeeds",
    killer: "kit_map.mock_domain.unmap_errno",
  }, {
    name: "ranges-emsgsize",
    find: "    if (cmd.numIovas > capacity) throw ARRAY_TOO_SHORT;\n",
    replace: "",
    breaks: "IOVA_RANGES does not say that the array was too short",
    killer: "kit_ranges.mock_domain.iova_ranges_errno",
  }, {
    name: "ranges-capacity",
    find: "if (count < capacity) {",
    replace: "if (count <= capacity) {",
    breaks: "IOVA_RANGES writes one range beyond the array",
    killer: "kit_ranges.mock_domain.iova_ranges_errno",
  }, {
    name: "allow-one-byte",
    find: "if (start >= last) {",
    replace: "if (start > last) {",
    breaks: "ALLOW_IOVAS takes a range of one byte",
    killer: "kit_ranges.mock_domain.allow_iovas_errno",
  }, {
    name: "alloc-answer-unwind",
    find: "ctx.objects.orDestroy(ioas, () => {",
    replace: "[ioas].forEach(() => {",
    breaks: "IOAS_ALLOC keeps the id when the answer cannot be written",
    killer: "kit_commands.reply_efault",
  }]),
  ...inFile("impl/iommufd/ioas/io_pagetable.ts", [{
    name: "unmap-cuts-tail",
    find: " ||\n          area === end && area.lastIova > last\n",
    replace: "\n",
    breaks: "UNMAP removes an area that sticks out of the range",
    killer: "iommufd_ioas.no_domain.area",
  }, {
    name: "reserve-allowed",
    find: " || this.allowed.first(start, last)",
    replace: "",
    breaks: "A device may reserve what user space was allowed",
    killer: "iommufd_ioas.mock_domain.area_allowed",
  }, {
    name: "map-odd-memory",
    find:
      "    if (pageOffset & BigInt(this.iovaAlignment - 1)) throw MISALIGNED_MEMORY;\n",
    replace: "",
    breaks: "MAP takes memory that is not aligned",
    killer: "iommufd_ioas.no_domain.ioas_align_change",
  }, {
    name: "copy-gains-write",
    find: "if (prot & IOMMU_WRITE && !pages.writable) {",
    replace: "if (false) {",
    breaks: "COPY makes memory writeable that was mapped for reading",
    killer: "kit_copy.copy_rights",
  }, {
    name: "chosen-iova-freed-area",
    find: "cut(first, removed);\n        this.searched.clear();\n",
    replace: "cut(first, removed);\n",
    breaks: "Choosing an IOVA does not see where an area was unmapped",
    killer: "kit_map.mock_domain.chosen_iova",
  }, {
    name: "chosen-iova-freed-range",
    find: "    this.reserved.removeOwned(owner);\n    this.searched.clear();\n",
    replace: "    this.reserved.removeOwned(owner);\n",
    breaks: "Choosing an IOVA does not see that a range is reserved no more",
    killer: "kit_chosen_iova.map.reserved_no_more",
  }, {
    name: "chosen-iova-newly-allowed",
    find: "    this.allowed = allowed;\n    this.searched.clear();\n",
    replace: "    this.allowed = allowed;\n",
    breaks: "Choosing an IOVA keeps to the ranges that were allowed before",
    killer: "kit_ranges.mock_domain.allow_iovas_choice",
  }, {
    name: "vfio-account-mode",
    find: "accountMode === ACCOUNT_MM && pages.accountMode === ACCOUNT_USER",
    replace: "accountMode === ACCOUNT_MM && false",
    breaks: "A context that charges processes charges users",
    killer: "kit_rlimit.mm.map_limit",
  }]),
  ...inFile("impl/iommufd/ioas/iova_alloc.ts", [{
    name: "chosen-iova-last",
    find: "const LAST_IOVA = U64_MAX - BigInt(PAGE_SIZE);",
    replace: "const LAST_IOVA = U64_MAX;",
    breaks: "The kernel chooses the last page of the IOVA space",
    killer: "kit_map.mock_domain.chosen_iova_end",
  }, {
    name: "chosen-iova-first-place",
    find:
      "const first = placeIn(span.start, last, length, alignment, pageOffset);",
    replace: "const first = span.start;",
    breaks: "Choosing an IOVA looks below the first place of an allowed range",
    killer: "kit_chosen_iova.map.range_without_place",
  }, {
    name: "chosen-iova-area-holes",
    find: "revision.ioas.clipsAreaHoles",
    replace: "revision.ioas.capsIovaAlignment",
    breaks: "Each hole between areas counts from its own first place on",
    killer: "kit_chosen_iova.copy.hole_reserved_in_part",
  }, {
    name: "chosen-iova-alignment",
    find: "if (natural < alignment) alignment = natural;",
    replace: "if (natural > alignment) alignment = natural;",
    breaks: "A chosen IOVA is aligned more than the memory",
    killer: "kit_map.no_domain.chosen_iova_full",
  }, {
    name: "fixed-errno-order",
    find: "  const reserved = iopt.reserved.first(iova, last);\n",
    replace:
      "  if (iopt.areas.first(iova, last)) throw revision.ioas.areaExistsErrno;\n" +
      "  const reserved = iopt.reserved.first(iova, last);\n",
    breaks: "A fixed map finds what is taken before what is reserved",
    killer: "kit_map.mock_domain.map_fixed_errno",
  }, {
    name: "fixed-last-iova",
    find: "const last = lastIova(iova, length);\n  const reserved",
    replace: "const last = lastIova(iova, length + 1n);\n  const reserved",
    breaks: "A fixed map must not touch the byte behind it",
    killer: "kit_map.mock_domain.map_fixed_errno",
  }, {
    name: "alloc-half",
    find: "length >= U64_MAX / 2n",
    replace: "length > U64_MAX / 2n",
    breaks: "A chosen IOVA is had for 2^63-1 bytes",
    killer: "kit_map.no_domain.chosen_iova_errno",
  }, {
    name: "alloc-after-longer",
    find: "known.length <= length",
    replace: "known.length >= length",
    breaks: "A short map looks for its place from that of a longer one on",
    killer: "kit_chosen_iova.map.short_after_long",
  }]),
  ...inFile("impl/iommufd/pages/area.ts", [{
    name: "contiguous-end",
    find: "this.#lastIova <= this.area.lastIova;",
    replace: "this.#lastIova < this.area.lastIova;",
    breaks: "A range that ends with an area is not mapped throughout",
    killer: "iommufd_ioas.no_domain.copy_area",
  }, {
    name: "area-last-page",
    find: "indexOf(startByte + length - 1n)",
    replace: "indexOf(startByte + length)",
    breaks: "An area has one page too many",
    killer: "iommufd_ioas.mock_domain.area",
  }, {
    name: "align-page-offset",
    find: "return this.iopt.areas.alignmentBits(this.row) | this.pageOffset;",
    replace: "return this.iopt.areas.alignmentBits(this.row);",
    breaks: "A domain is taken although memory is not aligned",
    killer: "iommufd_ioas.no_domain.ioas_align_change",
  }]),
  ...inFile("impl/lib/row_tree.ts", [{
    name: "unmap-counts-last",
    find: "      low += words[at + LAST]!",
    replace: "      low = words[at + LAST]!",
    breaks: "UNMAP counts the last area only",
    killer: "iommufd_ioas.mock_domain.unmap_fully_contained_areas",
  }, {
    name: "unmap-loses-behind",
    find: "    this.#merge(before, after, 0, RIGHT);\n",
    replace: "    this.#merge(before, 0, 0, RIGHT);\n",
    breaks: "UNMAP of several areas loses those behind them",
    killer: "kit_viommu.locked",
  }, {
    name: "unmap-loses-before",
    find: "    this.#merge(before, after, 0, RIGHT);\n",
    replace: "    this.#merge(0, after, 0, RIGHT);\n",
    breaks: "UNMAP of several areas loses those before them",
    killer: "kit_fail_nth.copy",
  }]),
  ...inFile("impl/iommufd/ioas/alignment.ts", [{
    name: "alignment-of-all",
    find:
      "    if (users > 0) this.#users.set(alignment, users);\n    else this.#users.delete(alignment);",
    replace: "    this.#users.delete(alignment);",
    breaks: "The alignment goes with the first of two domains that need it",
    killer: "kit_hwpt.alignment",
  }]),
  ...inFile("impl/iommufd/ioas/large_pages.ts", [{
    name: "huge-pages-in-use",
    find: "if (iopt.domains.length > 0 && !iopt.areas.isEmpty) {",
    replace: "if (false) {",
    breaks: "Large pages can be turned off while they are in use",
    killer: "kit_ranges.mock_domain.huge_pages_with_areas",
  }]),
  ...inFile("impl/iommufd/ioas/accesses.ts", [{
    name: "access-refused-unwind",
    find: "    accesses.erase(id);\n    throw error;",
    replace: "    throw error;",
    breaks: "An access that was refused stays known",
    killer: "kit_access.mock_domain.pin_alignment",
  }]),
  ...inFile("impl/iommufd/ioas/domains.ts", [{
    name: "aperture-end",
    find: "iopt.reserveIova(domain.apertureEnd + 1n,",
    replace: "iopt.reserveIova(domain.apertureEnd,",
    breaks: "The last IOVA of a domain is reserved",
    killer: "kit_ranges.mock_domain.iova_ranges_contents",
  }, {
    name: "domain-in-root",
    find: "  iopt.domainInRoot = domains.length > 0;\n",
    replace: "",
    breaks: "A domain that stays alone keeps the node that it shared",
    killer: "kit_fail_nth.nested",
  }, {
    name: "domain-refused-unwind",
    find: "    iopt.removeReservedIova(domain);\n" +
      "    throw error;",
    replace: "    throw error;",
    breaks: "A domain that was refused keeps its ranges reserved",
    killer: "kit_mock_domain.one_domain.area_outside_aperture",
  }, {
    name: "storage-not-handed-on",
    find:
      "      if (area.storageDomain === domain) area.storageDomain = remaining;\n",
    replace: "",
    breaks: "Frames are looked up in a domain that is gone",
    killer: "kit_hwpt.replace_shared",
  }]),
  ...inFile("impl/iommufd/ioas/reserved.ts", [{
    name: "reserved-owner",
    find: "    this.owner = owner;",
    replace: "    this.owner = null;",
    breaks: "Nobody knows whose a reserved range is",
    killer: "kit_hwpt.fill_errno",
  }]),
  ...inFile("impl/iommufd/ioas/split.ts", [{
    name: "split-misaligned",
    find: "if (rightStart & mask || area.startByte(rightStart) & mask) {",
    replace: "if (false) {",
    breaks: "An area is cut where the domain cannot",
    killer: "kit_vfio_compat.Ver1v0.unmap_dma_cut",
  }, {
    name: "split-wrong-page",
    find: "startByte: area.startByte(from)",
    replace: "startByte: area.startByte(start)",
    breaks: "The right half of an area has the left half's memory",
    killer: "kit_vfio_compat.Ver1v0.unmap_dma_under_pin",
  }, {
    name: "split-pinned-area",
    find: "if (area.numAccesses > 0) {",
    replace: "if (area.numAccesses > 1) {",
    breaks: "An area is cut although an access uses it",
    killer: "kit_vfio_compat.Ver1v0.unmap_dma_under_pin",
  }, {
    name: "split-rights",
    find: "new IoptArea(iopt, slices[i]!, prot)",
    replace: "new IoptArea(iopt, slices[i]!, prot | i * 3)",
    breaks: "The second part of an area that is split has all rights",
    killer: "kit_vfio_compat.Ver1v0.unmap_dma_rights",
  }]),
  ...inFile("impl/iommufd/option.ts", [{
    name: "option-errno-order",
    find: "      if (!process.capable(CAP_SYS_RESOURCE)) {\n",
    replace: "      if (!ctx.objects.isEmpty) throw EBUSY;\n" +
      "      if (!process.capable(CAP_SYS_RESOURCE)) {\n",
    breaks: "RLIMIT_MODE looks at the objects before the privilege",
    killer: "kit_rlimit_mode.needs_capability",
  }, {
    name: "option-busy",
    find: "if (!ctx.objects.isEmpty) {",
    replace: "if (false) {",
    breaks: "Who is charged can be chosen while something is charged",
    killer: "kit_rlimit_mode.objects_busy",
  }, {
    name: "huge-pages-refused",
    find: "        if (cmd.val64 > 1n) throw NOT_A_BIT;\n" +
      "        if (cmd.val64 === 0n) disable",
    replace: "        if (cmd.val64 !== 1n) disableLargePages(ioas.iopt);\n" +
      "        if (cmd.val64 > 1n) throw NOT_A_BIT;\n" +
      "        if (cmd.val64 === 0n) disable",
    breaks: "A SET of HUGE_PAGES that is refused turns them off",
    killer: "kit_ranges.no_domain.option_kept",
  }]),
  ...inFile("impl/iommufd/ioas/syz_iova.ts", [{
    name: "syz-offset",
    find: "area.iova + (syz >> 32n)",
    replace: "area.iova",
    breaks: "The offset in a syz IOVA does not count",
    killer: "kit_test_ops.syz_iova",
  }]),
  ...inFile("impl/iommufd/noiommu/get_pa.ts", [{
    name: "get-pa-no-length",
    find: "  if (cmd.length === 0n) throw NO_LENGTH;\n",
    replace: "",
    breaks: "GET_PA takes a range of no bytes",
    killer: "kit_noiommu.get_pa_errno",
  }]),
];
