// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine with one process that has `/dev/iommu` open, for the unit tests of
 * this folder.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Kernel } from "../../kernel.ts";
import type { Process } from "../../kernel/simulated/process.ts";
import { Errno, errnoName } from "../../uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasMap,
  IommuIoasUnmap,
} from "../../uapi/iommufd.ts";
import {
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  TestCmd,
  TestCreateAccess,
  TestMockDomain,
} from "../../uapi/selftest.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";
import { NEWEST, type RevisionName } from "../../uapi/revision.ts";
import type { Struct, Values } from "../../uapi/layout/struct.ts";
import type { IommufdCtx } from "../main.ts";

/** Readable and writable. */
export const RW: number = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
/** Readable and writable at a fixed IOVA. */
export const FIXED_RW: number = RW | IOMMU_IOAS_MAP_FIXED_IOVA;

/** A page, as a length. */
export const PAGE: bigint = BigInt(PAGE_SIZE);
/** An IOVA that mock domains can map. */
export const IOVA: bigint = 1n << 24n;

/** What an ioctl returned: 0 or the errno's name, and the struct after it. */
export type Answer<T> = T & { readonly ret: string | number };

/** The errno that a call of the kernel's own interface throws, by name; "ok" if none. */
export function outcome(call: () => unknown): string {
  try {
    call();
    return "ok";
  } catch (error) {
    if (error instanceof Errno) return error.name;
    throw error;
  }
}

/** A kernel, a process and an open iommufd. */
export class Machine {
  readonly kernel: Kernel;
  readonly process: Process;
  readonly fd: number;

  constructor(
    revision: RevisionName = NEWEST,
    options: { readonly vfioNoIommu?: boolean } = {},
  ) {
    this.kernel = new Kernel({ revision, memory: 2 ** 26, ...options });
    this.process = this.kernel.spawn();
    this.fd = this.process.open("/dev/iommu");
  }

  /** The context behind the descriptor. */
  get ctx(): IommufdCtx {
    return this.process.files.lookup(this.fd) as IommufdCtx;
  }

  /** An ioctl on the iommufd. */
  call<T extends object>(
    cmd: number,
    struct: Struct<T>,
    values: Values<T> = {},
  ): Answer<T> {
    const bytes = struct.encode(values);
    const result = this.process.ioctlStruct(this.fd, cmd, bytes);
    const ret = result < 0 ? errnoName(result) : result;
    return { ...struct.decode(bytes), ret };
  }

  /** A test operation by its number in 6.12. */
  test<T extends { size: number; op: number }>(
    op: number,
    struct: Struct<T>,
    values: Values<T>,
  ): Answer<T> {
    const { name, selftest } = this.kernel.revision;
    const size = TestCmd.sizeIn(name);
    const header = { size, op: op - 1 + selftest.firstOp } as Values<T>;
    return this.call(IOMMU_TEST_CMD, struct, { ...values, ...header });
  }

  /** An ioctl that takes a plain number, by name of the errno. */
  callArg(cmd: number, arg: number | bigint): string | number {
    const result = this.process.ioctl(this.fd, cmd, arg);
    return result < 0 ? errnoName(result) : result;
  }

  /** Shared anonymous memory; its address. */
  memory(pages: number): number {
    const address = this.process.mmap(
      0,
      pages * PAGE_SIZE,
      PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_ANONYMOUS,
    );
    if (address < 0) throw new Error(`mmap: ${errnoName(address)}`);
    return address;
  }

  /** A new IOAS; its id. */
  ioas(): number {
    const answer = this.call(IOMMU_IOAS_ALLOC, IommuIoasAlloc);
    assertEquals(answer.ret, 0);
    return answer.outIoasId;
  }

  /** Maps memory, readable and writable, at IOVA 16 MiB unless told otherwise. */
  map(values: Partial<IommuIoasMap>): Answer<IommuIoasMap> {
    return this.call(IOMMU_IOAS_MAP, IommuIoasMap, {
      flags: FIXED_RW,
      iova: IOVA,
      length: PAGE,
      ...values,
    });
  }

  /** Unmaps a range of an IOAS. */
  unmap(values: Partial<IommuIoasUnmap>): Answer<IommuIoasUnmap> {
    return this.call(IOMMU_IOAS_UNMAP, IommuIoasUnmap, values);
  }

  /** Destroys an object; 0 or the errno's name. */
  destroy(id: number): string | number {
    return this.call(IOMMU_DESTROY, IommuDestroy, { id }).ret;
  }

  /** Attaches a mock domain; the ids of its objects. */
  mockDomain(
    ptId: number,
  ): { ret: string | number; stdev: number; hwpt: number } {
    const answer = this.test(IOMMU_TEST_OP_MOCK_DOMAIN, TestMockDomain, {
      id: ptId,
    });
    const { mockDomainBindsDevice } = this.kernel.revision.selftest;
    return {
      ret: answer.ret,
      stdev: answer.outStdevId,
      hwpt: mockDomainBindsDevice ? answer.outHwptId : answer.id,
    };
  }

  /** An access made for pinning; its descriptor. */
  access(ioasId: number, flags = 1): number {
    const answer = this.test(IOMMU_TEST_OP_CREATE_ACCESS, TestCreateAccess, {
      id: ioasId,
      flags: this.kernel.revision.access.needsPinPages ? flags : 0,
    });
    assertEquals(answer.ret, 0);
    return answer.outAccessFd;
  }

  /** Ends the process; nothing may be left, and nothing warned about beyond what is expected. */
  end(expectedWarnings: readonly string[] = []): void {
    this.process.exit();
    assertEquals(
      this.kernel.audit(),
      expectedWarnings.map((what) => `The kernel warned: ${what}.`),
    );
  }
}
