// SPDX-License-Identifier: GPL-2.0-only

/**
 * The operations of the kernel's selftest module (IOMMU_TEST_CMD) as typed,
 * asserting calls, in the layout that the revision has.
 *
 * @module
 */

import { EFAULT, type Errno } from "../../impl/uapi/errno.ts";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ACCESS_PAGES,
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
  IOMMU_TEST_OP_ACCESS_RW,
  IOMMU_TEST_OP_ADD_RESERVED,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
  TestAccessPages,
  TestAccessReplaceIoas,
  TestAccessRw,
  TestAddReserved,
  TestCheckMap,
  TestCheckRefs,
  TestCreateAccess,
  TestDestroyAccessPages,
  TestMemoryLimit,
  TestMockDomain,
  TestMockDomainFlags,
  TestMockDomainReplace,
} from "../../impl/uapi/selftest.ts";
import {
  type Revision,
  REVISION_NAMES,
  type RevisionName,
} from "../../impl/uapi/revision.ts";
import { type ByVersion, valueIn } from "../../impl/uapi/revision/versions.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import { assertEq } from "../harness/harness.ts";
import type { Iommufd } from "./ioctls.ts";

/** Default of SET_TEMP_MEMORY_LIMIT, bytes. */
const DEFAULT_MEMORY_LIMIT = 65536;

/** Operations without which a test can go on, and what it then leaves out. */
export const WEAKER = {
  SET_TEMP_MEMORY_LIMIT: "no memory limit was set",
  MD_CHECK_REFS: "nobody looked how often pages are pinned",
} as const;

/** The test ioctl's struct and numbers. */
export interface TestCmdForm {
  /** Bytes of the struct. */
  readonly size: number;
  /** Bytes that a caller must provide at least. */
  readonly minSize: number;
  /** Number of the first operation. */
  readonly firstOp: number;
  /** Number of operations. */
  readonly ops: number;
}

/** The test ioctl's form by version (S24; iommufd_test.h). */
const TEST_CMD_FORMS: ByVersion<TestCmdForm> = {
  v3: { size: 56, minSize: 52, firstOp: 0, ops: 9 },
  "6.2": { size: 56, minSize: 52, firstOp: 1, ops: 9 },
  "6.6": { size: 56, minSize: 52, firstOp: 1, ops: 11 },
  "6.7": { size: 72, minSize: 68, firstOp: 1, ops: 13 },
  "6.8": { size: 72, minSize: 68, firstOp: 1, ops: 14 },
  "6.11": { size: 72, minSize: 68, firstOp: 1, ops: 15 },
  "7.3": { size: 72, minSize: 68, firstOp: 1, ops: 23 },
};

/** The forms by revision: they are asked for in every call. */
const FORMS = Object.fromEntries(
  REVISION_NAMES.map((name) => [name, valueIn(name, TEST_CMD_FORMS)!]),
) as Record<RevisionName, TestCmdForm>;

/** The test ioctl's form in a revision. */
export function testCmdForm({ name }: Revision): TestCmdForm {
  return FORMS[name];
}

/** The ids that MOCK_DOMAIN returns. */
export interface MockDomain {
  /** The selftest device; destroying it detaches and unbinds. */
  readonly stdevId: number;
  /** Its HWPT. */
  readonly hwptId: number;
  /** The bound device; 0 where the operation makes none. */
  readonly idevId: number;
}

/** What ACCESS_RW transfers. */
export interface AccessRange {
  /** First IOVA. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: number | bigint;
  /** Address to compare with or to transfer to and from; 0 for none. */
  readonly uptr: number | bigint;
  /** `MOCK_FLAGS_ACCESS_*` or `MOCK_ACCESS_RW_*`; default 0. */
  readonly flags?: number;
}

/**
 * The bytes of a test command in a revision's layout. They are a view of 72
 * bytes, so that any operation's struct fits over their buffer.
 */
export function encodeTestCmd<T extends { size: number; op: number }>(
  revision: Revision,
  layout: Struct<T>,
  op: number,
  values: Partial<T>,
): Uint8Array<ArrayBuffer> {
  const { size, firstOp } = testCmdForm(revision);
  const bytes = layout.encode(values);
  const view = layout.at(bytes);
  view.size = size;
  view.op = op - IOMMU_TEST_OP_ADD_RESERVED + firstOp;
  return bytes.subarray(0, size);
}

