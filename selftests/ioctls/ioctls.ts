// SPDX-License-Identifier: GPL-2.0-only

/**
 * An open `/dev/iommu` with its ioctls as typed, asserting calls: what
 * tools/testing/selftests/iommu/iommufd_utils.h is to the kernel's tests.
 *
 * Every call takes the errno it must fail with as its last argument; without
 * one it must return 0. C's `test_cmd_x` and `test_err_x` are thus one method.
 *
 * @module
 */

import { errnoName } from "../../impl/uapi/errno.ts";
import type { Errno } from "../../impl/uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  IommuDestroy,
  IommuIoasAlloc,
  IommuIoasAllowIovas,
  IommuIoasCopy,
  IommuIoasIovaRanges,
  IommuIoasMap,
  IommuIoasUnmap,
  IommuIovaRange,
  IommuOption,
} from "../../impl/uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDWR,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import {
  assertEq,
  assertErrno,
  AssertionFailure,
  assertOk,
  type Context,
  type TargetProcess,
} from "../harness/harness.ts";
import { call } from "../target/verbs.ts";
import { MockIoctls } from "./mock_ioctls.ts";

/** Pages of {@link TestMemory.buffer}: BUFFER_SIZE of the kernel's tests. */
export const BUFFER_PAGES = 16;

/** Bytes of {@link TestMemory.scratch}. */
const SCRATCH_SIZE = 128 * 1024;

/** Both access rights of a map: what the kernel's map helpers always ask for. */
export const MAP_RW: number = IOMMU_IOAS_MAP_WRITEABLE |
  IOMMU_IOAS_MAP_READABLE;

/** 2^64-1: as a length, with IOVA 0, it unmaps everything. */
export const U64_MAX: bigint = 2n ** 64n - 1n;

/** Memory of the test's process that each test has. */
export interface TestMemory {
  /** 16 pages of shared anonymous memory at a huge-page-aligned address. */
  readonly buffer: number;
  /** Bytes of `buffer`. */
  readonly bufferSize: number;
  /** Private memory for arrays that ioctls point to: the C tests' stack. */
  readonly scratch: number;
}

/** A struct call with more options than the helpers have. */
export interface CopyOptions {
  /** IOAS to map into. */
  readonly dst: number;
  /** IOAS to take the memory from. */
  readonly src: number;
  /** First IOVA to copy. */
  readonly srcIova: bigint;
  /** Bytes. */
  readonly length: bigint;
  /** Where to map; undefined lets the kernel choose. */
  readonly dstIova?: bigint;
  /** `IOMMU_IOAS_MAP_*` beside FIXED_IOVA; default WRITEABLE, as in the kernel's tests. */
  readonly prot?: number;
}

/**
 * Asserts the result of a system call that returns 0: success without
 * `errno`, else exactly that failure.
 */
export function assertResult(
  ret: number,
  errno: Errno | undefined,
  what: string,
): void {
  if (errno) return assertErrno(ret, errno, what);
  if (ret !== 0) throw new AssertionFailure(what, "success", errnoName(ret));
}

/** An open iommufd in one process. */
export class Iommufd {
  /** The test's context. */
  readonly context: Context;
  /** The process that makes the calls. */
  readonly process: TargetProcess;
  /** The descriptor. */
  readonly fd: number;
  /** Memory to test with. */
  readonly memory: TestMemory;
  /** The operations of the selftest module. */
  readonly mock: MockIoctls;

  /** Wraps an open descriptor; {@link Iommufd.open} opens one. */
  constructor(
    context: Context,
    process: TargetProcess,
    fd: number,
    memory: TestMemory,
  ) {
    this.context = context;
    this.process = process;
    this.fd = fd;
    this.memory = memory;
    this.mock = new MockIoctls(this);
  }

  /** Prepares the test's memory and opens `/dev/iommu`: the setup of most fixtures. */
  static async open(context: Context): Promise<Iommufd> {
    return await (await Iommufd.prepare(context)).reopen();
  }

