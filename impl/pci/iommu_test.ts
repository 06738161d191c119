// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { deviceIommuCapable } from "../iommu/device.ts";
import { errnoOf } from "../iommu/testing/test_driver.ts";
import { Kernel } from "../kernel.ts";
import { EOPNOTSUPP } from "../uapi/errno.ts";
import {
  IOMMU_HW_INFO_TYPE_DEFAULT,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING as DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT as NEST_PARENT,
} from "../uapi/iommufd.ts";
import { CopyEngine } from "./devices/copy_engine.ts";
import { HwInfoVtd, type PciIommuOps, type VtdRegisters } from "./iommu.ts";

/** That of QEMU: no scalable mode. */
const LEGACY = { capReg: 0xd2008c222f0606n, ecapReg: 0xf00f4an };

/** A device behind an IOMMU, and what drives that. */
function behind(vtd?: VtdRegisters) {
  const { pci } = new Kernel({ vtd }).addPciDevice(new CopyEngine());
  return { pci, ops: pci.ops as PciIommuOps };
}

describe("the IOMMU of PCI devices", () => {
  it("tracks dirty pages where its registers say that it can", () => {
    const { pci, ops } = behind();
    assertEquals(deviceIommuCapable(pci, "dirty-tracking"), true);
    const domain = ops.domainAllocPagingFlags(pci, DIRTY_TRACKING, undefined);
    assertEquals(domain.dirtyOps, domain);
  });

  it("refuses to where they do not", () => {
    const { pci, ops } = behind(LEGACY);
    assertEquals(deviceIommuCapable(pci, "dirty-tracking"), false);
    const wanted = () =>
      ops.domainAllocPagingFlags(pci, DIRTY_TRACKING, undefined);
    assertStrictEquals(errnoOf(wanted), EOPNOTSUPP);
  });

  it("nests nowhere", () => {
    const { pci, ops } = behind();
    const parent = () =>
      ops.domainAllocPagingFlags(pci, NEST_PARENT, undefined);
    assertStrictEquals(errnoOf(parent), EOPNOTSUPP);
    assertStrictEquals(errnoOf(() => ops.domainAllocNested()), EOPNOTSUPP);
  });

  it("tells its registers, and the erratum that Linux says all have", () => {
    const { pci, ops } = behind(LEGACY);
    const { bytes } = ops.hwInfo(pci, IOMMU_HW_INFO_TYPE_DEFAULT);
    assertEquals(HwInfoVtd.decode(bytes), {
      flags: 1,
      reserved: 0,
      ...LEGACY,
    });
  });
});
