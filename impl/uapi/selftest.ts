// SPDX-License-Identifier: GPL-2.0-only

/**
 * The selftest module's ioctl: `drivers/iommu/iommufd/iommufd_test.h` of Linux 6.12.
 *
 * C has one struct with a union; here each operation has a struct of its own
 * over the same 72 bytes. v3's struct is the first 56 of them, with operation
 * numbers lower by one: see `Revision.selftest`.
 *
 * @module
 */

import { type Struct, struct, u32, u64 } from "./struct.ts";

/** ioctl: one operation of the selftest module (CONFIG_IOMMUFD_TEST). */
export const IOMMU_TEST_CMD: number = 0x3ba0;
/** Test operation ADD_RESERVED: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_ADD_RESERVED: number = 1;
/** Test operation MOCK_DOMAIN: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_MOCK_DOMAIN: number = 2;
/** Test operation MD_CHECK_MAP: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_MD_CHECK_MAP: number = 3;
/** Test operation MD_CHECK_REFS: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_MD_CHECK_REFS: number = 4;
/** Test operation CREATE_ACCESS: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_CREATE_ACCESS: number = 5;
/** Test operation DESTROY_ACCESS_PAGES: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_DESTROY_ACCESS_PAGES: number = 6;
/** Test operation ACCESS_PAGES: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_ACCESS_PAGES: number = 7;
/** Test operation ACCESS_RW: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_ACCESS_RW: number = 8;
/** Test operation SET_TEMP_MEMORY_LIMIT: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT: number = 9;
/** Test operation MOCK_DOMAIN_REPLACE: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: number = 10;
/** Test operation ACCESS_REPLACE_IOAS: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_ACCESS_REPLACE_IOAS: number = 11;
/** Test operation MOCK_DOMAIN_FLAGS: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS: number = 12;
/** Test operation DIRTY: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_DIRTY: number = 13;
/** Test operation MD_CHECK_IOTLB: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_MD_CHECK_IOTLB: number = 14;
/** Test operation TRIGGER_IOPF: its number in 6.12; v3 counts from 0. */
export const IOMMU_TEST_OP_TRIGGER_IOPF: number = 15;
/** First IOVA that a mock domain can map. */
export const MOCK_APERTURE_START: number = 1 << 24;
/** Last IOVA that a mock domain can map. */
export const MOCK_APERTURE_LAST: number = 2 ** 31 - 1;
/** Bytes of a mock IO page: half a CPU page. */
export const MOCK_IO_PAGE_SIZE: number = 2048;
/** Bytes of a mock huge IO page: 1 MiB. */
export const MOCK_HUGE_PAGE_SIZE: number = 512 * 2048;
/** ACCESS_PAGES: pin for writing. */
export const MOCK_FLAGS_ACCESS_WRITE: number = 1 << 0;
/** The IOVA field is {u32 nth area, u32 offset}. */
export const MOCK_FLAGS_ACCESS_SYZ: number = 1 << 16;
/** ACCESS_RW: write instead of read. */
export const MOCK_ACCESS_RW_WRITE: number = 1 << 0;
/** ACCESS_RW: do not take the fast path. */
export const MOCK_ACCESS_RW_SLOW_PATH: number = 1 << 2;
/** CREATE_ACCESS: the access will pin pages. */
export const MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES: number = 1 << 0;
/** MOCK_DOMAIN_FLAGS: device without dirty tracking. */
export const MOCK_FLAGS_DEVICE_NO_DIRTY: number = 1 << 0;
/** MOCK_DOMAIN_FLAGS: device whose domains have 1 MiB IO pages too. */
export const MOCK_FLAGS_DEVICE_HUGE_IOVA: number = 1 << 1;
/** Last entry of a nested mock domain's IOTLB. */
export const MOCK_NESTED_DOMAIN_IOTLB_ID_MAX: number = 3;
/** Entries of a nested mock domain's IOTLB. */
export const MOCK_NESTED_DOMAIN_IOTLB_NUM: number = 4;
/** Type of the mock's hardware information. */
export const IOMMU_HW_INFO_TYPE_SELFTEST: number = 0xfeedbeef;
/** The mock's register value. */
export const IOMMU_HW_INFO_SELFTEST_REGVAL: number = 0xdeadbeef;
/** Type of the mock's nested driver data. */
export const IOMMU_HWPT_DATA_SELFTEST: number = 0xdead;
/** IOTLB value that the selftests use. */
export const IOMMU_TEST_IOTLB_DEFAULT: number = 0xbadbeef;
/** Type of the mock's invalidation requests. */
export const IOMMU_HWPT_INVALIDATE_DATA_SELFTEST: number = 0xdeadbeef;
/** A type that the mock refuses. */
export const IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID: number = 0xdadbeef;
/** Clears all IOTLB entries. */
export const IOMMU_TEST_INVALIDATE_FLAG_ALL: number = 1 << 0;

