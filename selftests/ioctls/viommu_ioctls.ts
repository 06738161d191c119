// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual IOMMUs, their devices and hardware queues as typed, asserting calls:
 * Linux 7.3.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_INVALIDATE,
  IommuHwptInvalidate,
} from "../../impl/uapi/iommufd.ts";
import { MAP_SHARED, PROT_READ, PROT_WRITE } from "../../impl/uapi/mman.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { assertEq, assertErrno, assertOk } from "../harness/harness.ts";
import { cStruct, type TestOp, testOp } from "./c_struct.ts";
import type { InvalidateOptions } from "./hwpt_ioctls.ts";
import type { Iommufd } from "./ioctls.ts";

/** ioctl: allocates a vIOMMU. */
export const IOMMU_VIOMMU_ALLOC: number = 0x3b90;
/** ioctl: allocates a vDEVICE. */
export const IOMMU_VDEVICE_ALLOC: number = 0x3b91;
/** ioctl: allocates a hardware queue. */
export const IOMMU_HW_QUEUE_ALLOC: number = 0x3b94;
/** Type of the mock's vIOMMU. */
export const IOMMU_VIOMMU_TYPE_SELFTEST: number = 0xdeadbeef;
/** Type of the requests that the mock's vIOMMU takes. */
export const IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST: number = 0xdeadbeef;
/** A type that it refuses. */
export const IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID: number = 0xdadbeef;
/** No type of hardware queue. */
export const IOMMU_HW_QUEUE_TYPE_DEFAULT: number = 0;
/** Type of the mock's hardware queues. */
export const IOMMU_HW_QUEUE_TYPE_SELFTEST: number = 0xdeadbeef;
/** Hardware queues that a mock vIOMMU can have. */
export const IOMMU_TEST_HW_QUEUE_MAX: number = 2;
/** What is in each word of a mock device's cache at first. */
export const IOMMU_TEST_DEV_CACHE_DEFAULT: number = 0xbaddad;
/** Last word of a mock device's cache. */
export const MOCK_DEV_CACHE_ID_MAX: number = 3;
/** Test operation DEV_CHECK_CACHE. */
export const IOMMU_TEST_OP_DEV_CHECK_CACHE: number = 16;

/** Linux: `struct iommu_viommu_alloc`, 40 bytes. */
export interface IommuViommuAlloc {
  /** Bytes of the struct. */
  size: number;
  /** Must be 0. */
  flags: number;
  /** `IOMMU_VIOMMU_TYPE_*`. */
  type: number;
  /** A device behind the IOMMU. */
  devId: number;
  /** The nesting parent. */
  hwptId: number;
  /** Reply: the vIOMMU. */
  outViommuId: number;
  /** Bytes of driver data. */
  dataLen: number;
  /** Nobody looks at it. */
  reserved: number;
  /** Address of the driver data. */
  dataUptr: bigint;
}

/** Layout of {@link IommuViommuAlloc}. */
export const IommuViommuAlloc: Struct<IommuViommuAlloc> = cStruct(
  "iommu_viommu_alloc",
  {
    size: "u32",
    flags: "u32",
    type: "u32",
    devId: "u32",
    hwptId: "u32",
    outViommuId: "u32",
    dataLen: "u32",
    reserved: "u32",
    dataUptr: "u64",
  },
);

/** Driver data of the mock's vIOMMU. Linux: `struct iommu_viommu_selftest`, 24 bytes. */
export interface ViommuSelftest {
  /** Anything. */
  inData: number;
  /** Reply: the same. */
  outData: number;
  /** Reply: offset of the memory to map. */
  outMmapOffset: bigint;
  /** Reply: bytes of it. */
  outMmapLength: bigint;
}

/** Layout of {@link ViommuSelftest}. */
export const ViommuSelftest: Struct<ViommuSelftest> = cStruct(
  "iommu_viommu_selftest",
  {
    inData: "u32",
    outData: "u32",
    outMmapOffset: "u64",
    outMmapLength: "u64",
  },
);

