// SPDX-License-Identifier: GPL-2.0-only

/**
 * Attaching the PASIDs of a mock device, as typed, asserting calls: Linux 7.3.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { type TestOp, testOp } from "./c_struct.ts";
import type { Iommufd } from "./ioctls.ts";

/** HWPT_ALLOC: the HWPT can be attached to a PASID. */
export const IOMMU_HWPT_ALLOC_PASID: number = 1 << 3;
/** MOCK_DOMAIN_FLAGS: a device with PASIDs. */
export const MOCK_FLAGS_DEVICE_PASID: number = 1 << 2;
/** Bits of a PASID of a mock device that has them. */
export const MOCK_PASID_WIDTH: number = 20;
/** The mock refuses to replace what is attached to this PASID, every second time. */
export const IOMMU_TEST_PASID_RESERVED: number = 1024;
/** Test operation PASID_ATTACH. */
export const IOMMU_TEST_OP_PASID_ATTACH: number = 18;
/** Test operation PASID_REPLACE. */
export const IOMMU_TEST_OP_PASID_REPLACE: number = 19;
/** Test operation PASID_DETACH. */
export const IOMMU_TEST_OP_PASID_DETACH: number = 20;
/** Test operation PASID_CHECK_HWPT. */
export const IOMMU_TEST_OP_PASID_CHECK_HWPT: number = 21;

/** What PASID_ATTACH and PASID_REPLACE have in the union; `id` is the selftest device. */
export interface TestPasidAttach extends TestOp {
  /** The PASID; 0 is the device without one. */
  pasid: number;
  /** IOAS or HWPT; reply: the HWPT. */
  ptId: number;
}

/** Layout of {@link TestPasidAttach}, and of PASID_CHECK_HWPT, where `ptId` is the HWPT. */
export const TestPasidAttach: Struct<TestPasidAttach> = testOp(
  { pasid: "u32", ptId: "u32" },
);

/** PASID_ATTACH; returns the HWPT. */
export async function pasidAttach(
  io: Iommufd,
  stdevId: number,
  pasid: number,
  ptId: number,
  errno?: Errno,
): Promise<number> {
  const op = IOMMU_TEST_OP_PASID_ATTACH;
  const values = { id: stdevId, pasid, ptId };
  const reply = await io.mock.call(
    "PASID_ATTACH",
    TestPasidAttach,
    op,
    values,
    errno,
  );
  return reply.ptId;
}

/** PASID_REPLACE; returns the HWPT. */
export async function pasidReplace(
  io: Iommufd,
  stdevId: number,
  pasid: number,
  ptId: number,
  errno?: Errno,
): Promise<number> {
  const op = IOMMU_TEST_OP_PASID_REPLACE;
  const values = { id: stdevId, pasid, ptId };
  const reply = await io.mock.call(
    "PASID_REPLACE",
    TestPasidAttach,
    op,
    values,
    errno,
  );
  return reply.ptId;
}

/** PASID_DETACH. */
export async function pasidDetach(
  io: Iommufd,
  stdevId: number,
  pasid: number,
  errno?: Errno,
): Promise<void> {
  const op = IOMMU_TEST_OP_PASID_DETACH;
  const values = { id: stdevId, pasid };
  await io.mock.call("PASID_DETACH", TestPasidAttach, op, values, errno);
}

/** PASID_CHECK_HWPT: the HWPT is what the PASID is attached to; with 0, it is attached to none. */
export async function pasidCheckHwpt(
  io: Iommufd,
  stdevId: number,
  pasid: number,
  hwptId: number,
  errno?: Errno,
): Promise<void> {
  const op = IOMMU_TEST_OP_PASID_CHECK_HWPT;
  const values = { id: stdevId, pasid, ptId: hwptId };
  await io.mock.call("PASID_CHECK_HWPT", TestPasidAttach, op, values, errno);
}
