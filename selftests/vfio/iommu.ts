// SPDX-License-Identifier: GPL-2.0-only

/**
 * What translates for a device: an iommufd, or a container with one of two
 * types, which `/dev/iommu` and `/dev/vfio/vfio` can be.
 *
 * Linux: tools/testing/selftests/vfio/lib/iommu.c, lib/iova_allocator.c.
 *
 * @module
 */

import { EMSGSIZE, type Errno, errnoName } from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_UNMAP,
  IommuIoasAlloc,
  IommuIoasIovaRanges,
  IommuIoasMap,
  IommuIoasUnmap,
  IommuIovaRange,
} from "../../impl/uapi/iommufd.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  VFIO_API_VERSION,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VfioInfoCapHeader,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
  VfioIommuType1Info,
  VfioIommuType1InfoCapIovaRange,
} from "../../impl/uapi/vfio.ts";
import {
  assertEq,
  assertErrno,
  AssertionFailure,
  assertOk,
  assertTrue,
  type TargetProcess,
} from "../harness/harness.ts";
import { MAP_RW, U64_MAX } from "../ioctls/ioctls.ts";
import type { Need } from "../target/capabilities.ts";

/** How a device's DMA is translated. */
export interface IommuMode {
  /** The file of the container; undefined for an iommufd with devices of their own files. */
  readonly container?: string;
  /** Its type. */
  readonly type?: number;
}

/** All modes by their names, in Linux's order. */
export const IOMMU_MODES: Readonly<Record<string, IommuMode>> = {
  vfio_type1_iommu: { container: "/dev/vfio/vfio", type: VFIO_TYPE1_IOMMU },
  vfio_type1v2_iommu: { container: "/dev/vfio/vfio", type: VFIO_TYPE1v2_IOMMU },
  iommufd_compat_type1: { container: "/dev/iommu", type: VFIO_TYPE1_IOMMU },
  iommufd_compat_type1v2: { container: "/dev/iommu", type: VFIO_TYPE1v2_IOMMU },
  iommufd: {},
};

/** What a mode needs of the target, beside a device. */
export function needsOf({ container }: IommuMode): Need[] {
  return container === "/dev/vfio/vfio" ? ["vfio_container"] : [];
}

/** Memory that is mapped. */
export interface DmaRegion {
  /** Its address. */
  readonly vaddr: number;
  /** Bytes. */
  readonly length: bigint;
  /** First IOVA. */
  readonly iova: bigint;
}

/** Bytes of the memory for what ioctls point to. */
const SCRATCH = 4096;

/** An open iommufd or container. */
export class TestIommu {
  /** The process that has it. */
  readonly process: TargetProcess;
  /** How it translates. */
  readonly mode: IommuMode;
  /** The descriptor. */
  readonly fd: number;
  /** The IOAS of an iommufd; 0 for a container. */
  readonly ioasId: number;
  readonly #scratch: number;

  private constructor(
    process: TargetProcess,
    mode: IommuMode,
    { fd, ioasId, scratch }: { fd: number; ioasId: number; scratch: number },
  ) {
    this.process = process;
    this.mode = mode;
    this.fd = fd;
    this.ioasId = ioasId;
    this.#scratch = scratch;
  }

  /** Opens one (C: iommu_init). */
  static async open(
    process: TargetProcess,
    mode: IommuMode,
  ): Promise<TestIommu> {
    const path = mode.container ?? "/dev/iommu";
    const fd = assertOk(await process.open(path, O_RDWR), `open ${path}`);
    let ioasId = 0;
    if (mode.container === undefined) {
      const bytes = IommuIoasAlloc.encode();
      const ret = await process.ioctl(fd, IOMMU_IOAS_ALLOC, bytes);
      assertEq(ret, 0, "IOMMU_IOAS_ALLOC");
      ioasId = IommuIoasAlloc.decode(bytes).outIoasId;
    } else {
      const version = await process.ioctlArg(fd, VFIO_GET_API_VERSION, 0);
      assertEq(version, VFIO_API_VERSION, "VFIO_GET_API_VERSION");
    }
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const scratch = assertOk(
      await process.mmap(0, SCRATCH, prot, flags),
      "mmap",
    );
    return new TestIommu(process, mode, { fd, ioasId, scratch });
  }