/** Linux: `struct iommu_vdevice_alloc`, 24 bytes. */
export interface IommuVdeviceAlloc {
  /** Bytes of the struct. */
  size: number;
  /** The vIOMMU. */
  viommuId: number;
  /** The device. */
  devId: number;
  /** Reply: the vDEVICE. */
  outVdeviceId: number;
  /** What the guest knows the device by. */
  virtId: bigint;
}

/** Layout of {@link IommuVdeviceAlloc}. */
export const IommuVdeviceAlloc: Struct<IommuVdeviceAlloc> = cStruct(
  "iommu_vdevice_alloc",
  {
    size: "u32",
    viommuId: "u32",
    devId: "u32",
    outVdeviceId: "u32",
    virtId: "u64",
  },
);

/** Linux: `struct iommu_hw_queue_alloc`, 40 bytes. */
export interface IommuHwQueueAlloc {
  /** Bytes of the struct. */
  size: number;
  /** Must be 0. */
  flags: number;
  /** The vIOMMU. */
  viommuId: number;
  /** `IOMMU_HW_QUEUE_TYPE_*`. */
  type: number;
  /** Which of the vIOMMU's queues. */
  index: number;
  /** Reply: the queue. */
  outHwQueueId: number;
  /** First IOVA of the queue's memory. */
  nestingParentIova: bigint;
  /** Bytes. */
  length: bigint;
}

/** Layout of {@link IommuHwQueueAlloc}. */
export const IommuHwQueueAlloc: Struct<IommuHwQueueAlloc> = cStruct(
  "iommu_hw_queue_alloc",
  {
    size: "u32",
    flags: "u32",
    viommuId: "u32",
    type: "u32",
    index: "u32",
    outHwQueueId: "u32",
    nestingParentIova: "u64",
    length: "u64",
  },
);

/** A request to the mock's vIOMMU. Linux: `struct iommu_viommu_invalidate_selftest`, 12 bytes. */
export interface ViommuInvalidateSelftest {
  /** `IOMMU_TEST_INVALIDATE_FLAG_ALL` or 0. */
  flags: number;
  /** The device's virtual id. */
  vdevId: number;
  /** Word of the device's cache to clear. */
  cacheId: number;
}

/** Layout of {@link ViommuInvalidateSelftest}. */
export const ViommuInvalidateSelftest: Struct<ViommuInvalidateSelftest> =
  cStruct(
    "iommu_viommu_invalidate_selftest",
    { flags: "u32", vdevId: "u32", cacheId: "u32" },
  );

/** What DEV_CHECK_CACHE has in the union; `id` is the bound device. */
export interface TestDevCheckCache extends TestOp {
  /** The word. */
  cacheId: number;
  /** The value it must have. */
  cache: number;
}

/** Layout of {@link TestDevCheckCache}. */
export const TestDevCheckCache: Struct<TestDevCheckCache> = testOp(
  { cacheId: "u32", cache: "u32" },
);

/** IOMMU_VIOMMU_ALLOC, by default of the mock's type without driver data; returns the vIOMMU's id. */
export async function viommuAlloc(
  io: Iommufd,
  devId: number,
  hwptId: number,
  values: Partial<IommuViommuAlloc> = {},
  errno?: Errno,
): Promise<number> {
  const reply = await io.call(IommuViommuAlloc, IOMMU_VIOMMU_ALLOC, {
    type: IOMMU_VIOMMU_TYPE_SELFTEST,
    devId,
    hwptId,
    ...values,
  }, errno);
  return reply.outViommuId;
}

/** A vIOMMU of the mock with what the driver answered. */
export interface ViommuWithData extends ViommuSelftest {
  /** The vIOMMU. */
  readonly viommuId: number;
}

/** IOMMU_VIOMMU_ALLOC with `inData` as the driver data, which stand in scratch memory. */
export async function viommuAllocWithData(
  io: Iommufd,
  devId: number,
  hwptId: number,
  inData: number,
): Promise<ViommuWithData> {
  const { size: dataLen, encode, decode } = ViommuSelftest;
  await io.process.poke(io.scratch, encode({ inData }));
  const dataUptr = BigInt(io.scratch);
  const values = { dataLen, dataUptr };
  const viommuId = await viommuAlloc(io, devId, hwptId, values);
  return { viommuId, ...decode(await io.process.peek(io.scratch, dataLen)) };
}

