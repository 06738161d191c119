// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOMMU_IOAS_ALLOC, IommuIoasAlloc } from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  TestCheckRefs,
} from "../../impl/uapi/selftest.ts";
import { NEWEST, REVISIONS } from "../../impl/uapi/revision.ts";
import { VFIO_SET_IOMMU } from "../../impl/uapi/vfio.ts";
import { describeStruct, ioctlName, ioctlNameWith } from "./describe_ioctl.ts";

const LATEST = REVISIONS[NEWEST];
const V3 = REVISIONS["v3"];

describe("ioctlName()", () => {
  it("gives the C constant", () => {
    assertEquals(ioctlName(IOMMU_IOAS_ALLOC), "IOMMU_IOAS_ALLOC");
    assertEquals(ioctlName(VFIO_SET_IOMMU), "VFIO_SET_IOMMU");
  });

  it("gives the number of an ioctl that is not known", () => {
    assertEquals(ioctlName(0x3bff), "0x3bff");
  });
});

describe("ioctlNameWith()", () => {
  const arg = TestCheckRefs.encode({ op: IOMMU_TEST_OP_MD_CHECK_REFS });

  it("names the test operation", () => {
    assertEquals(
      ioctlNameWith(IOMMU_TEST_CMD, arg, LATEST),
      "IOMMU_TEST_CMD MD_CHECK_REFS",
    );
  });

  it("counts test operations as the revision does", () => {
    assertEquals(
      ioctlNameWith(IOMMU_TEST_CMD, arg, V3),
      "IOMMU_TEST_CMD CREATE_ACCESS",
    );
  });

  it("leaves out an operation that does not exist or was not sent", () => {
    const odd = TestCheckRefs.encode({ op: 1000 });
    assertEquals(ioctlNameWith(IOMMU_TEST_CMD, odd, LATEST), "IOMMU_TEST_CMD");
    const short = arg.subarray(0, 4);
    assertEquals(
      ioctlNameWith(IOMMU_TEST_CMD, short, LATEST),
      "IOMMU_TEST_CMD",
    );
  });
});

describe("describeStruct()", () => {
  const arg = IommuIoasAlloc.encode({ flags: 0x10, outIoasId: 16 });

  it("decodes fields under their C names, flags in hexadecimal", () => {
    assertEquals(describeStruct(IOMMU_IOAS_ALLOC, arg, LATEST), {
      name: "iommu_ioas_alloc",
      fields: { size: "12", flags: "0x10", out_ioas_id: "16" },
    });
  });

  it("leaves out the fields that a short struct does not have", () => {
    const short = arg.subarray(0, 8);
    assertEquals(describeStruct(IOMMU_IOAS_ALLOC, short, LATEST)?.fields, {
      size: "12",
      flags: "0x10",
    });
  });

  it("counts the bytes that a long struct has on top", () => {
    const long = new Uint8Array(20);
    long.set(arg);
    const beyond = "beyond the end";
    assertEquals(
      describeStruct(IOMMU_IOAS_ALLOC, long, LATEST)?.fields[beyond],
      "8 bytes, all zero",
    );
    long[19] = 1;
    assertEquals(
      describeStruct(IOMMU_IOAS_ALLOC, long, LATEST)?.fields[beyond],
      "8 bytes, not all zero",
    );
  });

  it("knows that v3's test struct is shorter", () => {
    const op = IOMMU_TEST_OP_MD_CHECK_REFS - 1;
    const bytes = TestCheckRefs.encode({ op, refs: 2 }).subarray(0, 56);
    const fields = describeStruct(IOMMU_TEST_CMD, bytes, V3)?.fields;
    assertEquals(fields?.refs, "2");
    assertEquals(fields?.["beyond the end"], undefined);
  });

  it("does not know every ioctl", () => {
    assertEquals(describeStruct(0x3bff, arg, LATEST), undefined);
  });
});
