// SPDX-License-Identifier: GPL-2.0-only

/**
 * The typed client's ioctls for hardware page tables: what Linux 6.6 to 6.11
 * added.
 *
 * @module
 */

import * as uapi from "../uapi/iommufd.ts";
import type {
  IommuHwptPageResponse,
  IommuHwptPgfault,
} from "../uapi/iommufd.ts";
import type { U64 } from "../uapi/layout/struct.ts";
import {
  decodeArray,
  encodeArray,
  toBoolean,
  toBytes,
  toU32,
  toU64,
} from "./arguments.ts";
import { check, type Descriptor, ScratchMemory } from "./descriptor.ts";

/** Bytes to make room for when nothing is known yet. */
const FIRST_GUESS = 64;
/** Faults to read at once. */
const MAX_FAULTS = 64;

/** What {@link HwptClient.alloc} allocates. */
export interface HwptAllocOptions {
  /** The bound device that it is for. */
  readonly devId: number;
  /** The IOAS, or the parent HWPT of a nested one. */
  readonly ptId: number;
  /** `IOMMU_HWPT_ALLOC_*`; default 0. */
  readonly flags?: number;
  /** Type of `data`; default none. */
  readonly dataType?: number;
  /** The IOMMU driver's own data; default none. */
  readonly data?: Uint8Array;
  /** The fault queue (this sets FAULT_ID_VALID). */
  readonly faultId?: number;
}

/** What {@link HwptClient.getHwInfo} returns. */
export interface HwInfoReply {
  /** `IOMMU_HW_INFO_TYPE_*`: how to read `data`. */
  readonly dataType: number;
  /** What the IOMMU driver says about its hardware. */
  readonly data: Uint8Array;
  /** `IOMMU_HW_CAP_*`. */
  readonly capabilities: bigint;
  /** Width of a PASID in bits, 0 without PASID. */
  readonly maxPasidLog2: number;
}

/**
 * The ioctls for hardware page tables on an open iommufd; see
 * `IommufdClient.hwpt`. They throw ENOTTY in revisions that do not have them.
 */
export class HwptClient {
  readonly #descriptor: Descriptor;