  /** Closes it (C: iommu_cleanup). */
  async close(): Promise<void> {
    assertEq(await this.process.close(this.fd), 0, "close the IOMMU");
    assertEq(await this.process.munmap(this.#scratch, SCRATCH), 0, "munmap");
  }

  /** Maps memory for reading and writing; the result of the ioctl. */
  async tryMap({ vaddr, length, iova }: DmaRegion): Promise<number> {
    if (this.mode.container === undefined) {
      const [ret] = await this.#call(IommuIoasMap, IOMMU_IOAS_MAP, {
        flags: IOMMU_IOAS_MAP_FIXED_IOVA | MAP_RW,
        ioasId: this.ioasId,
        userVa: BigInt(vaddr),
        length,
        iova,
      });
      return ret;
    }
    const layout = VfioIommuType1DmaMap;
    const [ret] = await this.#call(layout, VFIO_IOMMU_MAP_DMA, {
      argsz: layout.size,
      flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
      vaddr: BigInt(vaddr),
      iova,
      length,
    });
    return ret;
  }

  /** Maps memory for reading and writing. */
  async map(region: DmaRegion): Promise<void> {
    assertEq(await this.tryMap(region), 0, "mapping of memory");
  }

  /** Unmaps a range; returns how many bytes that were. Fails with `errno`, if one is given. */
  async unmap(
    { iova, length }: Omit<DmaRegion, "vaddr">,
    errno?: Errno,
  ): Promise<bigint> {
    return await this.#unmap({ iova, length, flags: 0 }, errno);
  }

  /** Unmaps everything; returns how many bytes that were. */
  async unmapAll(): Promise<bigint> {
    return await this.#unmap({
      iova: 0n,
      length: this.mode.container === undefined ? U64_MAX : 0n,
      flags: VFIO_DMA_UNMAP_FLAG_ALL,
    });
  }

  /** What can be mapped, in order: ranges that do not overlap. */
  async ranges(): Promise<IommuIovaRange[]> {
    const ranges = this.mode.container === undefined
      ? await this.#iommufdRanges()
      : await this.#containerRanges();
    assertTrue(ranges.length > 0, "there is a range of IOVA");
    ranges.sort((a, b) => a.start < b.start ? -1 : 1);
    for (const [i, { start, last }] of ranges.entries()) {
      assertTrue(start < last, "a range has an extent");
      const before = ranges[i - 1];
      if (before) assertTrue(before.last < start, "ranges do not overlap");
    }
    return ranges;
  }

  async #unmap(
    { iova, length, flags }: { iova: bigint; length: bigint; flags: number },
    errno?: Errno,
  ): Promise<bigint> {
    const [ret, reply] = this.mode.container === undefined
      ? await this.#call(IommuIoasUnmap, IOMMU_IOAS_UNMAP, {
        ioasId: this.ioasId,
        iova,
        length,
      })
      : await this.#call(VfioIommuType1DmaUnmap, VFIO_IOMMU_UNMAP_DMA, {
        argsz: VfioIommuType1DmaUnmap.size,
        flags,
        iova,
        length,
      });
    if (errno) assertErrno(ret, errno, "unmapping");
    else if (ret !== 0) {
      throw new AssertionFailure("unmapping", "success", errnoName(ret));
    }
    return reply.length;
  }

  async #iommufdRanges(): Promise<IommuIovaRange[]> {
    const { ioasId } = this;
    const layout = IommuIoasIovaRanges;
    const cmd = IOMMU_IOAS_IOVA_RANGES;
    const [ret, { numIovas }] = await this.#call(layout, cmd, { ioasId });
    assertErrno(ret, EMSGSIZE, "IOMMU_IOAS_IOVA_RANGES without room");
    const allowedIovas = BigInt(this.#scratch);
    const [again] = await this.#call(layout, cmd, {
      ioasId,
      numIovas,
      allowedIovas,
    });
    assertEq(again, 0, "IOMMU_IOAS_IOVA_RANGES");
    return await this.#rangesAt(this.#scratch, numIovas);
  }

  async #containerRanges(): Promise<IommuIovaRange[]> {
    let { argsz } = await this.#info(VfioIommuType1Info.size);
    const { flags, capOffset, argsz: last } = await this.#info(argsz);
    argsz = last;
    assertTrue((flags & VFIO_IOMMU_INFO_CAPS) !== 0, "there are capabilities");
    for (let at = capOffset, left = argsz / 8; at !== 0; left--) {
      assertTrue(left > 0, "the chain of capabilities has an end");
      assertTrue(at + VfioInfoCapHeader.size <= argsz, "a capability fits");
      const head = await this.process.peek(this.#scratch + at, 16);
      const { id, next } = VfioInfoCapHeader.decode(head);
      if (id === VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
        const layout = VfioIommuType1InfoCapIovaRange;
        const { nrIovas } = layout.decode(head);
        return await this.#rangesAt(this.#scratch + at + layout.size, nrIovas);
      }
      at = next;
    }
    throw new AssertionFailure("capabilities", "ranges of IOVA", "none");
  }

  /** GET_INFO with all that fits into `argsz` bytes of the scratch memory. */
  async #info(argsz: number): Promise<VfioIommuType1Info> {
    const layout = VfioIommuType1Info;
    await this.process.poke(this.#scratch, layout.encode({ argsz }));
    const { fd, process } = this;
    const ret = await process.ioctlArg(fd, VFIO_IOMMU_GET_INFO, this.#scratch);
    assertEq(ret, 0, "VFIO_IOMMU_GET_INFO");
    const info = layout.decode(await process.peek(this.#scratch, layout.size));
    assertTrue(info.argsz >= layout.size, "argsz is that of the struct");
    return info;
  }

  async #rangesAt(address: number, count: number): Promise<IommuIovaRange[]> {
    const { size } = IommuIovaRange;
    const bytes = await this.process.peek(address, size * count);
    return Array.from(
      { length: count },
      (_, i) => IommuIovaRange.decode(bytes.subarray(i * size, (i + 1) * size)),
    );
  }

  async #call<T extends object>(
    layout: Struct<T>,
    cmd: number,
    values: Partial<T>,
  ): Promise<[ret: number, reply: T]> {
    const bytes = layout.encode(values);
    const ret = await this.process.ioctl(this.fd, cmd, bytes);
    return [ret, layout.decode(bytes)];
  }
}

/** Hands out IOVA, aligned to its length, from the first range on. */
export class IovaAllocator {
  readonly #ranges: readonly IommuIovaRange[];
  #index = 0;
  #next: bigint;

  private constructor(ranges: readonly IommuIovaRange[]) {
    this.#ranges = ranges;
    this.#next = ranges[0]!.start;
  }

  /** All that can be mapped. */
  static async of(iommu: TestIommu): Promise<IovaAllocator> {
    return new IovaAllocator(await iommu.ranges());
  }

  /** The first IOVA of `length` bytes, a power of two. */
  alloc(length: bigint): bigint {
    for (; this.#index < this.#ranges.length; this.#index++) {
      const { start, last } = this.#ranges[this.#index]!;
      if (this.#next < start) this.#next = start;
      const iova = (this.#next + length - 1n) & -length;
      if (iova + length - 1n > last) continue;
      this.#next = iova + length;
      return iova;
    }
    throw new AssertionFailure("IOVA", `${length} bytes`, "none left");
  }
}