  /** Prepares the test's memory only; the descriptor is -1. */
  static async prepare(context: Context): Promise<Iommufd> {
    const memory = await prepareMemory(context);
    return new Iommufd(context, context.process, -1, memory);
  }

  /** Opens `/dev/iommu` once more, with the same memory. */
  async reopen(): Promise<Iommufd> {
    const fd = await this.process.open("/dev/iommu", O_RDWR);
    return this.at(assertOk(fd, "open /dev/iommu"));
  }

  /** The same descriptor used by another process: a child. */
  in(process: TargetProcess): Iommufd {
    return new Iommufd(this.context, process, this.fd, this.memory);
  }

  /** Another descriptor of the same process. */
  at(fd: number): Iommufd {
    return new Iommufd(this.context, this.process, fd, this.memory);
  }

  /** The revision whose behaviour is asserted. */
  get revision(): Revision {
    return this.context.revision;
  }

  /** Address of the shared test buffer of 16 pages. */
  get buffer(): number {
    return this.memory.buffer;
  }

  /** Bytes of the test buffer. */
  get bufferSize(): bigint {
    return BigInt(this.memory.bufferSize);
  }

  /** Address of private memory for arrays. */
  get scratch(): number {
    return this.memory.scratch;
  }

  /** Bytes of a CPU page. */
  get page(): bigint {
    return BigInt(this.context.pageSize);
  }

  /** Bytes of a mock IO page: half a CPU page. */
  get mockPage(): bigint {
    return this.page / 2n;
  }

  /**
   * The teardown of every fixture (C: teardown_iommufd): closing the
   * descriptor alone must drop every pin on the buffer.
   */
  async teardown(): Promise<void> {
    assertEq(await this.process.close(this.fd), 0, "close /dev/iommu");
    const fresh = await this.reopen();
    await fresh.mock.checkRefs(this.buffer, this.bufferSize, 0);
    assertEq(await this.process.close(fresh.fd), 0, "close /dev/iommu again");
  }

  /** An ioctl with raw bytes, which are updated in place. */
  async ioctl(
    cmd: number,
    bytes: Uint8Array,
    errno?: Errno,
    what = `ioctl 0x${cmd.toString(16)}`,
  ): Promise<void> {
    assertResult(await this.process.ioctl(this.fd, cmd, bytes), errno, what);
  }

  /** An ioctl with a plain number or an address. Returns its result when it must succeed. */
  async ioctlArg(
    cmd: number,
    arg: number | bigint,
    errno: Errno | undefined,
    what: string,
  ): Promise<number> {
    const ret = await this.process.ioctlArg(this.fd, cmd, arg);
    if (errno) assertErrno(ret, errno, what);
    else assertOk(ret, what);
    return ret;
  }

  /** An ioctl with raw bytes in memory that cannot be written. */
  async ioctlReadOnly(
    cmd: number,
    bytes: Uint8Array,
    errno: Errno | undefined,
    what: string,
  ): Promise<void> {
    const { pageSize } = this.context;
    const page = await this.mmap(pageSize, MAP_PRIVATE);
    await this.process.poke(page, bytes);
    const ret = await this.process.mprotect(page, pageSize, PROT_READ);
    assertEq(ret, 0, "mprotect");
    await this.ioctlArg(cmd, page, errno, `${what} in read-only memory`);
    await this.munmap(page, pageSize);
  }

  /** An ioctl with a struct; returns the struct as the kernel left it. */
  async call<T extends object>(
    layout: Struct<T>,
    cmd: number,
    values: Partial<T>,
    errno?: Errno,
    what: string = layout.name.toUpperCase(),
  ): Promise<T> {
    const bytes = layout.encode(values);
    await this.ioctl(cmd, bytes, errno, what);
    return layout.decode(bytes);
  }

