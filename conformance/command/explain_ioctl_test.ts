// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOCTLS, TEST_OPS } from "../../impl/uapi/ioctls.ts";
import { explainIoctl } from "./explain_ioctl.ts";

describe("explainIoctl()", () => {
  it("says when the struct grew, and what each field means", () => {
    assertEquals(
      explainIoctl("IOMMU_HWPT_ALLOC"),
      `IOMMU_HWPT_ALLOC
  number    0x3b89
  since     6.6
  size      6.6: 24 bytes, at least 24
  size      6.7: 40 bytes, at least 24
  size      6.11: 48 bytes, at least 24
  struct    iommu_hwpt_alloc
     0  u32  size         size
     4  u32  flags        flags: NEST_PARENT 0x1, DIRTY_TRACKING 0x2, FAULT_ID_VALID 0x4, PASID 0x8
     8  u32  dev_id       id: DEVICE
    12  u32  pt_id        id: IOAS or HWPT_PAGING or VIOMMU
    16  u32  out_hwpt_id  out id: HWPT_PAGING or HWPT_NESTED
    20  u32  __reserved   reserved
    24  u32  data_type    choice: NONE 0, VTD_S1 1, ARM_SMMUV3 2, AMD_GUEST 3, SELFTEST 0xdead (since 6.7)
    28  u32  data_len     length (since 6.7)
    32  u64  data_uptr    pointer: the kernel reads data_len bytes in the format of data_type (since 6.7)
    40  u32  fault_id     id: FAULT, or 0 (since 6.11)
    44  u32  __reserved2  unused (since 6.11)
`,
    );
  });

  it("says how much memory a pointer needs", () => {
    const bitmap = explainIoctl("IOMMU_TEST_OP_DIRTY")!;
    assertStringIncludes(bitmap, "  number    13\n  since     6.7\n");
    const bits =
      "the kernel reads a bitmap, a bit for each page_size of length";
    assertStringIncludes(bitmap, bits);
    const array = explainIoctl("IOMMU_IOAS_IOVA_RANGES")!;
    assertStringIncludes(
      array,
      "the kernel writes num_iovas × iommu_iova_range",
    );
    const requests = explainIoctl("IOMMU_HWPT_INVALIDATE")!;
    assertStringIncludes(
      requests,
      "the kernel reads entry_num × entry_len bytes",
    );
  });

  it("knows every ioctl, those without a struct too, and no other", () => {
    const set = explainIoctl("VFIO_SET_IOMMU")!;
    assertStringIncludes(set, "  takes     choice: TYPE1 1,");
    const names = [
      ...IOCTLS.map(({ ioctl }) => ioctl.name),
      ...TEST_OPS.map(({ op }) => op.name),
    ];
    for (const name of names) {
      const text = explainIoctl(name);
      assert(
        text?.startsWith(`${name}\n`) && !text.includes("undefined"),
        name,
      );
    }
    assertEquals(explainIoctl("IOMMU_IOAS"), undefined);
  });
});