/** The header that all test operations share. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestCmd {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** Last field of the struct in 6.12. */
  last: number;
}

/** Layout of {@link TestCmd}. */
export const TestCmd: Struct<TestCmd> = struct("iommu_test_cmd", 72, {
  size: u32(0),
  op: u32(4),
  id: u32(8),
  last: u32(64),
});

/** ADD_RESERVED: reserves IOVA of an IOAS. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestAddReserved {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** First IOVA. */
  start: bigint;
  /** Bytes. */
  length: bigint;
}

/** Layout of {@link TestAddReserved}. */
export const TestAddReserved: Struct<TestAddReserved> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    start: u64(16),
    length: u64(24),
  },
);

/** MOCK_DOMAIN and MOCK_DOMAIN_FLAGS: makes a mock device and attaches it. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestMockDomain {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** Reply: id of the selftest device object. */
  outStdevId: number;
  /** Reply: id of its HWPT (v3: returned in `id`). */
  outHwptId: number;
  /** Reply: id of the bound device object (not in v3). */
  outIdevId: number;
  /** `MOCK_FLAGS_DEVICE_*` of MOCK_DOMAIN_FLAGS. */
  devFlags: number;
}

/** Layout of {@link TestMockDomain}. */
export const TestMockDomain: Struct<TestMockDomain> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    outStdevId: u32(16),
    outHwptId: u32(20),
    outIdevId: u32(24),
    devFlags: u32(28),
  },
);

/** MOCK_DOMAIN_REPLACE: attaches a mock device elsewhere. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestMockDomainReplace {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** IOAS or HWPT; reply: the HWPT. */
  ptId: number;
}

/** Layout of {@link TestMockDomainReplace}. */
export const TestMockDomainReplace: Struct<TestMockDomainReplace> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    ptId: u32(16),
  },
);

/** MD_CHECK_MAP: compares IOPTEs with the pages of user memory. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestCheckMap {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes. */
  length: bigint;
  /** Address of the memory. */
  uptr: bigint;
}

/** Layout of {@link TestCheckMap}. */
export const TestCheckMap: Struct<TestCheckMap> = struct("iommu_test_cmd", 72, {
  size: u32(0),
  op: u32(4),
  id: u32(8),
  iova: u64(16),
  length: u64(24),
  uptr: u64(32),
});

/** MD_CHECK_REFS: checks how often pages are pinned. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestCheckRefs {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** Bytes. */
  length: bigint;
  /** Address of the memory. */
  uptr: bigint;
  /** Pins that each page must have. */
  refs: number;
}

/** Layout of {@link TestCheckRefs}. */
export const TestCheckRefs: Struct<TestCheckRefs> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    length: u64(16),
    uptr: u64(24),
    refs: u32(32),
  },
);

/** CREATE_ACCESS: makes an emulated device on an IOAS. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestCreateAccess {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** Reply: its descriptor. */
  outAccessFd: number;
  /** `MOCK_FLAGS_ACCESS_CREATE_*` (not in v3). */
  flags: number;
}

/** Layout of {@link TestCreateAccess}. */
export const TestCreateAccess: Struct<TestCreateAccess> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    outAccessFd: u32(16),
    flags: u32(20),
  },
);

/** DESTROY_ACCESS_PAGES (v3: DESTROY_ACCESS_ITEM): unpins one item. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestDestroyAccessPages {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** The item. */
  accessPagesId: number;
}

/** Layout of {@link TestDestroyAccessPages}. */
export const TestDestroyAccessPages: Struct<TestDestroyAccessPages> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    accessPagesId: u32(16),
  },
);

/** ACCESS_PAGES: pins pages through an access. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestAccessPages {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** `MOCK_FLAGS_ACCESS_*`. */
  flags: number;
  /** Reply: the item. */
  outAccessPagesId: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes. */
  length: bigint;
  /** Address of the memory to compare with, 0 to skip. */
  uptr: bigint;
}

/** Layout of {@link TestAccessPages}. */
export const TestAccessPages: Struct<TestAccessPages> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    flags: u32(16),
    outAccessPagesId: u32(20),
    iova: u64(24),
    length: u64(32),
    uptr: u64(40),
  },
);

/** ACCESS_RW: reads or writes IOVA through an access. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestAccessRw {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes. */
  length: bigint;
  /** Address of the caller's buffer. */
  uptr: bigint;
  /** `MOCK_ACCESS_RW_*`. */
  flags: number;
}

