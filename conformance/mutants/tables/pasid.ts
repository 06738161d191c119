// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults of what is attached for a PASID.
 *
 * @module
 */

import { inFile, type Mutant } from "../mutant.ts";

/** See the module. */
export const PASID_MUTANTS: readonly Mutant[] = [
  ...inFile("impl/iommufd/attach/group_attachments.ts", [{
    name: "pasid-attach-twice",
    find: "if (present?.devices.has(idev)) {\n      const",
    replace: "if (false) {\n      const",
    breaks: "A PASID that is attached can be attached again",
    killer: "kit_pasid.attach_order",
  }, {
    name: "pasid-errno-order",
    find: "if (present?.devices.has(idev)) {\n      const",
    replace:
      "if (present?.devices.has(idev) && present.hwpt === hwpt) {\n      const",
    breaks: "Attaching another HWPT to a PASID is EINVAL, not EBUSY",
    killer: "kit_pasid.attach_order",
  }, {
    name: "pasid-plain-hwpt",
    find: "    if (!hwpt.pasidCompat) throw NOT_FOR_PASIDS;\n",
    replace: "",
    breaks: "A PASID takes a HWPT that was not allocated for PASIDs",
    killer: "kit_pasid.attach_order",
  }, {
    name: "pasid-plain-rid",
    find: "rid?.hwpt.pasidCompat === false",
    replace: "false",
    breaks: "A PASID is attached while the device is at a plain HWPT",
    killer: "kit_pasid.rid_is_automatic",
  }, {
    name: "pasid-rid-leaves",
    find: "if (pasid === IOMMU_NO_PASID && pasids === 0) return;",
    replace: "if (pasid === IOMMU_NO_PASID) return;",
    breaks: "A device with PASIDs can go to a plain HWPT",
    killer: "kit_pasid.rid_stays_compatible",
  }, {
    name: "pasid-without-rid",
    find: "(rid === undefined ? 0 : 1)",
    replace: "1",
    breaks:
      "A device that is not attached may have one PASID and take a plain HWPT",
    killer: "kit_pasid.without_rid",
  }, {
    name: "pasid-replace-plain",
    find: "      this.#checkPasid(hwpt, pasid);\n      this.#link.replace",
    replace: "      this.#link.replace",
    breaks: "A PASID can be moved to a plain HWPT",
    killer: "kit_pasid.replace_order",
  }, {
    name: "pasid-entry-stays",
    find: "      this.#byPasid.delete(pasid);\n",
    replace: "",
    breaks: "A PASID that was detached is as good as attached",
    killer: "kit_pasid.without_rid",
  }, {
    name: "pasid-replace-nothing",
    find: 'throw EINVAL.because("the device is not attached");',
    replace: "return undefined;",
    breaks: "Replacing what is not attached succeeds",
    killer: "kit_pasid.replace_order",
  }]),
  ...inFile("impl/iommufd/attach/device.ts", [{
    name: "pasid-keeps-hwpt",
    find: "    hwpt.drop();\n    this.unref();",
    replace: "    this.unref();",
    breaks: "A HWPT stays in use when a PASID is detached",
    killer: "kit_pasid.destroy_busy",
  }, {
    name: "pasid-keeps-device",
    find: "    hwpt.drop();\n    this.unref();",
    replace: "    hwpt.drop();",
    breaks: "A device stays in use when a PASID is detached",
    killer: "kit_pasid.detach_first",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_pasid.ts", [{
    name: "pasid-reply-stays",
    find: "      idev.detach(pasid);\n      throw error;",
    replace: "      throw error;",
    breaks: "A PASID stays attached when that cannot be told",
    killer: "kit_pasid.reply_efault",
  }, {
    name: "pasid-check-any",
    find: "if (hwpt.domain !== attached) {",
    replace: "if (attached === undefined) {",
    breaks: "PASID_CHECK_HWPT takes any HWPT for the attached one",
    killer: "kit_pasid.attach",
  }, {
    name: "pasid-check-none",
    find: "if (attached) throw",
    replace: "if (false) throw",
    breaks: "PASID_CHECK_HWPT says that nothing is attached",
    killer: "kit_pasid.attach",
  }, {
    name: "pasid-check-type",
    find: 'throw EINVAL.because("the object is no HWPT");',
    replace: "throw HwPagetable.notFound;",
    breaks: "PASID_CHECK_HWPT of another object is ENOENT",
    killer: "kit_pasid.attach_order",
  }, {
    name: "pasid-detach-rid",
    find: "idev.detach(pasid);\n  });",
    replace: "idev.detach();\n  });",
    breaks: "PASID_DETACH detaches the device itself",
    killer: "kit_pasid.attach",
  }]),
  ...inFile("impl/iommufd/selftest/selftest_device.ts", [{
    name: "pasid-destroy-rid",
    find: "for (const pasid of idev.pasids) idev.detach(pasid);",
    replace: "idev.detach();",
    breaks: "A device that is destroyed leaves its PASIDs attached",
    killer: "kit_pasid.destroy_attached",
  }]),
  ...inFile("impl/iommufd/hwpt/hw_pagetable.ts", [{
    name: "pasid-any-hwpt",
    find: "(flags & IOMMU_HWPT_ALLOC_PASID) !== 0;\n  }",
    replace: "true;\n  }",
    breaks: "Every HWPT is as if allocated for PASIDs",
    killer: "kit_pasid.attach_order",
  }]),
  ...inFile("impl/iommufd/hwpt/hwpt_nested.ts", [{
    name: "pasid-no-nested",
    find: "new HwptNested(base, flags)",
    replace: "new HwptNested(base, 0)",
    breaks: "A nested HWPT cannot be attached to a PASID",
    killer: "kit_pasid.nested",
  }]),
  ...inFile("impl/iommufd/events/fault_attach.ts", [{
    name: "pasid-detach-answers",
    find: "const handle = attachHandleGet(group, pasid);",
    replace: "const handle = attachHandleGet(group, IOMMU_NO_PASID);",
    breaks: "A detach of a PASID answers the faults of the device",
    killer: "kit_pasid.fault_detach",
  }, {
    name: "pasid-replace-answers",
    find: "const oldHandle = attachHandleGet(group, pasid);",
    replace: "const oldHandle = attachHandleGet(group, IOMMU_NO_PASID);",
    breaks: "A PASID that moves leaves its faults pending",
    killer: "kit_pasid.fault_replace",
  }]),
  ...inFile("impl/iommu/page_fault.ts", [{
    name: "fault-own-pasid",
    find: "const handle = handleOf(dev, pasid);",
    replace: "const handle = handleOf(dev, IOMMU_NO_PASID);",
    breaks: "A fault with a PASID is the device's own",
    killer: "kit_pasid.fault_of_another",
  }, {
    name: "fault-falls-back",
    find: "if (handle !== undefined || !userPasidTable) return handle;",
    replace:
      "if (handle?.domain?.iopfHandler || !userPasidTable) return handle;",
    breaks: "A fault of a PASID without queue goes to the device's",
    killer: "kit_pasid.fault_of_rid",
  }]),
  ...inFile("impl/iommu/attach.ts", [{
    name: "pasid-limit",
    find: "pasid >= maxPasids",
    replace: "pasid > maxPasids",
    breaks: "A device has one PASID more than it should",
    killer: "kit_pasid.attach_order",
  }, {
    name: "pasid-handle-stays",
    find:
      "blockPasid(device, pasid, domain);\n  group.pasidArray.delete(pasid);",
    replace: "blockPasid(device, pasid, domain);",
    breaks: "The IOMMU core goes on as if a PASID were attached",
    killer: "kit_pasid.attach",
  }, {
    name: "pasid-replace-forgets",
    find:
      "if (old !== domain) setGroupPasid(domain, group, pasid, old);\n  handle.domain = domain;\n  group.pasidArray.set(pasid, handle);",
    replace: "if (old !== domain) setGroupPasid(domain, group, pasid, old);",
    breaks: "The IOMMU core does not know where a PASID moved",
    killer: "kit_pasid.replace",
  }, {
    name: "pasid-unblocked",
    find:
      "  for (const device of withPasids(group)) blockPasid(device, pasid, domain);\n",
    replace: "",
    breaks: "A driver is not told that a PASID was detached",
    killer: "kit_pasid.driver_refuses",
  }]),
  ...inFile("impl/mock/mock_device.ts", [{
    name: "mock-pasid-width",
    find: "? 1 << MOCK_PASID_WIDTH",
    replace: "? 1 << (MOCK_PASID_WIDTH - 1)",
    breaks: "A mock device has half of its PASIDs",
    killer: "kit_pasid.attach",
  }, {
    name: "mock-plain-pasids",
    find: ": ops.iommu.kernel.revision.mock.plainMaxPasids",
    replace: ": 0",
    breaks: "A mock device without PASIDs can be attached for one",
    killer: "kit_pasid.without_pasids",
  }, {
    name: "mock-refuses-always",
    find: "this.#refusesReserved = attaches && !refuses;",
    replace: "this.#refusesReserved = attaches;",
    breaks: "The mock refuses a PASID for good",
    killer: "kit_pasid.driver_refuses",
  }, {
    name: "mock-refuses-detached",
    find: "this.#refusesReserved = attaches && !refuses;",
    replace:
      "this.#refusesReserved = attaches ? !refuses : this.#refusesReserved;",
    breaks: "The mock refuses a PASID that was detached",
    killer: "kit_pasid.driver_refuses",
  }, {
    name: "mock-pasid-faults",
    find:
      "    this.ops.iopfQueue.changeDomain(this, domain, old);\n  }\n\n  /** Takes the device",
    replace: "  }\n\n  /** Takes the device",
    breaks: "A mock device does not fault for the sake of a PASID",
    killer: "kit_pasid.fault",
  }]),
];
