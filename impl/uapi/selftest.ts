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

import { PGFAULT_PERMS } from "./fault.ts";
import {
  type Constant,
  type IoctlStruct,
  type Numbered,
  numbered,
  type Sized,
} from "./ioctl.ts";
import * as role from "./layout/roles.ts";
import { O_CLOEXEC, O_RDWR } from "./mman.ts";
import type { Revision } from "./revision.ts";
import { valueIn } from "./revision/versions.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
  MOCK_FLAGS_ACCESS_SYZ,
  MOCK_FLAGS_ACCESS_WRITE,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
} from "./selftest_values.ts";
import {
  type FieldSpec,
  type Struct,
  struct,
  type Values,
} from "./layout/struct.ts";

export * from "./selftest_values.ts";
export * from "./selftest_viommu.ts";

/** ioctl: one operation of the selftest module (CONFIG_IOMMUFD_TEST). */
export const IOMMU_TEST_CMD: number = 0x3ba0;
/** Test operation ADD_RESERVED; v3 counts from 0. */
export const IOMMU_TEST_OP_ADD_RESERVED: number = 1;
/** Test operation MOCK_DOMAIN; v3 counts from 0. */
export const IOMMU_TEST_OP_MOCK_DOMAIN: number = 2;
/** Test operation MD_CHECK_MAP; v3 counts from 0. */
export const IOMMU_TEST_OP_MD_CHECK_MAP: number = 3;
/** Test operation MD_CHECK_REFS; v3 counts from 0. */
export const IOMMU_TEST_OP_MD_CHECK_REFS: number = 4;
/** Test operation CREATE_ACCESS; v3 counts from 0. */
export const IOMMU_TEST_OP_CREATE_ACCESS: number = 5;
/** Test operation DESTROY_ACCESS_PAGES; v3 counts from 0. */
export const IOMMU_TEST_OP_DESTROY_ACCESS_PAGES: number = 6;
/** Test operation ACCESS_PAGES; v3 counts from 0. */
export const IOMMU_TEST_OP_ACCESS_PAGES: number = 7;
/** Test operation ACCESS_RW; v3 counts from 0. */
export const IOMMU_TEST_OP_ACCESS_RW: number = 8;
/** Test operation SET_TEMP_MEMORY_LIMIT; v3 counts from 0. */
export const IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT: number = 9;
/** Test operation MOCK_DOMAIN_REPLACE; v3 counts from 0. */
export const IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: number = 10;
/** Test operation ACCESS_REPLACE_IOAS; v3 counts from 0. */
export const IOMMU_TEST_OP_ACCESS_REPLACE_IOAS: number = 11;
/** Test operation MOCK_DOMAIN_FLAGS; v3 counts from 0. */
export const IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS: number = 12;
/** Test operation DIRTY; v3 counts from 0. */
export const IOMMU_TEST_OP_DIRTY: number = 13;
/** Test operation MD_CHECK_IOTLB; v3 counts from 0. */
export const IOMMU_TEST_OP_MD_CHECK_IOTLB: number = 14;
/** Test operation TRIGGER_IOPF; v3 counts from 0. */
export const IOMMU_TEST_OP_TRIGGER_IOPF: number = 15;

/** Test operation PASID_ATTACH; v3 counts from 0. */
export const IOMMU_TEST_OP_PASID_ATTACH: number = 18;
/** Test operation PASID_REPLACE; v3 counts from 0. */
export const IOMMU_TEST_OP_PASID_REPLACE: number = 19;
/** Test operation PASID_DETACH; v3 counts from 0. */
export const IOMMU_TEST_OP_PASID_DETACH: number = 20;
/** Test operation PASID_CHECK_HWPT; v3 counts from 0. */
export const IOMMU_TEST_OP_PASID_CHECK_HWPT: number = 21;
/** Test operation DMABUF_GET; v3 counts from 0. */
export const IOMMU_TEST_OP_DMABUF_GET: number = 22;
/** Test operation DMABUF_REVOKE; v3 counts from 0. */
export const IOMMU_TEST_OP_DMABUF_REVOKE: number = 23;
/** Test operation DEV_CHECK_CACHE; v3 counts from 0. */
export const IOMMU_TEST_OP_DEV_CHECK_CACHE: number = 16;
/** Test operation TRIGGER_VEVENT; v3 counts from 0. */
export const IOMMU_TEST_OP_TRIGGER_VEVENT: number = 17;

