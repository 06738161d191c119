// SPDX-License-Identifier: GPL-2.0-only

/**
 * The selftest module's ioctl in the typed client: mock devices, checks of
 * what they map, and accesses. One method for each operation, named after it.
 *
 * @module
 */

import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ACCESS_PAGES,
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
  IOMMU_TEST_OP_ACCESS_RW,
  IOMMU_TEST_OP_ADD_RESERVED,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
  IOMMU_TEST_OP_DIRTY,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  MOCK_ACCESS_RW_WRITE,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
  MOCK_FLAGS_ACCESS_WRITE,
  TestAccessPages,
  TestAccessReplaceIoas,
  TestAccessRw,
  TestAddReserved,
  TestCheckIotlb,
  TestCheckMap,
  TestCheckRefs,
  TestCreateAccess,
  TestDestroyAccessPages,
  TestDirty,
  TestMemoryLimit,
  TestMockDomain,
  TestMockDomainReplace,
  TestTriggerIopf,
} from "../uapi/selftest.ts";
import type { Struct } from "../uapi/struct.ts";
import { toBoolean, toBytes, toU32, toU64, type U64 } from "./arguments.ts";
import { type Descriptor, revisionOf, ScratchMemory } from "./descriptor.ts";

/** One operation: its name, its number in 6.12 and its struct. */
interface Operation<T> {
  readonly name: string;
  readonly op: number;
  readonly layout: Struct<T>;
}

function operation<T>(
  name: string,
  op: number,
  layout: Struct<T>,
): Operation<T> {
  return { name: `IOMMU_TEST_OP_${name}`, op, layout };
}

const ADD_RESERVED = operation(
  "ADD_RESERVED",
  IOMMU_TEST_OP_ADD_RESERVED,
  TestAddReserved,
);
const MOCK_DOMAIN = operation(
  "MOCK_DOMAIN",
  IOMMU_TEST_OP_MOCK_DOMAIN,
  TestMockDomain,
);
const MOCK_DOMAIN_FLAGS = operation(
  "MOCK_DOMAIN_FLAGS",
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  TestMockDomain,
);
const MOCK_DOMAIN_REPLACE = operation(
  "MOCK_DOMAIN_REPLACE",
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  TestMockDomainReplace,
);
const MD_CHECK_MAP = operation(
  "MD_CHECK_MAP",
  IOMMU_TEST_OP_MD_CHECK_MAP,
  TestCheckMap,
);
const MD_CHECK_REFS = operation(
  "MD_CHECK_REFS",
  IOMMU_TEST_OP_MD_CHECK_REFS,
  TestCheckRefs,
);
const CREATE_ACCESS = operation(
  "CREATE_ACCESS",
  IOMMU_TEST_OP_CREATE_ACCESS,
  TestCreateAccess,
);
const ACCESS_PAGES = operation(
  "ACCESS_PAGES",
  IOMMU_TEST_OP_ACCESS_PAGES,
  TestAccessPages,
);
const DESTROY_ACCESS_PAGES = operation(
  "DESTROY_ACCESS_PAGES",
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
  TestDestroyAccessPages,
);
const ACCESS_RW = operation("ACCESS_RW", IOMMU_TEST_OP_ACCESS_RW, TestAccessRw);
const ACCESS_REPLACE_IOAS = operation(
  "ACCESS_REPLACE_IOAS",
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
  TestAccessReplaceIoas,
);
const SET_TEMP_MEMORY_LIMIT = operation(
  "SET_TEMP_MEMORY_LIMIT",
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  TestMemoryLimit,
);
const DIRTY = operation("DIRTY", IOMMU_TEST_OP_DIRTY, TestDirty);
const MD_CHECK_IOTLB = operation(
  "MD_CHECK_IOTLB",
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  TestCheckIotlb,
);
const TRIGGER_IOPF = operation(
  "TRIGGER_IOPF",
  IOMMU_TEST_OP_TRIGGER_IOPF,
  TestTriggerIopf,
);

/** The ids of a new mock device. */
export interface MockDomainIds {
  /** The selftest object; destroying it detaches and unbinds the device. */
  readonly stdevId: number;
  /** The HWPT that it is attached to. */
  readonly hwptId: number;
  /** The bound device; undefined in revisions whose mock domains have no device. */
  readonly idevId: number | undefined;
}

/** A range of IOVA that an access uses. */
export interface AccessOptions {
  /** The access's descriptor, from {@link MockClient.createAccess}. */
  readonly accessFd: number;
  /** First IOVA. */
  readonly iova: U64;
  /** Bytes, at most 16 MiB. */
  readonly length: U64;
  /** True to write, false (the default) to read. */
  readonly write?: boolean;
}

/**
 * IOMMU_TEST_CMD on an open iommufd, in the layout of the kernel's revision;
 * see `IommufdClient.mock`. An operation that the revision does not have throws
 * EOPNOTSUPP.
 */