/** IOMMU_TEST_CMD on one descriptor. */
export class MockIoctls {
  readonly #io: Iommufd;

  /** The operations of an open iommufd. */
  constructor(io: Iommufd) {
    this.#io = io;
  }

  /** One test operation; returns its struct as the kernel left it. */
  async call<T extends { size: number; op: number }>(
    name: string,
    layout: Struct<T>,
    op: number,
    values: Partial<T>,
    errno?: Errno,
  ): Promise<T> {
    const bytes = encodeTestCmd(this.#io.revision, layout, op, values);
    await this.#io.ioctl(
      IOMMU_TEST_CMD,
      bytes,
      errno,
      `IOMMU_TEST_OP_${name}`,
    );
    return layout.decode(bytes);
  }

  /** True where the target lacks an operation that only makes tests stricter; the run is told so. */
  #goesWithout(op: keyof typeof WEAKER): boolean {
    const { info, note } = this.#io.context;
    if (info.testOps?.includes(op) ?? true) return false;
    note(`weaker: ${WEAKER[op]}`);
    return true;
  }

  /** One test operation that cannot answer, since its struct is in memory that cannot be written. */
  async callUnanswered<T extends { size: number; op: number }>(
    name: string,
    layout: Struct<T>,
    op: number,
    values: Partial<T>,
  ): Promise<void> {
    const bytes = encodeTestCmd(this.#io.revision, layout, op, values);
    const what = `IOMMU_TEST_OP_${name}`;
    await this.#io.ioctlReadOnly(IOMMU_TEST_CMD, bytes, EFAULT, what);
  }

  /** ADD_RESERVED: reserves IOVA of an IOAS for as long as it lives. */
  async addReserved(
    ioasId: number,
    start: bigint,
    length: bigint,
    errno?: Errno,
  ): Promise<void> {
    await this.call(
      "ADD_RESERVED",
      TestAddReserved,
      IOMMU_TEST_OP_ADD_RESERVED,
      { id: ioasId, start, length },
      errno,
    );
  }

  /** MOCK_DOMAIN: a mock device on an IOAS or HWPT. */
  async domain(ptId: number, errno?: Errno): Promise<MockDomain> {
    const reply = await this.call(
      "MOCK_DOMAIN",
      TestMockDomain,
      IOMMU_TEST_OP_MOCK_DOMAIN,
      { id: ptId },
      errno,
    );
    return this.#ids(reply, errno);
  }

  /** MOCK_DOMAIN_FLAGS: a mock device with `MOCK_FLAGS_DEVICE_*`. */
  async domainFlags(
    ptId: number,
    devFlags: number,
    errno?: Errno,
  ): Promise<MockDomain> {
    const reply = await this.call(
      "MOCK_DOMAIN_FLAGS",
      TestMockDomainFlags,
      IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
      { id: ptId, devFlags },
      errno,
    );
    return this.#ids(reply, errno);
  }

  /** Where the ids are depends on whether the operation binds a device. */
  #ids(reply: TestMockDomain, errno: Errno | undefined): MockDomain {
    if (!errno) assertEq(reply.id !== 0, true, "MOCK_DOMAIN leaves an id");
    return this.#io.revision.selftest.mockDomainBindsDevice
      ? {
        stdevId: reply.outStdevId,
        hwptId: reply.outHwptId,
        idevId: reply.outIdevId,
      }
      : { stdevId: reply.outStdevId, hwptId: reply.id, idevId: 0 };
  }

  /**
   * Destroys a mock device, and the HWPT where it does not go with its last
   * device.
   */
  async destroyDomain(domain: MockDomain): Promise<void> {
    await this.#io.destroy(domain.stdevId);
    if (!this.#io.revision.selftest.mockDomainBindsDevice) {
      await this.#io.destroy(domain.hwptId);
    }
  }

  /** MOCK_DOMAIN_REPLACE: attaches a mock device to another IOAS or HWPT; returns the HWPT. */
  async replaceDomain(
    stdevId: number,
    ptId: number,
    errno?: Errno,
  ): Promise<number> {
    const reply = await this.call(
      "MOCK_DOMAIN_REPLACE",
      TestMockDomainReplace,
      IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
      { id: stdevId, ptId },
      errno,
    );
    return reply.ptId;
  }

  /** MD_CHECK_MAP: the IOPTEs of a HWPT are the pages of user memory. */
  async checkMap(
    hwptId: number,
    iova: bigint,
    length: number | bigint,
    uptr: number | bigint,
    errno?: Errno,
  ): Promise<void> {
    await this.call(
      "MD_CHECK_MAP",
      TestCheckMap,
      IOMMU_TEST_OP_MD_CHECK_MAP,
      { id: hwptId, iova, length: BigInt(length), uptr: BigInt(uptr) },
      errno,
    );
  }

  /** MD_CHECK_REFS: each page is pinned `refs` times. Tests that expect no errno can do without. */
  async checkRefs(
    uptr: number | bigint,
    length: number | bigint,
    refs: number,
    errno?: Errno,
  ): Promise<void> {
    if (!errno && this.#goesWithout("MD_CHECK_REFS")) return;
    await this.call(
      "MD_CHECK_REFS",
      TestCheckRefs,
      IOMMU_TEST_OP_MD_CHECK_REFS,
      { uptr: BigInt(uptr), length: BigInt(length), refs },
      errno,
    );
  }

  /**
   * CREATE_ACCESS; returns its descriptor. `pins` says whether it will pin
   * pages, which only some revisions must be told.
   */
  async createAccess(
    ioasId: number,
    pins: boolean,
    errno?: Errno,
  ): Promise<number> {
    const flags = pins && this.#io.revision.access.needsPinPages
      ? MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES
      : 0;
    const reply = await this.call(
      "CREATE_ACCESS",
      TestCreateAccess,
      IOMMU_TEST_OP_CREATE_ACCESS,
      { id: ioasId, flags },
      errno,
    );
    return reply.outAccessFd;
  }

  /** Destroys an access by closing its descriptor. */
  async destroyAccess(access: number): Promise<void> {
    assertEq(await this.#io.process.close(access), 0, "close the access");
  }

  /** ACCESS_PAGES: pins pages and compares them with those at `uptr`; returns the item's id. */
  async accessPages(
    access: number,
    { iova, length, uptr, flags = 0 }: AccessRange,
    errno?: Errno,
  ): Promise<number> {
    const reply = await this.call(
      "ACCESS_PAGES",
      TestAccessPages,
      IOMMU_TEST_OP_ACCESS_PAGES,
      {
        id: access,
        iova,
        length: BigInt(length),
        uptr: BigInt(uptr),
        flags,
      },
      errno,
    );
    return reply.outAccessPagesId;
  }

  /** DESTROY_ACCESS_PAGES (v3: DESTROY_ACCESS_ITEM): unpins an item. */
  async destroyAccessPages(
    access: number,
    item: number,
    errno?: Errno,
  ): Promise<void> {
    await this.call(
      "DESTROY_ACCESS_PAGES",
      TestDestroyAccessPages,
      IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
      { id: access, accessPagesId: item },
      errno,
    );
  }

  /** ACCESS_RW: reads IOVA into the memory at `uptr`, or writes it. */
  async accessRw(
    access: number,
    { iova, length, uptr, flags = 0 }: AccessRange,
    errno?: Errno,
  ): Promise<void> {
    await this.call(
      "ACCESS_RW",
      TestAccessRw,
      IOMMU_TEST_OP_ACCESS_RW,
      { id: access, iova, length: BigInt(length), uptr: BigInt(uptr), flags },
      errno,
    );
  }

  /** ACCESS_REPLACE_IOAS: moves an access to another IOAS. */
  async accessReplaceIoas(
    access: number,
    ioasId: number,
    errno?: Errno,
  ): Promise<void> {
    await this.call(
      "ACCESS_REPLACE_IOAS",
      TestAccessReplaceIoas,
      IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
      { id: access, ioasId },
      errno,
    );
  }

  /** SET_TEMP_MEMORY_LIMIT: bounds the memory of one batch, bytes. */
  async setMemoryLimit(
    limit: number = DEFAULT_MEMORY_LIMIT,
    errno?: Errno,
  ): Promise<void> {
    await this.call(
      "SET_TEMP_MEMORY_LIMIT",
      TestMemoryLimit,
      IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
      { limit },
      errno,
    );
  }

  /** The same for a test that can do without. */
  async tryMemoryLimit(limit?: number): Promise<void> {
    if (this.#goesWithout("SET_TEMP_MEMORY_LIMIT")) return;
    await this.setMemoryLimit(limit);
  }
}
