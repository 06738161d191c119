// SPDX-License-Identifier: GPL-2.0-only

/**
 * `/dev/vfio/vfio` as VFIO's own: a container, which gets a page table when its
 * type is set and loses it with its last group.
 *
 * Linux: drivers/vfio/container.c, and the ioctls of vfio_iommu_type1.c.
 *
 * @module
 */

import { IOMMU_READ, IOMMU_WRITE } from "../../iommu/domain.ts";
import {
  groupClaimDmaOwner,
  groupReleaseDmaOwner,
} from "../../iommu/dma_owner.ts";
import type { IommufdKernel } from "../../iommufd/kernel.ts";
import { File } from "../../kernel/files/file.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import {
  EACCES,
  EBUSY,
  EINVAL,
  ENODEV,
  ENOTTY,
  EPERM,
} from "../../uapi/errno.ts";
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_NOIOMMU_IOMMU,
  VFIO_SET_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
} from "../../uapi/vfio.ts";
import {
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  VFIO_DMA_UNMAP_FLAG_VADDR,
} from "../../uapi/vfio/type1.ts";
import type { GroupContainer, VfioGroup } from "../group.ts";
import { checkFlags, load } from "../pci/structs.ts";
import type { Dma } from "./dma.ts";
import { dirtyPages, loadBitmap, mark } from "./dirty.ts";
import { getInfo } from "./info.ts";
import { Type1Iommu } from "./iommu.ts";

const NO_IOCTL = ENOTTY.because("the container does not have the ioctl");
const NO_TYPE = EINVAL.because("the container has no type");

/** An open container. */
export class Type1Container extends File implements GroupContainer {
  /** It is no iommufd. */
  readonly iommufd: undefined = undefined;
  readonly #kernel: IommufdKernel;
  /** Groups that are in it, and their open devices. */
  readonly #groups: Map<VfioGroup, number> = new Map();
  #iommu: Type1Iommu | undefined;
  /** Its type is that of devices without an IOMMU. */
  #isNoIommu = false;

  /** Without groups, and without a type. */
  constructor(kernel: IommufdKernel, access: number) {
    super(access);
    this.#kernel = kernel;
  }

  /** As a device that is opened by its path; it has neither read nor write. */
  override get hasOffsets(): boolean {
    return true;
  }

  /** What is mapped in it: for who looks at it. */
  get mappings(): Iterable<Readonly<Dma>> {
    return this.#iommu?.mappings ?? [];
  }

  /** Linux: vfio_fops_unl_ioctl, vfio_iommu_type1_ioctl. */
  override ioctl(task: Task, cmd: number, arg: number | bigint): number {
    const value = Number(arg);
    switch (cmd) {
      case VFIO_GET_API_VERSION:
        return VFIO_API_VERSION;
      case VFIO_CHECK_EXTENSION:
        return this.#hasExtension(value) ? 1 : 0;
      case VFIO_SET_IOMMU:
        this.#setIommu(value, task);
        return 0;
    }
    if (this.#isNoIommu) throw NO_IOCTL;
    const iommu = this.#iommu;
    if (iommu === undefined) throw NO_TYPE;
    switch (cmd) {
      case VFIO_IOMMU_GET_INFO:
        getInfo(iommu, task, value);
        return 0;
      case VFIO_IOMMU_MAP_DMA:
        mapDma(iommu, task, value);
        return 0;
      case VFIO_IOMMU_UNMAP_DMA:
        unmapDma(iommu, task, value);
        return 0;
      case VFIO_IOMMU_DIRTY_PAGES:
        if (!iommu.isV2) throw EACCES.because("version 1 tracks nothing");
        dirtyPages(iommu, task, value);
        return 0;
      default:
        throw NO_IOCTL;
    }
  }

  /** Puts a group into it, whose DMA it owns from then on. Throws EPERM, EBUSY, and what attaching throws. (Linux: vfio_container_attach_group.) */
  attachGroup(group: VfioGroup, task: Task): this {
    group.checkPermission(task);
    const { iommuGroup, isNoIommu } = group;
    if (this.#first !== undefined && this.#first.isNoIommu !== isNoIommu) {
      throw EPERM.because("groups with and without an IOMMU cannot mix");
    }
    if (isNoIommu) {
      this.#groups.set(group, 0);
      return this.get();
    }
    groupClaimDmaOwner(iommuGroup, group);
    try {
      this.#iommu?.attach(iommuGroup, this.#kernel.options);
    } catch (error) {
      groupReleaseDmaOwner(iommuGroup);
      throw error;
    }
    this.#groups.set(group, 0);
    return this.get();
  }

  /** A device of a group is opened. Throws EINVAL before the type is set. (Linux: vfio_group_use_container.) */
  useFor(group: VfioGroup): void {
    if (!this.#hasType) throw NO_TYPE;
    this.#groups.set(group, this.#groups.get(group)! + 1);
  }

  /** It is closed. */
  unuseFor(group: VfioGroup): void {
    this.#groups.set(group, this.#groups.get(group)! - 1);
  }

  /** A group leaves; EBUSY while it has open devices. With the last one the type goes. (Linux: vfio_group_detach_container.) */
  leave(group: VfioGroup): void {
    if (this.#groups.get(group)! > 0) {
      throw EBUSY.because("the group has open devices");
    }
    this.#iommu?.detach(group.iommuGroup);
    if (!group.isNoIommu) groupReleaseDmaOwner(group.iommuGroup);
    this.#groups.delete(group);
    if (this.#groups.size === 0) {
      this.#iommu?.release();
      this.#iommu = undefined;
      this.#isNoIommu = false;
    }
    this.put();
  }

  /** The oldest group in it. */
  get #first(): VfioGroup | undefined {
    return this.#groups.keys().next().value;
  }

  get #hasType(): boolean {
    return this.#isNoIommu || this.#iommu !== undefined;
  }