  /**
   * An ioctl with one struct after the other, in one round trip; returns the
   * structs as the kernel left them. `errno` is that of each.
   */
  async callEach<T extends object>(
    layout: Struct<T>,
    cmd: number,
    values: readonly Partial<T>[],
    errno?: Errno,
  ): Promise<T[]> {
    const structs = values.map((value) => layout.encode(value));
    const results = await this.process.batch(
      structs.map((arg) => call("ioctl", this.fd, cmd, arg)),
    );
    const what = layout.name.toUpperCase();
    for (const [index, ret] of results.entries()) {
      assertResult(ret, errno, `${what} ${index + 1} of ${results.length}`);
    }
    return structs.map((arg) => layout.decode(arg));
  }

  /** IOMMU_DESTROY. */
  async destroy(id: number, errno?: Errno): Promise<void> {
    await this.call(IommuDestroy, IOMMU_DESTROY, { id }, errno);
  }

  /** IOMMU_IOAS_ALLOC; returns the id, which is not 0. */
  async ioasAlloc(): Promise<number> {
    const { outIoasId } = await this.call(IommuIoasAlloc, IOMMU_IOAS_ALLOC, {});
    assertEq(outIoasId !== 0, true, "IOMMU_IOAS_ALLOC returns an id");
    return outIoasId;
  }

  /** The id that the next object will get. */
  async nextId(): Promise<number> {
    const id = await this.ioasAlloc();
    await this.destroy(id);
    return id;
  }

  /** The descriptor that the next open file will get. */
  async nextFd(): Promise<number> {
    const fd = assertOk(await this.process.dup(this.fd), "dup");
    assertEq(await this.process.close(fd), 0, "close the dup");
    return fd;
  }

  /** IOMMU_IOAS_MAP at an IOVA that the kernel chooses; returns it. */
  async map(
    ioasId: number,
    userVa: number | bigint,
    length: number | bigint,
    errno?: Errno,
    prot: number = MAP_RW,
  ): Promise<bigint> {
    const { iova } = await this.call(IommuIoasMap, IOMMU_IOAS_MAP, {
      flags: prot,
      ioasId,
      userVa: BigInt(userVa),
      length: BigInt(length),
    }, errno);
    return iova;
  }

  /** IOMMU_IOAS_MAP at a given IOVA. */
  async mapFixed(
    ioasId: number,
    userVa: number | bigint,
    length: number | bigint,
    iova: bigint,
    errno?: Errno,
    prot: number = MAP_RW,
  ): Promise<void> {
    await this.call(IommuIoasMap, IOMMU_IOAS_MAP, {
      flags: IOMMU_IOAS_MAP_FIXED_IOVA | prot,
      ioasId,
      userVa: BigInt(userVa),
      length: BigInt(length),
      iova,
    }, errno);
  }

  /** IOMMU_IOAS_UNMAP; returns the `length` that is in the struct afterwards. */
  async unmap(
    ioasId: number,
    iova: bigint,
    length: number | bigint,
    errno?: Errno,
  ): Promise<bigint> {
    const reply = await this.call(IommuIoasUnmap, IOMMU_IOAS_UNMAP, {
      ioasId,
      iova,
      length: BigInt(length),
    }, errno);
    return reply.length;
  }

  /** IOMMU_IOAS_COPY; returns the IOVA of the copy. */
  async copy(options: CopyOptions, errno?: Errno): Promise<bigint> {
    const fixed = options.dstIova === undefined ? 0 : IOMMU_IOAS_MAP_FIXED_IOVA;
    const reply = await this.call(IommuIoasCopy, IOMMU_IOAS_COPY, {
      flags: fixed | (options.prot ?? IOMMU_IOAS_MAP_WRITEABLE),
      dstIoasId: options.dst,
      srcIoasId: options.src,
      length: options.length,
      dstIova: options.dstIova ?? 0n,
      srcIova: options.srcIova,
    }, errno);
    return reply.dstIova;
  }

  /** IOMMU_IOAS_IOVA_RANGES with an array of `numIovas` entries at `array`; returns the struct. */
  iovaRanges(
    ioasId: number,
    numIovas: number,
    array: number | bigint,
    errno?: Errno,
  ): Promise<IommuIoasIovaRanges> {
    return this.call(IommuIoasIovaRanges, IOMMU_IOAS_IOVA_RANGES, {
      ioasId,
      numIovas,
      allowedIovas: BigInt(array),
    }, errno);
  }