/** mmap of memory that a vIOMMU offers, shared, to be read and written; returns its address, or 0 if it must fail. */
export async function mmapRegion(
  io: Iommufd,
  length: number | bigint,
  offset: number | bigint,
  errno?: Errno,
): Promise<number> {
  const ret = await io.process.mmap(
    0,
    Number(length),
    PROT_READ | PROT_WRITE,
    MAP_SHARED,
    io.fd,
    Number(offset),
  );
  const what = "mmap of the iommufd";
  if (errno === undefined) return assertOk(ret, what);
  assertErrno(ret, errno, what);
  return 0;
}

/** IOMMU_VDEVICE_ALLOC; returns the vDEVICE's id. */
export async function vdeviceAlloc(
  io: Iommufd,
  viommuId: number,
  devId: number,
  virtId: number | bigint,
  errno?: Errno,
): Promise<number> {
  const values = { viommuId, devId, virtId: BigInt(virtId) };
  const reply = await io.call(
    IommuVdeviceAlloc,
    IOMMU_VDEVICE_ALLOC,
    values,
    errno,
  );
  return reply.outVdeviceId;
}

/** Where a hardware queue is. */
export interface HwQueue {
  /** Which of the vIOMMU's queues. */
  readonly index: number;
  /** First IOVA of its memory. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number | bigint;
  /** Its type; default the mock's. */
  readonly type?: number;
  /** Default 0. */
  readonly flags?: number;
}

/** IOMMU_HW_QUEUE_ALLOC; returns the queue's id. */
export async function hwQueueAlloc(
  io: Iommufd,
  viommuId: number,
  { iova, length, type = IOMMU_HW_QUEUE_TYPE_SELFTEST, ...values }: HwQueue,
  errno?: Errno,
): Promise<number> {
  const reply = await io.call(IommuHwQueueAlloc, IOMMU_HW_QUEUE_ALLOC, {
    ...values,
    viommuId,
    type,
    nestingParentIova: iova,
    length: BigInt(length),
  }, errno);
  return reply.outHwQueueId;
}

/** IOMMU_HWPT_INVALIDATE through a vIOMMU; asserts how many requests were handled. */
export async function viommuInvalidate(
  io: Iommufd,
  viommuId: number,
  requests: readonly Partial<ViommuInvalidateSelftest>[],
  handled: number,
  errno?: Errno,
  options: InvalidateOptions = {},
): Promise<void> {
  const { size, encode } = ViommuInvalidateSelftest;
  for (const [index, request] of requests.entries()) {
    await io.process.poke(io.scratch + index * size, encode(request));
  }
  const reply = await io.call(IommuHwptInvalidate, IOMMU_HWPT_INVALIDATE, {
    hwptId: viommuId,
    dataUptr: BigInt(io.scratch),
    dataType: IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
    entryLen: size,
    entryNum: requests.length,
    ...options,
  }, errno);
  assertEq(reply.entryNum, handled, "requests handled");
}

/** DEV_CHECK_CACHE of one word of a mock device's cache. */
export async function devCheckCache(
  io: Iommufd,
  devId: number,
  cacheId: number,
  cache: number,
  errno?: Errno,
): Promise<void> {
  await io.mock.call(
    "DEV_CHECK_CACHE",
    TestDevCheckCache,
    IOMMU_TEST_OP_DEV_CHECK_CACHE,
    { id: devId, cacheId, cache },
    errno,
  );
}

/** DEV_CHECK_CACHE of all words of a mock device's cache; all are as at first without `expected`. */
export async function devCheckCacheAll(
  io: Iommufd,
  devId: number,
  expected: readonly number[] = new Array<number>(MOCK_DEV_CACHE_ID_MAX + 1)
    .fill(IOMMU_TEST_DEV_CACHE_DEFAULT),
): Promise<void> {
  assertEq(expected.length, MOCK_DEV_CACHE_ID_MAX + 1, "words of the cache");
  for (const [cacheId, cache] of expected.entries()) {
    await devCheckCache(io, devId, cacheId, cache);
  }
}