  /** Of the drivers that its groups can have; of all while there are none. (Linux: vfio_iommu_driver_allowed.) */
  #hasExtension(extension: number): boolean {
    const isNoIommu = this.#first?.isNoIommu;
    if (extension === VFIO_NOIOMMU_IOMMU) {
      return this.#kernel.options.vfioNoIommuMode && isNoIommu !== false;
    }
    if (isNoIommu === true) return false;
    switch (extension) {
      case VFIO_TYPE1_IOMMU:
      case VFIO_TYPE1v2_IOMMU:
      case VFIO_UNMAP_ALL:
        return true;
      case VFIO_UPDATE_VADDR:
        return this.#iommu !== undefined;
      case VFIO_TYPE1_NESTING_IOMMU:
        return this.#kernel.revision.vfio.type1HasNesting;
      default:
        return false;
    }
  }

  /** Linux: vfio_ioctl_set_iommu. */
  #setIommu(type: number, task: Task): void {
    const groups = [...this.#groups.keys()].map(({ iommuGroup }) => iommuGroup);
    const [first] = groups;
    if (first === undefined) throw EINVAL.because("no group is in it");
    if (this.#hasType) throw EINVAL.because("it has a type");
    if (this.#first!.isNoIommu) {
      if (type !== VFIO_NOIOMMU_IOMMU) {
        throw ENODEV.because("the type is one with an IOMMU");
      }
      this.#first!.checkPermission(task);
      this.#isNoIommu = true;
      return;
    }
    const { type1HasNesting } = this.#kernel.revision.vfio;
    if (type === VFIO_TYPE1_NESTING_IOMMU && type1HasNesting) {
      throw EINVAL.because("the IOMMU cannot nest page tables so");
    }
    if (type === VFIO_UNMAP_ALL) {
      throw EINVAL.because("that is an extension, and no type");
    }
    if (type !== VFIO_TYPE1_IOMMU && type !== VFIO_TYPE1v2_IOMMU) {
      throw ENODEV.because("the type is unknown");
    }
    using undo = new DisposableStack();
    const iommu = new Type1Iommu(first, type === VFIO_TYPE1v2_IOMMU);
    undo.defer(() => iommu.release());
    for (const group of groups) {
      iommu.attach(group, this.#kernel.options);
      undo.defer(() => iommu.detach(group));
    }
    undo.move();
    this.#iommu = iommu;
  }
}

/** MAP_DMA. */
function mapDma(iommu: Type1Iommu, task: Task, uaddr: number): void {
  const { cmd } = load(task, uaddr, VfioIommuType1DmaMap);
  const { flags, iova, vaddr, length } = cmd;
  checkFlags(
    flags,
    VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR,
  );
  const prot = (flags & VFIO_DMA_MAP_FLAG_READ ? IOMMU_READ : 0) |
    (flags & VFIO_DMA_MAP_FLAG_WRITE ? IOMMU_WRITE : 0);
  const range = { iova, length, vaddr, prot };
  if (flags & VFIO_DMA_MAP_FLAG_VADDR) iommu.changeAddress(task, range);
  else iommu.map(task, range);
}

/** UNMAP_DMA: the bytes unmapped go back to the caller. */
function unmapDma(iommu: Type1Iommu, task: Task, uaddr: number): void {
  const { bytes, cmd } = load(task, uaddr, VfioIommuType1DmaUnmap);
  const { flags, iova, length } = cmd;
  const all = (flags & VFIO_DMA_UNMAP_FLAG_ALL) !== 0;
  const lose = (flags & VFIO_DMA_UNMAP_FLAG_VADDR) !== 0;
  const dirty = (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) !== 0;
  checkFlags(
    flags,
    VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR |
      VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
  );
  if (dirty && (all || lose)) {
    throw EINVAL.because("a bitmap is for a range that is unmapped");
  }
  if (all && (iova !== 0n || length !== 0n)) {
    throw EINVAL.because("ALL takes no range");
  }
  const range = all ? undefined : { iova, length };
  const bitmap = dirty
    ? loadBitmap(
      iommu,
      task,
      uaddr + bytes.length,
      cmd.argsz - bytes.length,
      { iova, length },
      () => iommu.checkUnmap({ iova, length }),
    )
    : undefined;
  cmd.length = lose ? iommu.loseAddresses(range) : iommu.unmap(range, (dma) => {
    if (bitmap !== undefined) mark(iommu, task, dma, iova, bitmap);
  });
  task.mm.copyToUser(uaddr, bytes);
}
