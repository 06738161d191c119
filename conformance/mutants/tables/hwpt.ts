// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of HWPTs, devices, dirty tracking and page faults.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const HWPT_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommufd/hwpt/hw_pagetable.ts", [{
    name: "auto-hwpt-stays",
    find: "if (this.autoDomain) this.ctx.objects.putAndTryDestroy(this);",
    replace: "if (this.autoDomain) this.unref();",
    breaks: "An automatic HWPT stays after its last device",
    killer: "kit_commands.mock_domain_ids",
  }, {
    name: "hwpt-keeps-no-ioas",
    find: "    ioas.ref();\n",
    replace: "",
    breaks: "An IOAS can be destroyed under its HWPTs",
    killer: "kit_commands.object_types",
  }, {
    name: "any-parent",
    find: "(flags & IOMMU_HWPT_ALLOC_NEST_PARENT) !== 0",
    replace: "flags !== 0",
    breaks: "A HWPT with any flag can be a parent",
    killer: "kit_hwpt.nested_order",
  }, {
    name: "hwpt-keeps-queue",
    find: "    this.fault?.unref();\n",
    replace: "",
    breaks: "A fault queue stays in use when its HWPT goes",
    killer: "kit_fault.destroy_order",
  }, {
    name: "nested-any-parent",
    find: "if (this.autoDomain || !this.nestParent) {",
    replace: "if (false) {",
    breaks: "A HWPT can be nested in one that was not made for it",
    killer: "kit_hwpt.nested_order",
  }, {
    name: "parent-takes-queue",
    find:
      "flags & IOMMU_HWPT_FAULT_ID_VALID && flags & IOMMU_HWPT_ALLOC_NEST_PARENT",
    replace: "false",
    breaks: "A nesting parent takes a fault queue",
    killer: "kit_fault.hwpt_with_queue",
  }, {
    name: "queue-early",
    find: "(hwpt.pagingTakesFaultQueue ? IOMMU_HWPT_FAULT_ID_VALID : 0)",
    replace: "IOMMU_HWPT_FAULT_ID_VALID",
    breaks: "A HWPT of an IOAS takes a fault queue before it should",
    uapi: "6.12",
    killer: "kit_fault.hwpt_with_queue",
  }, {
    name: "queue-for-driver",
    find: "      flags & ~IOMMU_HWPT_FAULT_ID_VALID,\n",
    replace: "      flags,\n",
    breaks: "The IOMMU's driver is asked for a fault queue",
    killer: "kit_fault.hwpt_with_queue",
  }, {
    name: "no-pasid-flag",
    find: "(attach.hasPasids ? IOMMU_HWPT_ALLOC_PASID : 0)",
    replace: "0",
    breaks: "No HWPT of an IOAS can be for PASIDs",
    killer: "kit_hwpt.alloc_flags",
  }]),
  ...inFile("impl/iommufd/attach/hwpt_alloc.ts", [{
    name: "alloc-pt-errno",
    find: "    throw NO_PT;\n",
    replace: "    throw error;\n",
    breaks: "HWPT_ALLOC on an id that does not exist is ENOENT",
    killer: "kit_hwpt.other_context",
  }, {
    name: "alloc-unwind",
    find: "ctx.objects.orDestroy(hwpt, () => {",
    replace: "[hwpt].forEach(() => {",
    breaks: "HWPT_ALLOC keeps what it made when the fault queue does not exist",
    killer: "kit_hwpt.reply_efault",
  }]),
  ...inFile("impl/iommufd/hwpt/hwpt_nested.ts", [{
    name: "nested-pasid-flag",
    find: "(hasPasids ? IOMMU_HWPT_ALLOC_PASID : 0)",
    replace: "0",
    breaks: "No nested HWPT can be for PASIDs",
    killer: "kit_hwpt.nested_order",
  }, {
    name: "nested-keeps-parent",
    find: "    this.base.unref();\n",
    replace: "",
    breaks: "A parent stays in use when its nested HWPT goes",
    killer: "kit_hwpt.destroy_order",
  }]),
  ...inFile("impl/iommufd/hwpt/hwpt_invalidate.ts", [{
    name: "invalidate-count",
    find: "  cmd.entryNum = array.handled;\n",
    replace: "",
    breaks: "HWPT_INVALIDATE does not say how many entries it carried out",
    killer: "kit_invalidate.partial",
  }, {
    name: "invalidate-limit",
    find: "entryNum > ENTRY_NUM_MAX",
    replace: "entryNum >= ENTRY_NUM_MAX",
    breaks: "HWPT_INVALIDATE takes one entry less than it should",
    killer: "kit_invalidate.many",
  }, {
    name: "invalidate-entry-length",
    find: " || entryLen > PAGE_SIZE",
    replace: "",
    breaks: "HWPT_INVALIDATE takes entries of any length",
    killer: "kit_invalidate.errno_order",
  }]),
  ...inFile("impl/iommufd/attach/hw_info.ts", [{
    name: "info-length",
    find: "    cmd.dataLen = bytes.length;\n",
    replace: "",
    breaks: "GET_HW_INFO does not say how much there is",
    killer: "kit_hw_info.every_length",
  }, {
    name: "info-tail",
    find: "cmd.dataLen - length);",
    replace: "0);",
    breaks: "GET_HW_INFO leaves the end of the buffer as it is",
    killer: "kit_hw_info.every_length",
  }, {
    name: "info-reserved",
    find: " || reserved2",
    replace: "",
    breaks: "GET_HW_INFO takes a reserved field that is not zero",
    killer: "kit_hw_info.errno_order",
  }, {
    name: "info-type-never",
    find: "const wanted = flags & uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE",
    replace: "const wanted = false",
    breaks: "GET_HW_INFO does not ask the driver for the wanted type",
    killer: "kit_hw_info.wanted_type",
  }, {
    name: "info-type-always",
    find: "const wanted = flags & uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE",
    replace: "const wanted = true",
    breaks: "GET_HW_INFO asks for a type that nobody wants",
    killer: "kit_hw_info.wanted_type",
  }, {
    name: "info-flag-early",
    find: "hwInfoTakesType ? uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE : 0",
    replace: "uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE",
    breaks: "GET_HW_INFO takes a flag before it should",
    uapi: "6.12",
    killer: "kit_hw_info.errno_order",
  }, {
    name: "info-ats",
    find: "    capabilities |= uapi.IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;\n",
    replace: "",
    breaks: "GET_HW_INFO does not tell that ATS cannot be used",
    killer: "kit_hw_info.capabilities",
  }]),
  ...inFile("impl/iommufd/attach/device.ts", [{
    name: "auto-finds-manual",
    find: "for (const hwpt of ioas.autoHwpts) {",
    replace: "for (const hwpt of ioas.hwpts) {",
    breaks:
      "A device that attaches to an IOAS gets a HWPT that user space made",
    killer: "iommufd_mock_domain.one_domain.alloc_hwpt",
  }, {
    name: "replaced-hwpt-stays",
    find: "    old?.drop();\n",
    replace: "",
    breaks: "A replaced HWPT stays in use",
    killer: "kit_hwpt.replace_all",
  }]),
  ...inFile("impl/iommufd/attach/group.ts", [{
    name: "group-stays",
    find: "    this.#ctx.groups.delete(this.group);\n",
    replace: "",
    breaks: "A context keeps a group whose last device was unbound",
    killer: "iommufd_ioas.mock_domain.ioas_auto_destroy",
  }]),
  ...inFile("impl/iommufd/attach/group_attachments.ts", [{
    name: "auto-hwpt-unwind",
    find: "idev.ctx.objects.orDestroy(hwpt, () => change.to(hwpt))",
    replace: "change.to(hwpt)",
    breaks: "An automatic HWPT stays when its device cannot have it",
    killer: "basic_fail_nth.device",
  }, {
    name: "hwpt-unused",
    find: "    undo.move();\n    hwpt.ref();\n",
    replace: "    undo.move();\n",
    breaks: "A HWPT can be destroyed under its devices",
    killer: "kit_commands.object_types",
  }, {
    name: "replace-same",
    find: "    if (old === hwpt) return undefined;\n",
    replace: "",
    breaks: "Replacing a HWPT by itself attaches it anew",
    killer: "kit_fault.replace_same_hwpt",
  }, {
    name: "replaced-uncounted",
    find: "    for (const _ of devices) hwpt.ref();\n",
    replace: "",
    breaks: "A HWPT that replaced another can be destroyed under its devices",
    killer: "kit_hwpt.destroy_order",
  }]),
  ...inFile("impl/iommufd/hwpt/dirty.ts", [{
    name: "dirty-old-bits",
    find: "    if (enable) clearDirty(ioas.iopt, ops);\n",
    replace: "",
    breaks: "Tracking begins with pages that were dirty before",
    killer: "kit_dirty.on_off",
  }, {
    name: "dirty-alignment",
    find: "if (ends & BigInt(iopt.iovaAlignment - 1)) {",
    replace: "if (false) {",
    breaks: "GET_DIRTY_BITMAP takes a range that is not aligned",
    killer: "kit_dirty.iova_alignment",
  }, {
    name: "dirty-walk-error",
    find: "errnoOf(() => walkDirty(iopt, ops, cmd.flags, cmd, bitmap));",
    replace: "walkDirty(iopt, ops, cmd.flags, cmd, bitmap);",
    breaks: "GET_DIRTY_BITMAP fails where the kernel drops the error",
    killer: "kit_dirty.off",
    uapi: "6.12",
  }, {
    name: "dirty-clear-first-area",
    find: "Number(length), 0, DISCARD);\n",
    replace: "Number(length), 0, DISCARD);\n    break;\n",
    breaks: "Turning tracking on clears the first area only",
    killer: "kit_dirty.on_all_areas",
  }]),
  ...inFile("impl/iommufd/hwpt/iova_bitmap.ts", [{
    name: "bitmap-part-page",
    find: "return Math.ceil((end - this.#start) / this.#bitSize)",
    replace: "return Math.floor((end - this.#start) / this.#bitSize)",
    breaks: "A bit that stands for more than the dirty page is not set",
    killer: "kit_dirty.areas",
  }, {
    name: "bitmap-leak",
    find: "    this.#unpin();\n    return this.#pin(index);",
    replace: "    return this.#pin(index);",
    breaks: "The pages of the bitmap stay pinned when its window moves",
    killer: "kit_dirty.windows",
  }, {
    name: "window-of-the-beginning",
    find: "this.#range.data + index);",
    replace: "this.#range.data);",
    breaks: "Bits land in the first pages after the window moved",
    killer: "kit_dirty.windows",
  }]),
  ...inFile("impl/iommufd/events/fault.ts", [{
    name: "cookie-first",
    find: "first: 1,\n    max: 2 ** 32 - 1",
    replace: "first: 0,\n    max: 2 ** 32 - 1",
    breaks: "Cookies begin with 0",
    killer: "kit_fault.cookies",
  }, {
    name: "poll-unanswered",
    find: "return this.unread.size > 0;",
    replace: "return !this.unanswered.isEmpty;",
    breaks: "poll() tells of faults that were read already",
    killer: "kit_fault.poll",
  }, {
    name: "queue-not-kept",
    find: "  fault.ref();\n  hwpt.fault",
    replace: "  hwpt.fault",
    breaks: "A fault queue can be destroyed under its HWPTs",
    killer: "kit_fault.destroy_order",
  }, {
    name: "answered-stays",
    find: "      else this.unanswered.erase(cookie);\n",
    replace: "",
    breaks: "A fault that the kernel answered can be answered again",
    killer: "kit_fault.replace_to_ioas",
  }]),
  ...inFile("impl/iommufd/objects/ucmd.ts", [{
    name: "queue-unwind",
    find: "    else objects.abortAndDestroy(object);\n",
    replace: "",
    breaks: "FAULT_QUEUE_ALLOC keeps the id when there is no descriptor",
    killer: "kit_fault.alloc_emfile",
  }]),
  ...inFile("impl/iommufd/events/fault_attach.ts", [{
    name: "detach-no-answer",
    find: "  hwpt.fault?.autoResponse(handle);\n",
    replace: "",
    breaks: "Faults stay pending when their device is detached",
    killer: "kit_fault.destroy_device",
  }, {
    name: "replace-no-answer",
    find: "  old.fault?.autoResponse(oldHandle);\n",
    replace: "",
    breaks: "Faults stay pending when their HWPT is replaced",
    killer: "kit_fault.replace_same_queue",
  }]),
  ...inFile("impl/iommu/page_fault_queue.ts", [{
    name: "iopf-stays-off",
    find: "      if (!dev.faultParam?.domains) this.addDevice(dev);\n" +
      "      dev.faultParam!.domains++;\n",
    replace: "",
    breaks: "Faults stay switched off when a HWPT with a queue comes",
    killer: "iommufd_ioas.mock_domain.alloc_hwpt_nested",
  }, {
    name: "iopf-stays-on",
    find:
      "if (param === null || --param.domains === 0) this.removeDevice(dev);",
    replace: "if (param !== null) param.domains--;",
    breaks: "A device never leaves the fault queue",
    killer: "kit_fault.replace_to_ioas",
  }]),
  ...inFile("impl/iommufd/events/fault_file.ts", [{
    name: "read-exact-room",
    find: "if (length > count - done) {",
    replace: "if (length >= count - done) {",
    breaks: "A read does not fill its buffer to the end",
    killer: "kit_fault.read_room",
  }, {
    name: "write-any-code",
    find: "code !== IOMMUFD_PAGE_RESP_INVALID\n",
    replace: "code !== IOMMUFD_PAGE_RESP_INVALID && code !== 2\n",
    breaks: "An answer may have a code that is the kernel's own",
    killer: "kit_fault.write_errno",
  }]),
];
