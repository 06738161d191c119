// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls of hardware page tables, dirty tracking and page faults as typed,
 * asserting calls.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_GET_HW_INFO,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IOMMU_PGFAULT_PERM_READ,
  IOMMU_PGFAULT_PERM_WRITE,
  IommuFaultAlloc,
  IOMMUFD_PAGE_RESP_SUCCESS,
  IommuHwInfo,
  IommuHwptAlloc,
  IommuHwptGetDirtyBitmap,
  IommuHwptInvalidate,
  IommuHwptPageResponse,
  IommuHwptPgfault,
  IommuHwptSetDirtyTracking,
} from "../../impl/uapi/iommufd.ts";
import {
  HwptInvalidateSelftest,
  IOMMU_HW_INFO_SELFTEST_REGVAL,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_IOTLB_DEFAULT,
  IOMMU_TEST_OP_DIRTY,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  MOCK_NESTED_DOMAIN_IOTLB_NUM,
  TestCheckIotlb,
  TestDirty,
  TestHwInfo,
  TestTriggerIopf,
} from "../../impl/uapi/selftest.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import { type ByVersion, valueIn } from "../../impl/uapi/revision/versions.ts";
import { assertEq, assertTrue } from "../harness/harness.ts";
import { cStruct } from "./c_struct.ts";
import type { Iommufd } from "./ioctls.ts";

/** GET_HW_INFO: the caller says which type it wants. */
export const IOMMU_HW_INFO_FLAG_INPUT_TYPE: number = 1 << 0;
/** The page table of a mock's HWPT: its ordinary one. */
export const MOCK_IOMMUPT_DEFAULT: number = 0;
/** The page table of a mock's HWPT: one with huge pages. */
export const MOCK_IOMMUPT_HUGE: number = 1;

/** Driver data of the mock's HWPTs. Linux: `struct iommu_hwpt_selftest`. */
export interface HwptSelftest {
  /** First value of each entry of a nested HWPT's IOTLB. */
  iotlb: number;
  /** `MOCK_IOMMUPT_*`, from 7.3 on. */
  pagetableType: number;
}

/** Layout of {@link HwptSelftest}, in its newest form. */
export const HwptSelftest: Struct<HwptSelftest> = cStruct(
  "iommu_hwpt_selftest",
  { iotlb: "u32", pagetableType: "u32" },
);

/** Bytes of {@link HwptSelftest} by version. */
const HWPT_SELFTEST_SIZES: ByVersion<number> = { "6.6": 4, "6.19": 8 };

/** Bytes of {@link HwptSelftest} in a revision. */
export function hwptSelftestSize(revision: Revision): number {
  return valueIn(revision.name, HWPT_SELFTEST_SIZES)!;
}

/** Places driver data of the mock in scratch memory; returns the fields of HWPT_ALLOC that say so. */
export async function hwptData(
  io: Iommufd,
  values: Partial<HwptSelftest>,
): Promise<Pick<IommuHwptAlloc, "dataType" | "dataLen" | "dataUptr">> {
  await io.process.poke(io.scratch, HwptSelftest.encode(values));
  return {
    dataType: IOMMU_HWPT_DATA_SELFTEST,
    dataLen: hwptSelftestSize(io.revision),
    dataUptr: BigInt(io.scratch),
  };
}

/** IOMMU_HWPT_ALLOC; returns the HWPT's id. */
export async function hwptAlloc(
  io: Iommufd,
  values: Partial<IommuHwptAlloc>,
  errno?: Errno,
): Promise<number> {
  const reply = await io.call(IommuHwptAlloc, IOMMU_HWPT_ALLOC, values, errno);
  return reply.outHwptId;
}

