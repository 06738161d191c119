// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of the selftest module, of the mock driver and of the IOMMU core.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const MOCK_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/uapi/ioctls.ts", [{
    name: "test-op-limit",
    find: "return op && existsIn(name, op.op) ? op : undefined;",
    replace: "return op;",
    breaks: "There are test operations that came later",
    killer: "kit_commands.test_op_range",
    uapi: "v3",
  }]),
  ...inFile("impl/iommufd/selftest/selftest.ts", [{
    name: "test-view",
    find: "const cmd = layout.at(ucmd.bytes);",
    replace: "const cmd = layout.at(ucmd.bytes.slice());",
    breaks: "A test operation looks at arguments that nobody gave",
    killer: "kit_test_ops.check_refs",
  }, {
    name: "memory-limit-least",
    find: "limit < BATCH_ELEMENT_SIZE",
    replace: "limit <= BATCH_ELEMENT_SIZE",
    breaks: "SET_TEMP_MEMORY_LIMIT refuses the smallest limit",
    killer: "kit_memory_limit.limit_12.smallest_limit",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_access.ts", [{
    name: "unmap-callback-edge",
    find: "let range = this.#ranges.first(iova, last);",
    replace: "let range = this.#ranges.first(iova + 1n, last);",
    breaks: "A pin that ends with the first byte of a range is not taken back",
    killer: "kit_access.mock_domain.unmap_drops_edge",
  }, {
    name: "access-pages-compare",
    find: "if (process.mm.userPage(address) !== pages[i]) {",
    replace: "if (false) {",
    breaks: "ACCESS_PAGES does not look at the pages",
    killer: "kit_access.mock_domain.pin_errno",
  }, {
    name: "access-needs-pin-flag",
    find: "if (kernel.revision.access.needsPinPages && !file.pins) {",
    replace: "if (false) {",
    breaks: "An access pins without having said that it would",
    killer: "kit_access.mock_domain.pin_errno",
  }, {
    name: "access-pages-unwind",
    find: "      access.unpinPages(iova, length);\n      throw error;",
    replace: "      throw error;",
    breaks: "ACCESS_PAGES keeps the pins when the pages are others",
    killer: "kit_access.mock_domain.pin_errno",
  }, {
    name: "access-pages-answer",
    find: "    file.removeItem(cmd.outAccessPagesId);\n    throw error;",
    replace: "    throw error;",
    breaks: "ACCESS_PAGES keeps its pin when its answer faults",
    killer: "kit_access.no_domain.answer_efault",
  }, {
    name: "pages-flags-late",
    find:
      "  if (flags & ~(MOCK_FLAGS_ACCESS_WRITE | syz)) throw UNKNOWN_FLAG;\n  const { file, access } = accessOf(process, cmd.id);",
    replace:
      "  const { file, access } = accessOf(process, cmd.id);\n  if (flags & ~(MOCK_FLAGS_ACCESS_WRITE | syz)) throw UNKNOWN_FLAG;",
    breaks: "ACCESS_PAGES looks for the access before it looks at the flags",
    killer: "kit_access.no_domain.pin_errno",
  }, {
    name: "access-emfile",
    find: "throw NO_DESCRIPTOR;",
    replace: "throw error;",
    breaks: "CREATE_ACCESS without a free descriptor is EMFILE",
    killer: "kit_test_ops.create_access_emfile",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_check.ts", [{
    name: "check-map-offset",
    find: "!== pfn * PAGE_SIZE + offset",
    replace: "!== pfn * PAGE_SIZE",
    breaks: "MD_CHECK_MAP looks at whole pages only",
    killer: "kit_test_ops.check_map_other_pages",
  }, {
    name: "check-refs-more",
    find: "if (frames.pins(pfn) !== refs) {",
    replace: "if (frames.pins(pfn) < refs) {",
    breaks: "MD_CHECK_REFS does not mind more pins",
    killer: "kit_test_ops.check_refs",
  }, {
    name: "check-iotlb",
    find: "if (domain.iotlb[iotlbId] !== iotlb) {",
    replace: "if (false) {",
    breaks: "MD_CHECK_IOTLB does not look",
    killer: "kit_invalidate.check_iotlb",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_device.ts", [{
    name: "mock-domain-answer",
    find: "    cmd.outIdevId = idevId;\n",
    replace: "",
    breaks: "MOCK_DOMAIN does not tell the device's id",
    killer: "kit_commands.mock_domain_ids",
  }, {
    name: "mock-domain-unwind",
    find: "    undo.defer(() => idev.unbind());\n",
    replace: "",
    breaks: "A device that could not be attached stays bound",
    killer: "kit_mock_domain.one_domain.area_outside_aperture",
  }, {
    name: "mock-domain-unused",
    find: "    hwpt.ref();\n    ctx.objects.finalize(hwpt);",
    replace: "    ctx.objects.finalize(hwpt);",
    breaks:
      "The HWPT of a mock domain can be destroyed while it is in the IOAS",
    killer: "kit_commands.object_types",
    uapi: "v3",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_dirty.ts", [{
    name: "mark-untracked",
    find: " || !domain.tracksDirty",
    replace: "",
    breaks: "DIRTY marks pages of a domain that does not track",
    killer: "kit_dirty.hwpts_apart",
  }, {
    name: "mark-misaligned",
    find: "if (iova % pageSize || length % pageSize) {",
    replace: "if (length % pageSize) {",
    breaks: "DIRTY takes an IOVA that is not aligned",
    killer: "kit_dirty.mark_order",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_fault.ts", [{
    name: "trigger-pasid",
    find:
      "    if (pasid !== IOMMU_NO_PASID) flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;\n",
    replace: "",
    breaks: "TRIGGER_IOPF loses the PASID",
    killer: "kit_fault.read_record",
  }]),
  ...inFile("impl/mock/iopte.ts", [{
    name: "iopte-huge-bit",
    find: "export const PTE_HUGE: number = 1 << 30;",
    replace: "export const PTE_HUGE: number = 1 << 29;",
    breaks: "An IOPTE of 1 MiB looks dirty",
    killer: "kit_dirty.huge_pages",
    uapi: "6.12",
  }]),
  ...inFile("impl/mock/mock_device.ts", [{
    name: "software-node",
    find: '      kernel.step("softwareNode.add");\n',
    replace: "",
    breaks: "A mock device needs no memory for its properties",
    killer: "basic_fail_nth.map_domain",
    uapi: "7.3",
  }, {
    name: "fwspec-before-add",
    find: '      kernel.step("fwspec.init");\n',
    replace: "",
    breaks: "A mock device needs no memory to say which IOMMU it is behind",
    killer: "basic_fail_nth.map_two_domains",
    uapi: "7.3",
  }, {
    name: "mock-device-flags",
    find: "if ((flags & ~kernel.revision.mock.deviceFlags) !== 0) {",
    replace: "if (false) {",
    breaks: "Mock devices take unknown flags",
    killer: "kit_test_ops.mock_domain_flags",
  }, {
    name: "mock-parent-data",
    find:
      "    if (!this.iommu.kernel.revision.mock.pagingTakesData) throw UNKNOWN_DATA;\n",
    replace: "",
    breaks: "A HWPT of an IOAS takes driver data before it should",
    uapi: "6.12",
    killer: "kit_hwpt.data_on_ioas",
  }, {
    name: "mock-any-table",
    find: "    if (pagetableType > MOCK_IOMMUPT_HUGE) throw UNKNOWN_TABLE;\n",
    replace: "",
    breaks: "The mock makes page tables that there are not",
    killer: "kit_hwpt.data_on_ioas",
  }, {
    name: "mock-data-size",
    find: "HwptSelftest.sizeIn(this.iommu.kernel.revision.name)",
    replace: "HwptSelftest.size",
    breaks: "The mock takes driver data that are longer than it knew",
    uapi: "6.12",
    killer: "kit_hwpt.data_length",
  }, {
    name: "mock-any-info",
    find: "      type !== IOMMU_HW_INFO_TYPE_SELFTEST\n",
    replace: "      false\n",
    breaks: "The mock gives its hardware information as any type",
    killer: "kit_hw_info.wanted_type",
  }]),
  ...inFile("impl/mock/mock_domain.ts", [{
    name: "mock-dirty-device",
    find:
      "this.dirtyOps !== undefined && mock.flags & MOCK_FLAGS_DEVICE_NO_DIRTY",
    replace: "false",
    breaks: "A device that cannot track gets into a domain that does",
    killer: "kit_fault.failed_replace",
  }]),
  ...inFile("impl/mock/flat_domain.ts", [{
    name: "mock-last-marker",
    find: "      leaf[stop - 1]! |= PTE_START_OR_LAST;\n",
    replace: "",
    breaks: "The last IOPTE of a run lacks its mark",
    killer: "kit_memory_limit.limit_24.map_pairs",
    uapi: "6.12",
  }, {
    name: "mock-single-page",
    find: "      leaf[at + 1] = pte + 1;\n",
    replace: "      leaf[at + 1] = pte;\n",
    breaks: "The second half of a single page translates like the first",
    killer: "kit_memory_limit.limit_4096.map",
    uapi: "6.12",
  }, {
    name: "mock-page-marker",
    find: "fillRun(first, count, pte, PTE_START_OR_LAST)",
    replace: "fillRun(first, count, pte, 0)",
    breaks: "The first and the last IOPTE of a map lack their mark",
    killer: "kit_test_ops.check_map_other_pages",
    uapi: "6.12",
  }, {
    name: "mock-aperture",
    find: "apertureEnd: BigInt(MOCK_APERTURE_LAST)",
    replace: "apertureEnd: BigInt(MOCK_APERTURE_LAST) - 1n",
    breaks: "The mock's aperture ends a byte early",
    killer: "kit_vfio_compat.Ver1v2.get_info_caps",
    uapi: "6.12",
  }, {
    name: "mock-untracked-read",
    find: "    if (!this.tracksDirty && dirty.isRecording) throw EINVAL;\n",
    replace: "",
    breaks: "Dirty pages are told although tracking is off",
    killer: "kit_dirty.off",
    uapi: "6.12",
  }, {
    name: "long-run-cut",
    find: "  cursor.done = done;",
    replace: "",
    breaks: "A run that goes on in the next leaf begins anew there",
    killer: "kit_mock_domain.one_domain.long_runs",
    uapi: "6.12",
  }]),
  ...inFile("impl/mock/flat_dirty.ts", [{
    name: "mock-no-clear",
    find: "(flags & IOMMU_DIRTY_NO_CLEAR) === 0",
    replace: "true",
    breaks: "NO_CLEAR clears",
    killer: "kit_dirty.no_clear",
    uapi: "6.12",
  }, {
    name: "mock-dirty-unmapped",
    find: " || leaf[i] === 0) continue;",
    replace: ") continue;",
    breaks: "Pages that are not mapped become dirty",
    killer: "kit_dirty.mark_page_size",
    uapi: "6.12",
  }, {
    name: "mock-huge-size",
    find: "MOCK_IO_PAGE_SIZE, MOCK_HUGE_PAGE_SIZE)",
    replace: "MOCK_IO_PAGE_SIZE, MOCK_IO_PAGE_SIZE)",
    breaks: "A dirty IOPTE of 1 MiB is told as 2 KiB",
    killer: "kit_dirty.huge_pages",
    uapi: "6.12",
  }]),
  ...inFile("impl/mock/mock_nested_domain.ts", [{
    name: "mock-iotlb-limit",
    find: "iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX",
    replace: "iotlbId >= MOCK_NESTED_DOMAIN_IOTLB_ID_MAX",
    breaks: "The last IOTLB entry cannot be invalidated",
    killer: "kit_invalidate.partial",
  }, {
    name: "mock-invalidate-type",
    find: "if (array.type !== type) {",
    replace: "if (false) {",
    breaks: "An empty invalidation takes any type of data",
    killer: "kit_invalidate.no_entries",
  }]),
  ...inFile("impl/iommu/attach.ts", [{
    name: "attach-handle-unwind",
    find: "  attachGroup(domain, group);\n  handle.domain",
    replace: "  group.pasidArray.set(IOMMU_NO_PASID, handle);\n" +
      "  attachGroup(domain, group);\n  handle.domain",
    breaks: "A group that refused a domain counts as attached",
    killer: "iommufd_dirty_tracking.domain_dirty128k.enforce_dirty",
  }]),
  ...inFile("impl/iommu/page_table/by_pages.ts", [{
    name: "iommu-map-unwind",
    find: "      this.unmap(iova, done);\n",
    replace: "",
    breaks: "What was mapped before a failure stays mapped",
    killer: "kit_fail_nth.huge_pages",
    uapi: "6.12",
  }, {
    name: "iommu-large-pages",
    find: "const aligned = iova % pgsize === 0 && paddr % pgsize === 0;",
    replace: "const aligned = iova % pgsize === 0;",
    breaks: "A large page is used for memory that is not aligned",
    killer: "kit_dirty.huge_pages",
    uapi: "6.12",
  }]),
  ...inFile("impl/iommu/page_fault.ts", [{
    name: "fault-user-pasid",
    find: "if (handle !== undefined || !userPasidTable) return handle;",
    replace: "if (handle !== undefined || userPasidTable) return handle;",
    breaks: "Faults of the user's own PASIDs go to nobody",
    killer: "iommufd_ioas.mock_domain.alloc_hwpt_nested",
  }, {
    name: "fault-any-pasid",
    find: 'return handleOf(dev, IOMMU_NO_PASID, "nested");',
    replace: "return handleOf(dev, IOMMU_NO_PASID);",
    breaks: "Faults of PASIDs go to a HWPT of an IOAS that is not theirs",
    killer: "kit_fault.paging_hwpt",
  }]),
  ...inFile("impl/iommu/user_data.ts", [{
    name: "data-too-long",
    find: " || data.len > size",
    replace: "",
    breaks: "Driver data may be longer than the driver knows",
    killer: "kit_invalidate.entry_length",
  }]),
];