/** What all test operations share. Linux: `struct iommu_test_cmd`, 72 bytes. */
export interface TestCmd extends Sized {
  /** `IOMMU_TEST_OP_*`. */
  op: number;
  /** Object the operation acts on. */
  id: number;
  /** Nobody looks at it. */
  reserved: number;
  /** Last field of the struct in 6.12. */
  last: number;
}

/** A struct with fields in the union, whose widest members are u64. */
function testStruct<T extends TestCmd>(
  fields: Omit<AllFields<NoInfer<T>>, keyof TestCmd> & { id?: FieldSpec },
): Struct<T> {
  const all = {
    size: role.size(),
    op: role.u32(),
    id: role.unused(),
    reserved: role.unused(),
    ...fields,
    last: role.at(64, role.unused()),
  };
  return struct<T>("iommu_test_cmd", all as AllFields<T>, 8);
}

type AllFields<T> = Record<keyof T & string, FieldSpec>;

/** Layout of {@link TestCmd}. */
export const TestCmd: IoctlStruct<TestCmd> = {
  ...testStruct<TestCmd>({}),
  ioctl: numbered({ IOMMU_TEST_CMD }),
  // Before 6.7 the union was shorter, and `last` stood 16 bytes before.
  sizeIn: (version) => valueIn(version, { v3: 56, "6.7": TestCmd.size })!,
  minSizeIn: (version) => TestCmd.sizeIn(version) - 4,
};

/** The struct of a test operation. */
export interface TestOp<T> extends Struct<T> {
  /** The operation. v3 counts them from 0. */
  readonly op: Numbered;
}

function testOp<T extends TestCmd>(
  constant: Constant,
  fields: Parameters<typeof testStruct<T>>[0],
): TestOp<T> {
  return { ...testStruct<T>(fields), op: numbered(constant) };
}

/** ADD_RESERVED: reserves IOVA of an IOAS. */
export interface TestAddReserved extends TestCmd {
  /** First IOVA. */
  start: bigint;
  /** Bytes. */
  length: bigint;
}

/** Layout of {@link TestAddReserved}. */
export const TestAddReserved: TestOp<TestAddReserved> = testOp(
  { IOMMU_TEST_OP_ADD_RESERVED },
  { id: role.id("IOAS"), start: role.iova(), length: role.length() },
);

/** MOCK_DOMAIN: makes a mock device and attaches it. */
export interface TestMockDomain extends TestCmd {
  /** Reply: id of the selftest device object. */
  outStdevId: number;
  /** Reply: id of its HWPT (v3: returned in `id`). */
  outHwptId: number;
  /** Reply: id of the bound device object (not in v3). */
  outIdevId: number;
}

/** What a device can be attached to. */
const pageTable = (): FieldSpec =>
  role.id("IOAS", "HWPT_PAGING", "HWPT_NESTED");

/** The fields of MOCK_DOMAIN. */
const MOCK_DOMAIN = {
  id: role.inout(pageTable()),
  outStdevId: role.out(role.id("SELFTEST")),
  outHwptId: role.out(role.id("HWPT_PAGING", "HWPT_NESTED")),
  outIdevId: role.out(role.id("DEVICE")),
};

/** Layout of {@link TestMockDomain}. */
export const TestMockDomain: TestOp<TestMockDomain> = testOp(
  { IOMMU_TEST_OP_MOCK_DOMAIN },
  MOCK_DOMAIN,
);

/** MOCK_DOMAIN_FLAGS: the same, with a choice of devices. */
export interface TestMockDomainFlags extends TestMockDomain {
  /** `MOCK_FLAGS_DEVICE_*`. */
  devFlags: number;
}