/** Allocates a nested HWPT of the mock on a parent or a vIOMMU, with good driver data; returns its id. */
export async function nestedAlloc(
  io: Iommufd,
  devId: number,
  parentId: number,
  values: Partial<IommuHwptAlloc> = {},
  errno?: Errno,
): Promise<number> {
  const data = await hwptData(io, { iotlb: IOMMU_TEST_IOTLB_DEFAULT });
  return await hwptAlloc(io, {
    devId,
    ptId: parentId,
    ...data,
    ...values,
  }, errno);
}

/** What {@link hwptInvalidate} sends beside the requests. */
export interface InvalidateOptions {
  /** Address of the requests; default scratch memory, where they are placed. */
  readonly dataUptr?: bigint;
  /** Type of the requests; default the mock's. */
  readonly dataType?: number;
  /** Bytes of one request; default the struct's. */
  readonly entryLen?: number;
  /** Requests; default all that are given. */
  readonly entryNum?: number;
}

/** IOMMU_HWPT_INVALIDATE; asserts how many requests were handled. */
export async function hwptInvalidate(
  io: Iommufd,
  hwptId: number,
  requests: readonly Partial<HwptInvalidateSelftest>[],
  handled: number,
  errno?: Errno,
  options: InvalidateOptions = {},
): Promise<void> {
  const { size } = HwptInvalidateSelftest;
  for (const [index, request] of requests.entries()) {
    const bytes = HwptInvalidateSelftest.encode(request);
    await io.process.poke(io.scratch + index * size, bytes);
  }
  const reply = await io.call(IommuHwptInvalidate, IOMMU_HWPT_INVALIDATE, {
    hwptId,
    dataUptr: BigInt(io.scratch),
    dataType: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
    entryLen: size,
    entryNum: requests.length,
    ...options,
  }, errno);
  assertEq(reply.entryNum, handled, "requests handled");
}

/** MD_CHECK_IOTLB of all entries of a nested HWPT; with an errno each must fail so. */
export async function checkIotlb(
  io: Iommufd,
  hwptId: number,
  expected: readonly number[],
  errno?: Errno,
): Promise<void> {
  assertEq(expected.length, MOCK_NESTED_DOMAIN_IOTLB_NUM, "IOTLB entries");
  for (const [iotlbId, iotlb] of expected.entries()) {
    await io.mock.call(
      "MD_CHECK_IOTLB",
      TestCheckIotlb,
      IOMMU_TEST_OP_MD_CHECK_IOTLB,
      { id: hwptId, iotlbId, iotlb },
      errno,
    );
  }
}

/**
 * IOMMU_GET_HW_INFO of a mock device with a buffer of `dataLen` bytes in
 * scratch memory (0: no buffer), with all that the C helper checks. `dataType`
 * is the type that the caller wants; it goes where the reply's is.
 */
export async function getHwInfo(
  io: Iommufd,
  devId: number,
  dataLen: number,
  errno?: Errno,
  dataType?: number,
): Promise<IommuHwInfo> {
  await io.process.poke(io.scratch, new Uint8Array(dataLen).fill(0xa5));
  const wanted = dataType === undefined
    ? {}
    : { flags: IOMMU_HW_INFO_FLAG_INPUT_TYPE, outDataType: dataType };
  const reply = await io.call(IommuHwInfo, IOMMU_GET_HW_INFO, {
    ...wanted,
    devId,
    dataLen,
    dataUptr: dataLen ? BigInt(io.scratch) : 0n,
  }, errno);
  if (errno) return reply;
  assertEq(reply.outDataType, IOMMU_HW_INFO_TYPE_SELFTEST, "hw_info type");
  assertEq(reply.dataLen, TestHwInfo.size, "hw_info length");
  const data = await io.process.peek(io.scratch, dataLen);
  const trailing = data.subarray(TestHwInfo.size);
  assertTrue(trailing.every((byte) => byte === 0), "trailing bytes are zero");
  const whole = new Uint8Array(TestHwInfo.size);
  whole.set(data.subarray(0, TestHwInfo.size));
  const info = TestHwInfo.at(whole);
  if (dataLen >= TestHwInfo.offsetofend("testReg")) {
    assertEq(info.testReg, IOMMU_HW_INFO_SELFTEST_REGVAL, "hw_info register");
  }
  if (dataLen >= TestHwInfo.offsetofend("flags")) {
    assertEq(info.flags, 0, "hw_info flags");
  }
  return reply;
}