/** Layout of {@link TestAccessRw}. */
export const TestAccessRw: Struct<TestAccessRw> = struct("iommu_test_cmd", 72, {
  size: u32(0),
  op: u32(4),
  id: u32(8),
  iova: u64(16),
  length: u64(24),
  uptr: u64(32),
  flags: u32(40),
});

/** SET_TEMP_MEMORY_LIMIT: bounds the memory of one batch. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestMemoryLimit {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** Bytes. */
  limit: number;
}

/** Layout of {@link TestMemoryLimit}. */
export const TestMemoryLimit: Struct<TestMemoryLimit> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    limit: u32(16),
  },
);

/** ACCESS_REPLACE_IOAS: moves an access to another IOAS. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestAccessReplaceIoas {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** The IOAS. */
  ioasId: number;
}

/** Layout of {@link TestAccessReplaceIoas}. */
export const TestAccessReplaceIoas: Struct<TestAccessReplaceIoas> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    ioasId: u32(16),
  },
);

/** DIRTY: marks IOPTEs dirty. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestDirty {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** Unused. */
  flags: number;
  /** First IOVA. */
  iova: bigint;
  /** Bytes. */
  length: bigint;
  /** Bytes that one bit stands for. */
  pageSize: bigint;
  /** Address of the bitmap. */
  uptr: bigint;
  /** Reply: IOPTEs marked. */
  outNrDirty: bigint;
}

/** Layout of {@link TestDirty}. */
export const TestDirty: Struct<TestDirty> = struct("iommu_test_cmd", 72, {
  size: u32(0),
  op: u32(4),
  id: u32(8),
  flags: u32(16),
  iova: u64(24),
  length: u64(32),
  pageSize: u64(40),
  uptr: u64(48),
  outNrDirty: u64(56),
});

/** MD_CHECK_IOTLB: checks an entry of a nested domain's IOTLB. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestCheckIotlb {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** The entry. */
  iotlbId: number;
  /** Value it must have. */
  iotlb: number;
}

/** Layout of {@link TestCheckIotlb}. */
export const TestCheckIotlb: Struct<TestCheckIotlb> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    iotlbId: u32(16),
    iotlb: u32(20),
  },
);

/** TRIGGER_IOPF: makes a device report a page fault. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestTriggerIopf {
  /** Bytes of this struct that the caller provides. */
  size: number;
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** The bound device. */
  devId: number;
  /** PASID, 0 for none. */
  pasid: number;
  /** Page request group. */
  grpid: number;
  /** `IOMMU_PGFAULT_PERM_*`. */
  perm: number;
  /** Faulting address. */
  addr: bigint;
}

/** Layout of {@link TestTriggerIopf}. */
export const TestTriggerIopf: Struct<TestTriggerIopf> = struct(
  "iommu_test_cmd",
  72,
  {
    size: u32(0),
    op: u32(4),
    id: u32(8),
    devId: u32(16),
    pasid: u32(20),
    grpid: u32(24),
    perm: u32(28),
    addr: u64(32),
  },
);

/** The mock's hardware information. Linux: `struct iommu_test_hw_info`, 8 bytes. */
export interface TestHwInfo {
  /** 0. */
  flags: number;
  /** `IOMMU_HW_INFO_SELFTEST_REGVAL`. */
  testReg: number;
}

/** Layout of {@link TestHwInfo}. */
export const TestHwInfo: Struct<TestHwInfo> = struct("iommu_test_hw_info", 8, {
  flags: u32(0),
  testReg: u32(4),
});

/** Driver data of the mock's nested HWPT. Linux: `struct iommu_hwpt_selftest`, 4 bytes. */
export interface HwptSelftest {
  /** First value of each IOTLB entry. */
  iotlb: number;
}

/** Layout of {@link HwptSelftest}. */
export const HwptSelftest: Struct<HwptSelftest> = struct(
  "iommu_hwpt_selftest",
  4,
  {
    iotlb: u32(0),
  },
);

/** One invalidation request of the mock. Linux: `struct iommu_hwpt_invalidate_selftest`, 8 bytes. */
export interface HwptInvalidateSelftest {
  /** `IOMMU_TEST_INVALIDATE_FLAG_ALL` or 0. */
  flags: number;
  /** Entry to clear. */
  iotlbId: number;
}

/** Layout of {@link HwptInvalidateSelftest}. */
export const HwptInvalidateSelftest: Struct<HwptInvalidateSelftest> = struct(
  "iommu_hwpt_invalidate_selftest",
  8,
  {
    flags: u32(0),
    iotlbId: u32(4),
  },
);
