// SPDX-License-Identifier: GPL-2.0-only

/**
 * A typed client of `/dev/iommu`: the ioctls as methods, for programs and
 * tests that want to say what they mean. Underneath it makes the system calls
 * that any program makes; it sees nothing that a program could not see.
 *
 * @module
 */

import type { Process } from "../kernel/simulated/process.ts";
import { U64_MAX } from "../lib/u64.ts";
import { EMSGSIZE } from "../uapi/errno.ts";
import * as uapi from "../uapi/iommufd.ts";
import type { IommuIovaRange } from "../uapi/iommufd.ts";
import type { Revision } from "../uapi/revision.ts";
import type { U64 } from "../uapi/layout/struct.ts";
import { decodeArray, encodeArray, pass, toU32 } from "./arguments.ts";
import { ClientFile, descriptorOf, openPath } from "./client_file.ts";
import { type Descriptor, ScratchMemory } from "./descriptor.ts";
import { IommufdError } from "./error.ts";
import { HwptClient } from "./hwpt_client.ts";
import { MockClient } from "./mock_client.ts";
import { OptionClient } from "./option_client.ts";
import { VfioClient } from "./vfio_client.ts";
import { ViommuClient } from "./viommu_client.ts";

/** The flags of a map or a copy unless others are given. */
const DEFAULT_FLAGS = uapi.IOMMU_IOAS_MAP_READABLE |
  uapi.IOMMU_IOAS_MAP_WRITEABLE;

/** Ranges to make room for when nothing is known yet. */
const FIRST_GUESS = 16;

/** What {@link IommufdClient.ioasMap} maps. */
export interface IoasMapOptions {
  /** The IOAS to map into. */
  readonly ioasId: number;
  /** Address of the memory in the process. */
  readonly userVa: U64;
  /** Bytes. */
  readonly length: U64;
  /** The IOVA to map at (this sets FIXED_IOVA); without it the kernel chooses. */
  readonly iova?: U64;
  /** `IOMMU_IOAS_MAP_*`; default READABLE and WRITEABLE. */
  readonly flags?: number;
}

/** What {@link IommufdClient.ioasMapFile} maps. */
export interface IoasMapFileOptions {
  /** The IOAS to map into. */
  readonly ioasId: number;
  /** The process's descriptor of a memory file or a DMA buffer; it may be closed after the call. */
  readonly fd: number;
  /** First byte of the file; default 0. */
  readonly start?: U64;
  /** Bytes. */
  readonly length: U64;
  /** The IOVA to map at (this sets FIXED_IOVA); without it the kernel chooses. */
  readonly iova?: U64;
  /** `IOMMU_IOAS_MAP_*`; default READABLE and WRITEABLE. */
  readonly flags?: number;
}

/** What {@link IommufdClient.ioasCopy} copies. */
export interface IoasCopyOptions {
  /** The IOAS to map into. */
  readonly dstIoasId: number;
  /** The IOAS to take the memory from; it may be the same one. */
  readonly srcIoasId: number;
  /** First IOVA to take. */
  readonly srcIova: U64;
  /** Bytes. */
  readonly length: U64;
  /** The IOVA to map at (this sets FIXED_IOVA); without it the kernel chooses. */
  readonly dstIova?: U64;
  /** `IOMMU_IOAS_MAP_*`; default READABLE and WRITEABLE. */
  readonly flags?: number;
}

/** A range of IOVA, both ends inclusive. */
export interface IovaRange {
  /** First IOVA. */
  readonly start: U64;
  /** Last IOVA, inclusive. */
  readonly last: U64;
}

/**
 * An open `/dev/iommu` of a process. A call that fails throws an
 * {@link IommufdError}; an argument that no struct could hold throws a
 * TypeError or a RangeError before any call is made.
 *
 * @example
 * ```ts
 * import { IommufdClient, Kernel } from "@iommufd/kit";
 *
 * const process = new Kernel().spawn();
 * using iommufd = IommufdClient.open(process);
 * const { ioasId } = iommufd.ioasAlloc();
 * const { ranges } = iommufd.ioasIovaRanges(ioasId);
 * console.log(ranges); // [ { start: 0n, last: 18446744073709551615n } ]
 * ```
 */
export class IommufdClient extends ClientFile {
  /** IOMMU_OPTION. */
  readonly option: OptionClient;
  /** The ioctls for hardware page tables, where the revision has them. */
  readonly hwpt: HwptClient;
  /** The ioctls for virtual IOMMUs, where the revision has them. */
  readonly viommu: ViommuClient;
  /** The VFIO container ioctls on the same descriptor. */
  readonly vfio: VfioClient;
  /** The ioctl of the kernel's selftest module: mock devices, checks, accesses. */
  readonly mock: MockClient;
  readonly #descriptor: Descriptor;