  /** IOMMU_IOAS_ALLOW_IOVAS with the given list, which is placed in scratch memory. */
  async allowIovas(
    ioasId: number,
    ranges: readonly IommuIovaRange[],
    errno?: Errno,
  ): Promise<void> {
    await this.pokeRanges(this.scratch, ranges);
    await this.call(IommuIoasAllowIovas, IOMMU_IOAS_ALLOW_IOVAS, {
      ioasId,
      numIovas: ranges.length,
      allowedIovas: BigInt(this.scratch),
    }, errno);
  }

  /** Reads an option with IOMMU_OPTION; `poison` is what the field holds before. */
  async getOption(
    optionId: number,
    objectId: number,
    errno?: Errno,
    poison = 3n,
  ): Promise<bigint> {
    const { val64 } = await this.call(IommuOption, IOMMU_OPTION, {
      optionId,
      op: IOMMU_OPTION_OP_GET,
      objectId,
      val64: poison,
    }, errno);
    return val64;
  }

  /** Sets an option with IOMMU_OPTION. */
  async setOption(
    optionId: number,
    objectId: number,
    val64: bigint,
    errno?: Errno,
  ): Promise<void> {
    await this.call(IommuOption, IOMMU_OPTION, {
      optionId,
      op: IOMMU_OPTION_OP_SET,
      objectId,
      val64,
    }, errno);
  }

  /** Writes an array of `iommu_iova_range` to memory. */
  async pokeRanges(
    address: number,
    ranges: readonly IommuIovaRange[],
  ): Promise<void> {
    const bytes = new Uint8Array(ranges.length * IommuIovaRange.size);
    ranges.forEach((range, index) => {
      bytes.set(IommuIovaRange.encode(range), index * IommuIovaRange.size);
    });
    if (bytes.length) await this.process.poke(address, bytes);
  }

  /** Reads an array of `iommu_iova_range` from memory. */
  async peekRanges(address: number, count: number): Promise<IommuIovaRange[]> {
    const bytes = await this.process.peek(
      address,
      count * IommuIovaRange.size,
    );
    return Array.from({ length: count }, (_, index) =>
      IommuIovaRange.decode(
        bytes.subarray(
          index * IommuIovaRange.size,
          (index + 1) * IommuIovaRange.size,
        ),
      ));
  }

  /** mmap of anonymous memory, which must succeed; returns the address. */
  async mmap(
    length: number | bigint,
    flags: number,
    prot: number = PROT_READ | PROT_WRITE,
  ): Promise<number> {
    return assertOk(
      await this.process.mmap(0, Number(length), prot, flags | MAP_ANONYMOUS),
      "mmap",
    );
  }

  /** munmap, which must succeed. */
  async munmap(address: number, length: number | bigint): Promise<void> {
    const ret = await this.process.munmap(address, Number(length));
    assertEq(ret, 0, "munmap");
  }
}

/** Maps the shared buffer at a huge-page-aligned address, and the scratch memory. */
async function prepareMemory(context: Context): Promise<TestMemory> {
  const { process, pageSize, hugePageSize } = context;
  const bufferSize = pageSize * BUFFER_PAGES;
  const room = assertOk(
    await process.mmap(
      0,
      hugePageSize + bufferSize,
      PROT_NONE,
      MAP_PRIVATE | MAP_ANONYMOUS,
    ),
    "mmap room for the buffer",
  );
  const aligned = Math.ceil(room / hugePageSize) * hugePageSize;
  const buffer = await process.mmap(
    aligned,
    bufferSize,
    PROT_READ | PROT_WRITE,
    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
  );
  assertEq(buffer, aligned, "address of the buffer");
  const scratch = assertOk(
    await process.mmap(
      0,
      SCRATCH_SIZE,
      PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS,
    ),
    "mmap scratch memory",
  );
  return { buffer, bufferSize, scratch };
}
