// SPDX-License-Identifier: GPL-2.0-only

/**
 * The VFIO container ioctls of the typed client.
 *
 * @module
 */

import { IommuIovaRange } from "../uapi/iommufd.ts";
import * as uapi from "../uapi/vfio.ts";
import type { U64 } from "../uapi/layout/struct.ts";
import { decodeArray, pass } from "./arguments.ts";
import type { Descriptor } from "./descriptor.ts";

/** The flags of a map unless others are given. */
const DEFAULT_FLAGS = uapi.VFIO_DMA_MAP_FLAG_READ |
  uapi.VFIO_DMA_MAP_FLAG_WRITE;

/** Bytes to make room for when nothing is known yet. */
const FIRST_GUESS = 256;

/** The answer of {@link VfioClient.getInfo}, with its chain of capabilities taken apart. */
export interface VfioInfo {
  /** `VFIO_IOMMU_INFO_*`. */
  readonly flags: number;
  /** Bitmap of page sizes in bytes. */
  readonly iovaPgsizes: bigint;
  /** The IOVA that can be mapped; undefined if the kernel does not say. */
  readonly iovaRanges: readonly IommuIovaRange[] | undefined;
  /** How many more mappings fit; undefined if the kernel does not say. */
  readonly dmaAvail: number | undefined;
}

/** What {@link VfioClient.mapDma} maps. */
export interface MapDmaOptions {
  /** Address of the memory in the process. */
  readonly vaddr: U64;
  /** IOVA to map at. */
  readonly iova: U64;
  /** Bytes. */
  readonly length: U64;
  /** `VFIO_DMA_MAP_FLAG_*`; default READ and WRITE. */
  readonly flags?: number;
}

/**
 * The VFIO container ioctls on an open iommufd, or on VFIO's own container; see
 * `IommufdClient.vfio`. All but the first two throw while there is no IOAS for
 * them, ENODEV, or no group, EINVAL.
 */
export class VfioClient {
  readonly #descriptor: Descriptor;

  /** For `IommufdClient`. */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /** VFIO_GET_API_VERSION. */
  getApiVersion(): number {
    return this.#descriptor.callNumber(uapi.VfioGetApiVersion, "arg", 0);
  }

  /** VFIO_CHECK_EXTENSION: whether an extension (`VFIO_TYPE1_IOMMU`, `VFIO_DMA_CC_IOMMU`, …) is there. DMA_CC throws ENODEV without IOAS. */
  checkExtension(extension: number): boolean {
    const layout = uapi.VfioCheckExtension;
    return this.#descriptor.callNumber(layout, "extension", extension) !== 0;
  }

  /** VFIO_SET_IOMMU: `VFIO_TYPE1_IOMMU` or `VFIO_TYPE1v2_IOMMU`. Throws EINVAL for another type. */
  setIommu(type: number): void {
    this.#descriptor.callNumber(uapi.VfioSetIommu, "type", type);
  }

  /** VFIO_IOMMU_GET_INFO with all capabilities. */
  getInfo(): VfioInfo {
    for (let argsz = FIRST_GUESS;;) {
      const bytes = new Uint8Array(argsz);
      const passed = pass(uapi.VfioIommuType1Info, { argsz });
      bytes.set(uapi.VfioIommuType1Info.encode(passed.values));
      this.#descriptor.send(uapi.VfioIommuType1Info.ioctl, bytes, passed);
      const info = uapi.VfioIommuType1Info.decode(bytes);
      if (info.argsz <= argsz) return parseInfo(info, bytes);
      argsz = info.argsz;
    }
  }

  /** VFIO_IOMMU_MAP_DMA: maps memory of the process at an IOVA. Throws as `IommufdClient.ioasMap`, EINVAL for unknown flags. */
  mapDma(options: MapDmaOptions): void {
    this.#descriptor.call(uapi.VfioIommuType1DmaMap, {
      flags: DEFAULT_FLAGS,
      ...options,
    });
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA: unmaps a range and returns the bytes that were
   * mapped. With type 1 version 1 a range may cut areas; else that is ENOENT.
   */
  unmapDma(
    options: { readonly iova: U64; readonly length: U64 },
  ): { length: bigint } {
    const reply = this.#descriptor.call(uapi.VfioIommuType1DmaUnmap, options);
    return { length: reply.length };
  }

  /** VFIO_IOMMU_UNMAP_DMA of everything; returns the bytes that were mapped. */
  unmapAllDma(): { length: bigint } {
    const reply = this.#descriptor.call(uapi.VfioIommuType1DmaUnmap, {
      flags: uapi.VFIO_DMA_UNMAP_FLAG_ALL,
      iova: 0,
      length: 0,
    });
    return { length: reply.length };
  }
}

/** Walks the capabilities that follow the struct. */
function parseInfo(info: uapi.VfioIommuType1Info, bytes: Uint8Array): VfioInfo {
  let iovaRanges: IommuIovaRange[] | undefined;
  let dmaAvail: number | undefined;
  for (let offset = info.capOffset; offset !== 0;) {
    const cap = bytes.subarray(offset);
    const { id, next } = uapi.VfioInfoCapHeader.decode(cap);
    if (id === uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
      iovaRanges = parseRanges(cap);
    } else if (id === uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
      dmaAvail = uapi.VfioIommuType1InfoDmaAvail.decode(cap).avail;
    }
    offset = next;
  }
  const { flags, iovaPgsizes } = info;
  return { flags, iovaPgsizes, iovaRanges, dmaAvail };
}

function parseRanges(cap: Uint8Array): IommuIovaRange[] {
  const { nrIovas } = uapi.VfioIommuType1InfoCapIovaRange.decode(cap);
  const rest = cap.subarray(uapi.VfioIommuType1InfoCapIovaRange.size);
  return decodeArray(IommuIovaRange, rest, nrIovas);
}