export class MockClient {
  readonly #descriptor: Descriptor;

  /** For `IommufdClient`. */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /** ADD_RESERVED: reserves IOVA of an IOAS for as long as it lives. Throws EADDRINUSE where something is mapped or allowed. */
  addReserved(
    options: {
      readonly ioasId: number;
      readonly start: U64;
      readonly length: U64;
    },
  ): void {
    this.#call(ADD_RESERVED, options, {
      id: toU32("ioasId", options.ioasId),
      start: toU64("start", options.start),
      length: toU64("length", options.length),
    });
  }

  /**
   * MOCK_DOMAIN, or MOCK_DOMAIN_FLAGS if `devFlags` (`MOCK_FLAGS_DEVICE_*`)
   * are given: a new mock device, attached to an IOAS or HWPT. Throws ENOENT
   * without such an object; EADDRINUSE for areas that the device cannot map;
   * EFAULT, ENOMEM for pages that cannot be pinned.
   */
  mockDomain(
    options: { readonly ptId: number; readonly devFlags?: number },
  ): MockDomainIds {
    const { devFlags } = options;
    const id = toU32("ptId", options.ptId);
    const reply = devFlags === undefined
      ? this.#call(MOCK_DOMAIN, options, {
        id,
      })
      : this.#call(MOCK_DOMAIN_FLAGS, options, {
        id,
        devFlags: toU32("devFlags", devFlags),
      });
    const { outStdevId: stdevId, outHwptId, outIdevId } = reply;
    return revisionOf(this.#descriptor.process).selftest.mockDomainBindsDevice
      ? { stdevId, hwptId: outHwptId, idevId: outIdevId }
      : { stdevId, hwptId: reply.id, idevId: undefined };
  }

  /** MOCK_DOMAIN_REPLACE: attaches a mock device to another IOAS or HWPT; returns its HWPT. Throws as {@link mockDomain}. */
  mockDomainReplace(
    options: { readonly stdevId: number; readonly ptId: number },
  ): { hwptId: number } {
    const { ptId } = this.#call(MOCK_DOMAIN_REPLACE, options, {
      id: toU32("stdevId", options.stdevId),
      ptId: toU32("ptId", options.ptId),
    });
    return { hwptId: ptId };
  }

  /** MD_CHECK_MAP: throws EINVAL unless a mock domain maps the range to the memory at `userVa`. */
  checkMap(
    options: {
      readonly hwptId: number;
      readonly iova: U64;
      readonly length: U64;
      readonly userVa: U64;
    },
  ): void {
    this.#call(MD_CHECK_MAP, options, {
      id: toU32("hwptId", options.hwptId),
      iova: toU64("iova", options.iova),
      length: toU64("length", options.length),
      uptr: toU64("userVa", options.userVa),
    });
  }

  /** MD_CHECK_REFS: throws EIO unless each page of the memory is pinned `refs` times. */
  checkRefs(
    options: {
      readonly userVa: U64;
      readonly length: U64;
      readonly refs: number;
    },
  ): void {
    this.#call(MD_CHECK_REFS, options, {
      length: toU64("length", options.length),
      uptr: toU64("userVa", options.userVa),
      refs: toU32("refs", options.refs),
    });
  }

  /**
   * CREATE_ACCESS: a new access on an IOAS; close its descriptor to destroy
   * it. `pins` (default true) says that it will pin pages, which raises the
   * IOAS's alignment to CPU pages in revisions that ask.
   */
  createAccess(
    options: { readonly ioasId: number; readonly pins?: boolean },
  ): { accessFd: number } {
    const revision = revisionOf(this.#descriptor.process);
    const pins = toBoolean("pins", options.pins ?? true);
    const { outAccessFd } = this.#call(CREATE_ACCESS, options, {
      id: toU32("ioasId", options.ioasId),
      ...pins && revision.access.needsPinPages
        ? { flags: MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES }
        : {},
    });
    return { accessFd: outAccessFd };
  }

  /**
   * ACCESS_PAGES: pins pages through an access and returns the item that
   * stands for them. With `userVa` it throws EBADE unless they are the pages
   * of the memory there. Throws ENOENT where nothing is mapped, EINVAL for a
   * misaligned range, EPERM to write a read-only mapping.
   */
  accessPages(
    options: AccessOptions & { readonly userVa?: U64 },
  ): { itemId: number } {
    const write = toBoolean("write", options.write ?? false);
    const { outAccessPagesId } = this.#call(ACCESS_PAGES, options, {
      id: toU32("accessFd", options.accessFd),
      flags: write ? MOCK_FLAGS_ACCESS_WRITE : 0,
      iova: toU64("iova", options.iova),
      length: toU64("length", options.length),
      uptr: toU64("userVa", options.userVa ?? 0n),
    });
    return { itemId: outAccessPagesId };
  }

  /** DESTROY_ACCESS_PAGES: unpins an item. Throws ENOENT without such an item. */
  destroyAccessPages(
    options: { readonly accessFd: number; readonly itemId: number },
  ): void {
    this.#call(DESTROY_ACCESS_PAGES, options, {
      id: toU32("accessFd", options.accessFd),
      accessPagesId: toU32("itemId", options.itemId),
    });
  }

  /**
   * ACCESS_RW: copies from IOVA to the memory at `userVa`, or to IOVA if
   * `write` is set; `flags` adds to that (`MOCK_ACCESS_RW_SLOW_PATH`). Throws
   * as {@link accessPages}, without its rules about alignment.
   */
  accessRw(
    options: AccessOptions & {
      readonly userVa: U64;
      readonly flags?: number;
    },
  ): void {
    const write = toBoolean("write", options.write ?? false);
    const flags = toU32("flags", options.flags ?? 0);
    this.#call(ACCESS_RW, options, {
      id: toU32("accessFd", options.accessFd),
      iova: toU64("iova", options.iova),
      length: toU64("length", options.length),
      uptr: toU64("userVa", options.userVa),
      flags: flags | (write ? MOCK_ACCESS_RW_WRITE : 0),
    });
  }

  /** ACCESS_REPLACE_IOAS: moves an access to another IOAS; its pins are taken back. */
  accessReplaceIoas(
    options: { readonly accessFd: number; readonly ioasId: number },
  ): void {
    this.#call(ACCESS_REPLACE_IOAS, options, {
      id: toU32("accessFd", options.accessFd),
      ioasId: toU32("ioasId", options.ioasId),
    });
  }

  /** SET_TEMP_MEMORY_LIMIT: bytes that one batch of frame numbers may take; 65536 at first. */
  setTempMemoryLimit(limit: number): void {
    this.#call(SET_TEMP_MEMORY_LIMIT, { limit }, {
      limit: toU32("limit", limit),
    });
  }

  /**
   * DIRTY: devices write the pages whose bits are set in `bitmap`, one bit for
   * `pageSize` bytes. Returns how many IO pages became dirty. Throws EINVAL for
   * a HWPT that does not track, or a misaligned range.
   */
  dirty(
    options: {
      readonly hwptId: number;
      readonly iova: U64;
      readonly length: U64;
      readonly pageSize: U64;
      readonly bitmap: Uint8Array;
    },
  ): { marked: bigint } {
    const { bitmap, ...args } = options;
    const { process } = this.#descriptor;
    using memory = new ScratchMemory(process, toBytes("bitmap", bitmap).length);
    memory.store(bitmap);
    const { outNrDirty } = this.#call(DIRTY, args, {
      id: toU32("hwptId", options.hwptId),
      iova: toU64("iova", options.iova),
      length: toU64("length", options.length),
      pageSize: toU64("pageSize", options.pageSize),
      uptr: BigInt(memory.address),
    });
    return { marked: outNrDirty };
  }

  /** MD_CHECK_IOTLB: throws EINVAL unless entry `iotlbId` of a nested HWPT's cache is `iotlb`. */
  checkIotlb(
    options: {
      readonly hwptId: number;
      readonly iotlbId: number;
      readonly iotlb: number;
    },
  ): void {
    this.#call(MD_CHECK_IOTLB, options, {
      id: toU32("hwptId", options.hwptId),
      iotlbId: toU32("iotlbId", options.iotlbId),
      iotlb: toU32("iotlb", options.iotlb),
    });
  }

  /** TRIGGER_IOPF: a mock device reports a page fault. Throws ENOENT without such a device. */
  triggerIopf(
    options: {
      readonly devId: number;
      readonly addr: U64;
      readonly pasid?: number;
      readonly grpid?: number;
      readonly perm?: number;
    },
  ): void {
    this.#call(TRIGGER_IOPF, options, {
      devId: toU32("devId", options.devId),
      addr: toU64("addr", options.addr),
      pasid: toU32("pasid", options.pasid ?? 0),
      grpid: toU32("grpid", options.grpid ?? 0),
      perm: toU32("perm", options.perm ?? 0),
    });
  }

  /** One operation in the revision's layout: its numbers and its length differ. */
  #call<T extends { size: number; op: number }>(
    { name, op, layout }: Operation<T>,
    options: object,
    values: Partial<Omit<T, "size" | "op">>,
  ): T {
    const { size, firstOp } = revisionOf(this.#descriptor.process).selftest.cmd;
    const bytes = layout.encode(values as Partial<T>);
    const view = layout.at(bytes);
    view.size = size;
    view.op = op - IOMMU_TEST_OP_ADD_RESERVED + firstOp;
    this.#descriptor.callBytes(name, IOMMU_TEST_CMD, bytes.subarray(0, size), {
      ...options,
    });
    return layout.decode(bytes);
  }
}