  /** For `IommufdClient`. */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /**
   * IOMMU_HWPT_ALLOC: a HWPT on an IOAS, or nested on another HWPT. Throws
   * ENOENT without such a device or fault queue; EINVAL without such a page
   * table, and for data that make no sense; EOPNOTSUPP for what the IOMMU does
   * not support; E2BIG for data that are too long; ENOMEM.
   */
  alloc(options: HwptAllocOptions): { hwptId: number } {
    const { faultId, flags = 0 } = options;
    const data = toBytes("data", options.data ?? new Uint8Array());
    const valid = faultId === undefined ? 0 : uapi.IOMMU_HWPT_FAULT_ID_VALID;
    using memory = new ScratchMemory(this.#descriptor.process, data.length);
    memory.store(data);
    const { outHwptId } = this.#descriptor.call(uapi.IommuHwptAlloc, {
      ...options,
      flags: toU32("flags", flags) | valid,
      dataLen: data.length,
      dataUptr: data.length > 0 ? memory.address : 0,
    });
    return { hwptId: outHwptId };
  }

  /**
   * IOMMU_GET_HW_INFO: what the IOMMU driver says about the hardware in front
   * of a device; with `dataType` (`IOMMU_HW_INFO_TYPE_*`), that kind of
   * information. Throws ENOENT without such a device, EOPNOTSUPP for a type
   * that the driver does not have.
   */
  getHwInfo(devId: number, dataType?: number): HwInfoReply {
    const { process } = this.#descriptor;
    for (let room = FIRST_GUESS;;) {
      using memory = new ScratchMemory(process, room);
      const wanted = dataType === undefined ? {} : {
        flags: uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE,
        outDataType: toU32("dataType", dataType),
      };
      const reply = this.#descriptor.call(uapi.IommuHwInfo, {
        ...wanted,
        devId,
        dataLen: room,
        dataUptr: memory.address,
      });
      const { dataLen } = reply;
      if (dataLen <= room) {
        return {
          dataType: reply.outDataType,
          data: process.peek(memory.address, dataLen),
          capabilities: reply.outCapabilities,
          maxPasidLog2: reply.outMaxPasidLog2,
        };
      }
      room = dataLen;
    }
  }

  /** IOMMU_HWPT_SET_DIRTY_TRACKING: starts or stops recording which pages devices write. Throws ENOENT without such a HWPT, EOPNOTSUPP if it cannot. */
  setDirtyTracking(
    options: { readonly hwptId: number; readonly on: boolean },
  ): void {
    const on = toBoolean("on", options.on);
    this.#descriptor.call(uapi.IommuHwptSetDirtyTracking, {
      ...options,
      flags: on ? uapi.IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
    });
  }

  /**
   * IOMMU_HWPT_GET_DIRTY_BITMAP: which pages of a range were written, one bit
   * for `pageSize` bytes, lowest IOVA in bit 0 of the first byte. The record is
   * cleared unless `clear` is false. Throws ENOENT without such a HWPT, EINVAL
   * for a misaligned range or page size, EOPNOTSUPP if it cannot.
   */
  getDirtyBitmap(options: {
    readonly hwptId: number;
    readonly iova: U64;
    readonly length: U64;
    readonly pageSize: U64;
    readonly clear?: boolean;
  }): Uint8Array {
    const { process } = this.#descriptor;
    const length = toU64("length", options.length);
    const pageSize = toU64("pageSize", options.pageSize);
    const clear = toBoolean("clear", options.clear ?? true);
    // The kernel looks at the lowest bit of an odd page size only.
    const bitSize = pageSize & -pageSize;
    const bits = bitSize === 0n ? 0n : (length + bitSize - 1n) / bitSize;
    const bytes = Number((bits + 7n) / 8n);
    using memory = new ScratchMemory(process, bytes);
    this.#descriptor.call(uapi.IommuHwptGetDirtyBitmap, {
      ...options,
      flags: clear ? 0 : uapi.IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
      data: memory.address,
    });
    return process.peek(memory.address, bytes);
  }

  /**
   * IOMMU_HWPT_INVALIDATE: the page table of a nested HWPT changed. `entries`
   * are requests of equal length in the driver's format; none just asks whether
   * the driver knows the type. Returns how many were handled. Throws ENOENT
   * without such a HWPT, EINVAL and EOPNOTSUPP for requests that the driver does
   * not know.
   */
  invalidate(options: {
    readonly hwptId: number;
    readonly dataType: number;
    readonly entries: readonly Uint8Array[];
  }): { handled: number } {
    const { entries } = options;
    const entryLen = entries[0]?.length ?? 0;
    const data = new Uint8Array(entries.length * entryLen);
    entries.forEach((entry, i) => {
      if (toBytes(`entries[${i}]`, entry).length !== entryLen) {
        throw new RangeError(
          `entries[${i}] must have ${entryLen} bytes as the first entry, not ${entry.length}`,
        );
      }
      data.set(entry, i * entryLen);
    });
    using memory = new ScratchMemory(this.#descriptor.process, data.length);
    memory.store(data);
    const { entryNum } = this.#descriptor.call(uapi.IommuHwptInvalidate, {
      ...options,
      dataUptr: memory.address,
      entryLen,
      entryNum: entries.length,
    });
    return { handled: entryNum };
  }

  /** IOMMU_FAULT_QUEUE_ALLOC: a queue of page faults, and the descriptor to read them from. Throws ENOMEM, EMFILE. */
  faultQueueAlloc(): { faultId: number; faultFd: number } {
    const reply = this.#descriptor.call(uapi.IommuFaultAlloc, {});
    return { faultId: reply.outFaultId, faultFd: reply.outFaultFd };
  }

  /** Reads the page faults that wait in a queue; none if it is empty. */
  readFaults(faultFd: number): IommuHwptPgfault[] {
    const { process } = this.#descriptor;
    const { size } = uapi.IommuHwptPgfault;
    const bytes = new Uint8Array(MAX_FAULTS * size);
    const fd = toU32("faultFd", faultFd);
    const read = check(process, process.read(fd, bytes), "read", { faultFd });
    return decodeArray(uapi.IommuHwptPgfault, bytes, Math.trunc(read / size));
  }

  /** Answers page faults. Throws EINVAL for a cookie or a code that is not known; answers before that one count. */
  respondFaults(
    faultFd: number,
    responses: readonly IommuHwptPageResponse[],
  ): void {
    const { process } = this.#descriptor;
    const bytes = encodeArray(
      uapi.IommuHwptPageResponse,
      "responses",
      responses,
    );
    const fd = toU32("faultFd", faultFd);
    // A short count means that the next answer is refused: by itself it fails.
    for (let done = 0; done < bytes.length;) {
      const ret = process.write(fd, bytes.subarray(done));
      done += check(process, ret, "write", { faultFd });
    }
  }
}