/** Layout of {@link TestMockDomainFlags}. */
export const TestMockDomainFlags: TestOp<TestMockDomainFlags> = testOp(
  { IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, since: "6.7" },
  {
    ...MOCK_DOMAIN,
    devFlags: role.flags({
      NO_DIRTY: MOCK_FLAGS_DEVICE_NO_DIRTY,
      HUGE_IOVA: MOCK_FLAGS_DEVICE_HUGE_IOVA,
      PASID: MOCK_FLAGS_DEVICE_PASID,
    }),
  },
);

/** MOCK_DOMAIN_REPLACE: attaches a mock device elsewhere. */
export interface TestMockDomainReplace extends TestCmd {
  /** IOAS or HWPT; reply: the HWPT. */
  ptId: number;
}

/** Layout of {@link TestMockDomainReplace}. */
export const TestMockDomainReplace: TestOp<TestMockDomainReplace> = testOp(
  { IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, since: "6.6" },
  { id: role.id("SELFTEST"), ptId: role.inout(pageTable()) },
);

/** MD_CHECK_MAP: compares IOPTEs with the pages of user memory. */
export interface TestCheckMap extends TestCmd {
  /** First IOVA. */
  iova: bigint;
  /** Bytes. */
  length: bigint;
  /** Address of the memory. */
  uptr: bigint;
}

/** Layout of {@link TestCheckMap}. */
export const TestCheckMap: TestOp<TestCheckMap> = testOp(
  { IOMMU_TEST_OP_MD_CHECK_MAP },
  {
    id: role.id("HWPT_PAGING"),
    iova: role.iova(),
    length: role.length(),
    uptr: role.pointer("pins", "length"),
  },
);

/** MD_CHECK_REFS: checks how often pages are pinned. */
export interface TestCheckRefs extends TestCmd {
  /** Bytes. */
  length: bigint;
  /** Address of the memory. */
  uptr: bigint;
  /** Pins that each page must have. */
  refs: number;
}

/** Layout of {@link TestCheckRefs}. */
export const TestCheckRefs: TestOp<TestCheckRefs> = testOp(
  { IOMMU_TEST_OP_MD_CHECK_REFS },
  {
    length: role.length(),
    uptr: role.pointer("pins", "length"),
    refs: role.u32(),
  },
);

/** CREATE_ACCESS: makes an emulated device on an IOAS. */
export interface TestCreateAccess extends TestCmd {
  /** Reply: its descriptor. */
  outAccessFd: number;
  /** `MOCK_FLAGS_ACCESS_CREATE_*` (not in v3). */
  flags: number;
}

/** Layout of {@link TestCreateAccess}. */
export const TestCreateAccess: TestOp<TestCreateAccess> = testOp(
  { IOMMU_TEST_OP_CREATE_ACCESS },
  {
    id: role.id("IOAS"),
    outAccessFd: role.out(role.fd("access")),
    flags: role.flags({
      NEEDS_PIN_PAGES: MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
    }),
  },
);

/** DESTROY_ACCESS_PAGES (v3: DESTROY_ACCESS_ITEM): unpins one item. */
export interface TestDestroyAccessPages extends TestCmd {
  /** The item. */
  accessPagesId: number;
}

/** Layout of {@link TestDestroyAccessPages}. */
export const TestDestroyAccessPages: TestOp<TestDestroyAccessPages> = testOp(
  { IOMMU_TEST_OP_DESTROY_ACCESS_PAGES },
  { id: role.fd("access"), accessPagesId: role.id("ACCESS_PAGES") },
);