  /** Takes over an open descriptor; {@link IommufdClient.open} opens one. */
  constructor(process: Process, fd: number) {
    super(process, fd);
    this.#descriptor = descriptorOf(this);
    this.option = new OptionClient(this.#descriptor);
    this.hwpt = new HwptClient(this.#descriptor);
    this.viommu = new ViommuClient(this.#descriptor);
    this.vfio = new VfioClient(this.#descriptor);
    this.mock = new MockClient(this.#descriptor);
  }

  /**
   * Opens `/dev/iommu`, or a container: `/dev/vfio/vfio`, where that is an
   * iommufd or VFIO's own. When it is closed, all objects are destroyed. Throws
   * ENOENT without such a device, EMFILE, ENOMEM.
   */
  static open(process: Process, path = "/dev/iommu"): IommufdClient {
    return new IommufdClient(process, openPath(process, path));
  }

  /** How the kernel behaves. */
  get revision(): Revision {
    return this.process.kernel.revision;
  }

  /** IOMMU_DESTROY. Throws ENOENT without such an object, EBUSY while another uses it. */
  destroy(id: number): void {
    this.#descriptor.call(uapi.IommuDestroy, { id });
  }

  /** IOMMU_IOAS_ALLOC: a new, empty IO address space. Throws ENOMEM. */
  ioasAlloc(): { ioasId: number } {
    const { outIoasId } = this.#descriptor.call(uapi.IommuIoasAlloc, {});
    return { ioasId: outIoasId };
  }

  /**
   * IOMMU_IOAS_MAP: maps memory of the process and returns where. The memory
   * is pinned once a device or an access uses it: without one, a bad address
   * is not noticed here.
   *
   * Throws ENOENT without such an IOAS; EINVAL for a misaligned address or
   * length; EEXIST (v3: EADDRINUSE) where something is mapped, EINVAL (v3:
   * ENOENT) where IOVA is reserved; ENOSPC; EOVERFLOW; EFAULT, ENOMEM for
   * memory that cannot be pinned; EOPNOTSUPP for unknown flags.
   */
  ioasMap(options: IoasMapOptions): { iova: bigint } {
    const { iova, flags = DEFAULT_FLAGS } = options;
    const fixed = iova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA;
    const reply = this.#descriptor.call(uapi.IommuIoasMap, {
      ...options,
      flags: toU32("flags", flags) | fixed,
    });
    return { iova: reply.iova };
  }

  /**
   * IOMMU_IOAS_MAP_FILE: maps a part of a memfd, of a file on tmpfs or
   * hugetlbfs, or of a DMA buffer, and returns where. The file is kept as long
   * as it is mapped. What kind of file it is, and how long, is looked at once a
   * device or an access uses it.
   *
   * Throws EBADF without such a descriptor, EINVAL for a file without memory
   * of its own or beyond its end, ENODEV for a DMA buffer that was taken back,
   * and otherwise as {@link ioasMap}.
   */
  ioasMapFile(options: IoasMapFileOptions): { iova: bigint } {
    const { iova, flags = DEFAULT_FLAGS } = options;
    const fixed = iova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA;
    const reply = this.#descriptor.call(uapi.IommuIoasMapFile, {
      ...options,
      flags: toU32("flags", flags) | fixed,
    });
    return { iova: reply.iova };
  }

  /**
   * IOMMU_IOAS_CHANGE_PROCESS: the process of this client becomes the owner of
   * all that is mapped, and pays for it. Throws EINVAL unless all of it is
   * mapped from files, EBUSY while some is being unmapped, ENOMEM if the
   * process may not lock so much memory.
   */
  ioasChangeProcess(): void {
    this.#descriptor.call(uapi.IommuIoasChangeProcess, {});
  }

  /**
   * IOMMU_IOAS_COPY: maps the memory behind one range of IOVA at another and
   * returns where. Throws ENOENT for an IOAS that is not there and for a
   * source that is not mapped throughout, EPERM to write what was mapped
   * read-only, and for the destination as {@link ioasMap}.
   */
  ioasCopy(options: IoasCopyOptions): { iova: bigint } {
    const { dstIova, flags = DEFAULT_FLAGS } = options;
    const fixed = dstIova === undefined ? 0 : uapi.IOMMU_IOAS_MAP_FIXED_IOVA;
    const reply = this.#descriptor.call(uapi.IommuIoasCopy, {
      ...options,
      flags: toU32("flags", flags) | fixed,
    });
    return { iova: reply.dstIova };
  }

  /**
   * IOMMU_IOAS_UNMAP: unmaps all areas within the range and returns how many
   * bytes they had. Throws ENOENT where the range cuts an area or holds none;
   * areas before the cut one are gone then. For everything there is
   * {@link ioasUnmapAll}.
   */
  ioasUnmap(options: {
    readonly ioasId: number;
    readonly iova: U64;
    readonly length: U64;
  }): { length: bigint } {
    const reply = this.#descriptor.call(uapi.IommuIoasUnmap, options);
    return { length: reply.length };
  }

  /**
   * IOMMU_IOAS_NOIOMMU_GET_PA: the physical address behind an IOVA, for a
   * device without an IOMMU that is attached to the IOAS, and how many of
   * `length` bytes go on from there without a gap; ask again for the rest.
   *
   * Throws EPERM without CAP_SYS_RAWIO, ENOENT where nothing is mapped, EINVAL
   * for a DMA buffer that was taken back, EOPNOTSUPP where no device without an
   * IOMMU was the first to use the memory.
   */
  ioasNoiommuGetPa(options: {
    readonly ioasId: number;
    readonly iova: U64;
    readonly length: U64;
  }): { phys: bigint; length: bigint } {
    const reply = this.#descriptor.call(uapi.IommuIoasNoiommuGetPa, options);
    return { phys: reply.outPhys, length: reply.length };
  }

  /** IOMMU_IOAS_UNMAP of everything; succeeds when there is nothing. Returns the bytes unmapped. */
  ioasUnmapAll(ioasId: number): { length: bigint } {
    return this.ioasUnmap({ ioasId, iova: 0n, length: U64_MAX });
  }

  /**
   * IOMMU_IOAS_IOVA_RANGES: the IOVA that can be mapped, and the alignment in
   * bytes that IOVA and length need. Throws ENOENT without such an IOAS.
   */
  ioasIovaRanges(
    ioasId: number,
  ): { ranges: IommuIovaRange[]; alignment: bigint } {
    const layout = uapi.IommuIoasIovaRanges;
    const { size } = uapi.IommuIovaRange;
    for (let room = FIRST_GUESS;;) {
      using array = new ScratchMemory(this.process, room * size);
      const allowedIovas = array.address;
      const passed = pass(layout, { ioasId, numIovas: room, allowedIovas });
      const bytes = layout.encode(passed.values);
      try {
        this.#descriptor.send(layout.ioctl, bytes, passed);
      } catch (error) {
        // Where the array is too short, the reply says how long it must be.
        const short = error instanceof IommufdError && error.errno === EMSGSIZE;
        if (!short) throw error;
      }
      const { numIovas, outIovaAlignment } = layout.decode(bytes);
      if (numIovas <= room) {
        const filled = this.process.peek(array.address, numIovas * size);
        const ranges = decodeArray(uapi.IommuIovaRange, filled, numIovas);
        return { ranges, alignment: outIovaAlignment };
      }
      room = numIovas;
    }
  }

  /**
   * IOMMU_IOAS_ALLOW_IOVAS: the IOVA that kernel-chosen maps keep to, and that
   * no device may reserve later; an empty list allows everything. Throws
   * ENOENT without such an IOAS, EINVAL for ranges that overlap or have one
   * byte, EADDRINUSE for one that is reserved (the old list is kept).
   */
  ioasAllowIovas(options: {
    readonly ioasId: number;
    readonly ranges: readonly IovaRange[];
  }): void {
    const { ioasId, ranges } = options;
    const bytes = encodeArray(uapi.IommuIovaRange, "ranges", ranges);
    using array = new ScratchMemory(this.process, bytes.length);
    array.store(bytes);
    this.#descriptor.call(uapi.IommuIoasAllowIovas, {
      ioasId,
      numIovas: ranges.length,
      allowedIovas: array.address,
    });
  }

  /** IOMMU_VFIO_IOAS: the IOAS that the container ioctls act on. Throws ENODEV without one. */
  vfioIoasGet(): { ioasId: number } {
    const op = uapi.IOMMU_VFIO_IOAS_GET;
    const { ioasId } = this.#descriptor.call(uapi.IommuVfioIoas, { op });
    return { ioasId };
  }

  /** IOMMU_VFIO_IOAS: sets the IOAS that the container ioctls act on. Throws ENOENT without such an IOAS. */
  vfioIoasSet(ioasId: number): void {
    this.#descriptor.call(uapi.IommuVfioIoas, {
      op: uapi.IOMMU_VFIO_IOAS_SET,
      ioasId: toU32("ioasId", ioasId),
    });
  }

  /** IOMMU_VFIO_IOAS: the container ioctls act on no IOAS any more. */
  vfioIoasClear(): void {
    const op = uapi.IOMMU_VFIO_IOAS_CLEAR;
    this.#descriptor.call(uapi.IommuVfioIoas, { op });
  }
}
