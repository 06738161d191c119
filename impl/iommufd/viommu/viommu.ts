// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual IOMMUs: a part of a physical IOMMU that a virtual machine programs.
 *
 * It is made on a HWPT that others can be nested in. Nested HWPTs, devices
 * under the numbers that the virtual machine gives them, queues of events, and
 * queues that hardware reads are made on it in turn. It does not hold the
 * device that it was made for, only the IOMMU in front of it.
 *
 * Linux: struct iommufd_viommu, viommu.c and driver.c.
 *
 * @module
 */

import type { Device, IommuOps } from "../../iommu/device.ts";
import type { Domain } from "../../iommu/domain.ts";
import type { UserData, UserDataArray } from "../../iommu/user_data.ts";
import type { Viommu, ViommuOps } from "../../iommu/viommu/viommu.ts";
import type { MemoryObject } from "../../kernel/interfaces/memory_object.ts";
import { EINVAL, ENOENT, EOPNOTSUPP, type Errno } from "../../uapi/errno.ts";
import {
  IOMMU_VIOMMU_TYPE_DEFAULT,
  type IommuViommuAlloc,
} from "../../uapi/iommufd.ts";
import { IommufdDevice } from "../attach/device.ts";
import { HwptPaging } from "../hwpt/hw_pagetable.ts";
import type { NestedMaker, NestingBase } from "../hwpt/hwpt_nested.ts";
import { IommufdObject } from "../objects/object.ts";
import { UNKNOWN_FLAG } from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";
import type { IommufdVdevice } from "./vdevice.ts";
import type { Veventq } from "./veventq.ts";

const UNKNOWN_TYPE = EOPNOTSUPP.because(
  "the IOMMU driver has no vIOMMU of the type",
);

/** A virtual IOMMU (Linux: struct iommufd_viommu). It is a user of its HWPT. */
export class IommufdViommu extends IommufdObject
  implements NestingBase, Viommu {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no vIOMMU with this id",
  );
  /** `IOMMU_VIOMMU_TYPE_*`. */
  readonly type: number;
  /** The driver of the physical IOMMU (Linux: iommu_dev). */
  readonly iommuOps: IommuOps;
  /** What comes out of nested HWPTs is translated by this one. */
  readonly paging: HwptPaging;
  /** Its devices, by the numbers that the virtual machine gives them. */
  readonly vdevices: Map<bigint, IommufdVdevice> = new Map();
  /** Those numbers, by device. */
  readonly virtIds: Map<Device, bigint> = new Map();
  /** Its queues of events, by type. */
  readonly veventqs: Map<number, Veventq> = new Map();
  #ops: ViommuOps = {};

  /** Without a driver yet. */
  constructor(paging: HwptPaging, iommuOps: IommuOps, type: number) {
    super(paging.ctx);
    this.type = type;
    this.iommuOps = iommuOps;
    this.paging = paging;
    paging.ref();
  }

  /** What the driver implements; nothing before it has set it up. */
  get ops(): ViommuOps {
    return this.#ops;
  }

  /** For a message. */
  override get called(): string {
    return "a vIOMMU";
  }

  /** For a message. */
  override get uses(): readonly (IommufdObject | undefined)[] {
    return [this.paging];
  }

  /** For a message. */
  override get user(): string {
    return "a mapping of its memory";
  }

  /** Has the driver set it up. Throws what that throws. */
  init(userData: UserData | undefined): void {
    this.#ops = this.iommuOps.viommuInit!(this, userData);
  }

  /** The domain that translates what comes out of nested ones. */
  get parent(): Domain {
    return this.paging.domain;
  }

  /** Throws EINVAL for a device behind another IOMMU. */
  checkNesting({ iommuOps }: IommufdDevice): void {
    if (iommuOps !== this.iommuOps) {
      throw EINVAL.because("the device is behind another IOMMU");
    }
  }

  /** See {@link NestingBase}. Throws EOPNOTSUPP for a driver that cannot. */
  nestedMaker(): NestedMaker {
    const { ops } = this;
    if (!ops.domainAllocNested) {
      throw EOPNOTSUPP.because(
        "the vIOMMU has no nested HWPTs (ViommuOps.domainAllocNested)",
      );
    }
    return (flags, userData) => ops.domainAllocNested!(flags, userData);
  }

  /** Has the driver forget what user space names. Throws EOPNOTSUPP for a driver that cannot, and what it throws. */
  cacheInvalidate(array: UserDataArray): void {
    const { ops } = this;
    if (!ops.cacheInvalidate) {
      throw EOPNOTSUPP.because(
        "the vIOMMU takes no requests to invalidate (ViommuOps.cacheInvalidate)",
      );
    }
    ops.cacheInvalidate(array);
  }

  /** See {@link Viommu}. */
  findDevice(virtId: bigint): Device | undefined {
    return this.vdevices.get(virtId)?.dev;
  }

  /** See {@link Viommu}. */
  virtIdOf(dev: Device): bigint {
    const virtId = this.virtIds.get(dev);
    if (virtId === undefined) {
      throw ENOENT.because("the vIOMMU does not know the device");
    }
    return virtId;
  }

  /** See {@link Viommu}. */
  reportEvent(type: number, data: Uint8Array): void {
    const empty = this.ctx.kernel.warnings.on(
      data.length === 0,
      "iommufd: a driver reports an event of no bytes",
    );
    if (empty) throw EINVAL;
    const queue = this.veventqs.get(type);
    if (queue === undefined) {
      throw EOPNOTSUPP.because("the vIOMMU has no queue for such events");
    }
    queue.report(data);
  }

  /** See {@link Viommu}. */
  allocMmap(memory: MemoryObject, length: number): number {
    return this.ctx.mmapRegions.alloc(this, memory, length);
  }

  /** See {@link Viommu}. */
  destroyMmap(offset: number): void {
    this.ctx.mmapRegions.free(this, offset);
  }

  /** Linux: iommufd_viommu_destroy. */
  override destroy(): void {
    this.#ops.destroy?.();
    this.paging.unref();
  }
}

/**
 * IOMMU_VIOMMU_ALLOC. Throws EOPNOTSUPP for flags, for no type, and for one
 * that the device's IOMMU does not have; ENOENT without such a device or HWPT,
 * EINVAL for a HWPT that was not allocated to be a parent; ENOMEM, what the
 * driver throws, EFAULT. (Linux: iommufd_viommu_alloc_ioctl.)
 */
export function viommuAlloc(ucmd: Ucmd<IommuViommuAlloc>): void {
  const { ctx, cmd, process } = ucmd;
  const { type, dataLen } = cmd;
  if (cmd.flags !== 0) throw UNKNOWN_FLAG;
  if (type === IOMMU_VIOMMU_TYPE_DEFAULT) throw UNKNOWN_TYPE;
  const userData: UserData = {
    mm: process.mm,
    type,
    uptr: Number(cmd.dataUptr),
    len: dataLen,
  };
  ctx.objects.get(cmd.devId, IommufdDevice).putAfter(({ dev, iommuOps }) => {
    if (!iommuOps.viommuInit || !iommuOps.hasViommu?.(dev, type)) {
      throw UNKNOWN_TYPE;
    }
    ctx.objects.get(cmd.hwptId, HwptPaging).putAfter((paging) => {
      if (!paging.nestParent) {
        throw EINVAL.because("the HWPT was not allocated to be a parent");
      }
      const viommu = new IommufdViommu(paging, iommuOps, type);
      ucmd.newObject = viommu;
      viommu.init(dataLen === 0 ? undefined : userData);
      cmd.outViommuId = viommu.id;
      ucmd.respond();
    });
  });
}