/** IOMMU_HWPT_SET_DIRTY_TRACKING. */
export async function setDirtyTracking(
  io: Iommufd,
  hwptId: number,
  enabled: boolean,
  errno?: Errno,
): Promise<void> {
  await io.call(
    IommuHwptSetDirtyTracking,
    IOMMU_HWPT_SET_DIRTY_TRACKING,
    { flags: enabled ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0, hwptId },
    errno,
  );
}

/** A bitmap in the process's memory that stands for a range of IOVA. */
export interface Bitmap {
  /** The HWPT. */
  readonly hwptId: number;
  /** First IOVA. */
  readonly iova: bigint;
  /** Bytes of IOVA. */
  readonly length: bigint;
  /** Bytes of IOVA that one bit stands for. */
  readonly pageSize: bigint;
  /** Address of the bitmap. */
  readonly address: number;
}

/** IOMMU_HWPT_GET_DIRTY_BITMAP. */
export async function getDirtyBitmap(
  io: Iommufd,
  { address, ...range }: Bitmap,
  flags = 0,
  errno?: Errno,
): Promise<void> {
  await io.call(
    IommuHwptGetDirtyBitmap,
    IOMMU_HWPT_GET_DIRTY_BITMAP,
    { ...range, flags, data: BigInt(address) },
    errno,
  );
}

/** Test operation DIRTY; returns how many IOPTEs it marked. */
export async function markDirty(
  io: Iommufd,
  { hwptId, address, ...range }: Bitmap,
  errno?: Errno,
): Promise<bigint> {
  const reply = await io.mock.call(
    "DIRTY",
    TestDirty,
    IOMMU_TEST_OP_DIRTY,
    { id: hwptId, ...range, uptr: BigInt(address) },
    errno,
  );
  return reply.outNrDirty;
}

/** IOMMU_FAULT_QUEUE_ALLOC; returns the queue's id and descriptor. */
export async function faultQueueAlloc(
  io: Iommufd,
): Promise<{ faultId: number; faultFd: number }> {
  const reply = await io.call(IommuFaultAlloc, IOMMU_FAULT_QUEUE_ALLOC, {});
  assertTrue(reply.outFaultId !== 0, "FAULT_QUEUE_ALLOC returns an id");
  assertTrue(reply.outFaultFd !== 0, "FAULT_QUEUE_ALLOC returns a descriptor");
  return { faultId: reply.outFaultId, faultFd: reply.outFaultFd };
}

/** Makes a device report a page fault, reads it from the queue and answers it. */
export async function triggerIopf(
  io: Iommufd,
  devId: number,
  faultFd: number,
  pasid = 1,
): Promise<void> {
  await io.mock.call(
    "TRIGGER_IOPF",
    TestTriggerIopf,
    IOMMU_TEST_OP_TRIGGER_IOPF,
    {
      devId,
      pasid,
      grpid: 2,
      perm: IOMMU_PGFAULT_PERM_READ | IOMMU_PGFAULT_PERM_WRITE,
      addr: 0xdeadbeafn,
    },
  );
  const fault = new Uint8Array(IommuHwptPgfault.size);
  const got = await io.process.read(faultFd, fault);
  assertEq(got, fault.length, "read of the fault");
  const response = IommuHwptPageResponse.encode({
    cookie: IommuHwptPgfault.at(fault).cookie,
    code: IOMMUFD_PAGE_RESP_SUCCESS,
  });
  const answered = await io.process.write(faultFd, response);
  assertEq(answered, response.length, "write of the answer");
}