/** ACCESS_PAGES: pins pages through an access. */
export interface TestAccessPages extends TestCmd {
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
export const TestAccessPages: TestOp<TestAccessPages> = testOp(
  { IOMMU_TEST_OP_ACCESS_PAGES },
  {
    id: role.fd("access"),
    flags: role.flags({
      WRITE: MOCK_FLAGS_ACCESS_WRITE,
      SYZ: MOCK_FLAGS_ACCESS_SYZ,
    }),
    outAccessPagesId: role.out(role.id("ACCESS_PAGES")),
    iova: role.iova(),
    length: role.length(),
    uptr: role.pointer("pins", "length"),
  },
);

/** ACCESS_RW: reads or writes IOVA through an access. */
export interface TestAccessRw extends TestCmd {
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
export const TestAccessRw: TestOp<TestAccessRw> = testOp(
  { IOMMU_TEST_OP_ACCESS_RW },
  {
    id: role.fd("access"),
    iova: role.iova(),
    length: role.length(),
    uptr: role.pointer("reads or writes", "length"),
    flags: role.flags({
      WRITE: MOCK_ACCESS_RW_WRITE,
      SLOW_PATH: MOCK_ACCESS_RW_SLOW_PATH,
      SYZ: MOCK_FLAGS_ACCESS_SYZ,
    }),
  },
);

/** SET_TEMP_MEMORY_LIMIT: bounds the memory of one batch. */
export interface TestMemoryLimit extends TestCmd {
  /** Bytes. */
  limit: number;
}

/** Layout of {@link TestMemoryLimit}. */
export const TestMemoryLimit: TestOp<TestMemoryLimit> = testOp(
  { IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT },
  { limit: role.length("u32") },
);

/** ACCESS_REPLACE_IOAS: moves an access to another IOAS. */
export interface TestAccessReplaceIoas extends TestCmd {
  /** The IOAS. */
  ioasId: number;
}

/** Layout of {@link TestAccessReplaceIoas}. */
export const TestAccessReplaceIoas: TestOp<TestAccessReplaceIoas> = testOp(
  { IOMMU_TEST_OP_ACCESS_REPLACE_IOAS, since: "6.6" },
  { id: role.fd("access"), ioasId: role.id("IOAS") },
);

/** DIRTY: marks IOPTEs dirty. */
export interface TestDirty extends TestCmd {
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
export const TestDirty: TestOp<TestDirty> = testOp(
  { IOMMU_TEST_OP_DIRTY, since: "6.7" },
  {
    id: role.id("HWPT_PAGING"),
    flags: role.unused(),
    iova: role.iova(),
    length: role.length(),
    pageSize: role.alignment(),
    uptr: role.pointer("reads", "length", { unit: { bitPer: "pageSize" } }),
    outNrDirty: role.out(role.u64()),
  },
);

/** MD_CHECK_IOTLB: checks an entry of a nested domain's IOTLB. */
export interface TestCheckIotlb extends TestCmd {
  /** The entry. */
  iotlbId: number;
  /** Value it must have. */
  iotlb: number;
}

/** Layout of {@link TestCheckIotlb}. */
export const TestCheckIotlb: TestOp<TestCheckIotlb> = testOp(
  { IOMMU_TEST_OP_MD_CHECK_IOTLB, since: "6.8" },
  { id: role.id("HWPT_NESTED"), iotlbId: role.u32(), iotlb: role.u32() },
);

/** TRIGGER_IOPF: makes a device report a page fault. */
export interface TestTriggerIopf extends TestCmd {
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
export const TestTriggerIopf: TestOp<TestTriggerIopf> = testOp(
  { IOMMU_TEST_OP_TRIGGER_IOPF, since: "6.11" },
  {
    devId: role.id("DEVICE"),
    pasid: role.u32(),
    grpid: role.u32(),
    perm: role.flags(PGFAULT_PERMS),
    addr: role.iova(),
  },
);

/** PASID_ATTACH: attaches a mock device for its DMA with a PASID. */
export interface TestPasidAttach extends TestCmd {
  /** The PASID; 0 is the device's DMA without one. */
  pasid: number;
  /** IOAS or HWPT; reply: the HWPT. */
  ptId: number;
}

/** The fields of PASID_ATTACH and PASID_REPLACE. */
const PASID_ATTACH = {
  id: role.id("SELFTEST"),
  pasid: role.u32(),
  ptId: role.inout(pageTable()),
};

/** Layout of {@link TestPasidAttach}. */
export const TestPasidAttach: TestOp<TestPasidAttach> = testOp(
  { IOMMU_TEST_OP_PASID_ATTACH, since: "6.15" },
  PASID_ATTACH,
);

/** Layout of {@link TestPasidAttach} for PASID_REPLACE: attaches it elsewhere. */
export const TestPasidReplace: TestOp<TestPasidAttach> = testOp(
  { IOMMU_TEST_OP_PASID_REPLACE, since: "6.15" },
  PASID_ATTACH,
);

/** PASID_DETACH: detaches a mock device for a PASID. */
export interface TestPasidDetach extends TestCmd {
  /** The PASID. */
  pasid: number;
}

/** Layout of {@link TestPasidDetach}. */
export const TestPasidDetach: TestOp<TestPasidDetach> = testOp(
  { IOMMU_TEST_OP_PASID_DETACH, since: "6.15" },
  { id: role.id("SELFTEST"), pasid: role.u32() },
);

/** PASID_CHECK_HWPT: checks what a mock device is attached to for a PASID. */
export interface TestPasidCheckHwpt extends TestCmd {
  /** The PASID. */
  pasid: number;
  /** The HWPT; 0 if it is attached to none. */
  hwptId: number;
}

/** Layout of {@link TestPasidCheckHwpt}. */
export const TestPasidCheckHwpt: TestOp<TestPasidCheckHwpt> = testOp(
  { IOMMU_TEST_OP_PASID_CHECK_HWPT, since: "6.15" },
  {
    id: role.id("SELFTEST"),
    pasid: role.u32(),
    hwptId: role.id("HWPT_PAGING", "HWPT_NESTED"),
  },
);

/** DMABUF_GET: makes a DMA buffer; the ioctl returns its descriptor. */
export interface TestDmabufGet extends TestCmd {
  /** Bytes, at most 2 MiB. */
  length: number;
  /** How the file is opened: `O_*`. */
  openFlags: number;
}

/** Layout of {@link TestDmabufGet}. */
export const TestDmabufGet: TestOp<TestDmabufGet> = testOp(
  { IOMMU_TEST_OP_DMABUF_GET, since: "6.19" },
  {
    length: role.length("u32"),
    openFlags: role.flags({ RDWR: O_RDWR, CLOEXEC: O_CLOEXEC }),
  },
);

/** DMABUF_REVOKE: takes a DMA buffer back, or lets it be used again. */
export interface TestDmabufRevoke extends TestCmd {
  /** Its descriptor. */
  dmabufFd: number;
  /** Whether it is taken back. Those who have it mapped lose it in any case. */
  revoked: number;
}

/** Layout of {@link TestDmabufRevoke}. */
export const TestDmabufRevoke: TestOp<TestDmabufRevoke> = testOp(
  { IOMMU_TEST_OP_DMABUF_REVOKE, since: "6.19" },
  { dmabufFd: role.fd("DMA buffer", "s32"), revoked: role.u32() },
);

/** DEV_CHECK_CACHE: checks a word of the cache that a mock device has of its own. */
export interface TestDevCheckCache extends TestCmd {
  /** The word. */
  cacheId: number;
  /** Value it must have. */
  cache: number;
}

/** Layout of {@link TestDevCheckCache}. */
export const TestDevCheckCache: TestOp<TestDevCheckCache> = testOp(
  { IOMMU_TEST_OP_DEV_CHECK_CACHE, since: "6.13" },
  { id: role.id("DEVICE"), cacheId: role.u32(), cache: role.u32() },
);

/** TRIGGER_VEVENT: makes a device report an event to its virtual IOMMU. */
export interface TestTriggerVevent extends TestCmd {
  /** The bound device. */
  devId: number;
}

/** Layout of {@link TestTriggerVevent}. */
export const TestTriggerVevent: TestOp<TestTriggerVevent> = testOp(
  { IOMMU_TEST_OP_TRIGGER_VEVENT, since: "6.15" },
  { devId: role.id("DEVICE") },
);

/**
 * The bytes of a test operation in the form that a revision has. They are a
 * view of the whole struct, so that the operation's layout fits over them.
 */
export function encodeTestOp<T extends TestCmd>(
  layout: TestOp<T>,
  { name, selftest }: Revision,
  values: Partial<T> | Values<T>,
): Uint8Array<ArrayBuffer> {
  const bytes = layout.encode(values);
  const header = TestCmd.at(bytes);
  header.size = TestCmd.sizeIn(name);
  header.op = layout.op.number - IOMMU_TEST_OP_ADD_RESERVED + selftest.firstOp;
  return bytes.subarray(0, header.size);
}
