// SPDX-License-Identifier: GPL-2.0-only

/**
 * Access without DMA: how a driver that emulates a device reads, writes and
 * pins the memory that an IOAS maps.
 *
 * A driver creates an {@link Access} with its callbacks, attaches it to the
 * IOAS that user space names, and then uses IOVA as its device would:
 *
 * ```ts ignore
 * const access = Access.create(ctx, { needsPinPages: true, unmap(iova, length) { … } });
 * access.attach(ioasId);
 * access.pinPages(iova, length, pfns, IOMMUFD_ACCESS_RW_WRITE);
 * access.unpinPages(iova, length);
 * access.release();
 * ```
 *
 * The rules for a driver:
 *
 * - `unmap` must unpin everything of its range before it returns. Pinning and
 *   noting what was pinned are one step as seen from `unmap`. A driver that
 *   gets this wrong makes the user's unmap fail with EDEADLOCK and a warning.
 * - `unmap` may be called from inside any ioctl on the context, for ranges
 *   that the driver does not use too.
 * - After {@link Access.release} returns, `unmap` is not called again.
 *
 * Linux: the second half of drivers/iommu/iommufd/device.c and
 * include/linux/iommufd.h.
 *
 * @module
 */

import { IOMMU_READ, IOMMU_WRITE } from "../../iommu/domain.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { partOf } from "../../lib/bytes.ts";
import { U64_MAX } from "../../lib/u64.ts";
import { EBUSY, EINVAL, ENOENT, EPERM } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import {
  addAccess,
  type PageRange,
  removeAccess,
  rwAccess,
} from "../pages/access_pages.ts";
import { IOMMUFD_ACCESS_RW_WRITE } from "../pages/source.ts";
import {
  addIoptAccess,
  type IoptAccess,
  removeIoptAccess,
} from "../ioas/accesses.ts";
import { ContigAreas, indexOf, type IoptArea } from "../pages/area.ts";
import type { IoPagetable } from "../ioas/io_pagetable.ts";
import { lastIova } from "../ioas/iova_alloc.ts";
import { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";
import { IommufdObject } from "../objects/object.ts";
import { NO_LENGTH } from "../objects/refusals.ts";

const NO_IOAS = ENOENT.because("the access is attached to no IOAS");
const NOT_MAPPED = ENOENT.because("part of the range of IOVA is not mapped");
const NO_RIGHT = EPERM.because("an area in the range does not allow that");
const BEING_UNMAPPED = EINVAL.because("an area in the range is being unmapped");
const NO_WHOLE_PAGES = EINVAL.because(
  "the range is not of whole pages of memory",
);

/** A driver's side of an access (Linux: struct iommufd_access_ops). */
export interface AccessOps {
  /**
   * The driver will pin pages: the IOAS then keeps its IOVA aligned to CPU
   * pages. Where the revision has no such rule it is ignored.
   */
  readonly needsPinPages?: boolean;
  /**
   * The range is about to be unmapped: unpin what intersects it. IOVA and length
   * in bytes.
   *
   * It is called for each area that user space unmaps while any access has pages
   * of it, again if some are still pinned afterwards; and once more, with IOVA 0 and
   * length 2^64-1, when the access is detached, moved to another IOAS or
   * released while it is attached, whether it has pins or not: then everything
   * goes. Unpins still find the old IOAS during that call.
   */
  unmap?(iova: bigint, length: bigint): void;
}

/** What the kernel itself implements for an access of its own: nobody asks it to unpin. */
const INTERNAL: AccessOps = { needsPinPages: true };

/** An in-kernel user of an IOAS (Linux: struct iommufd_access). */
export class Access extends IommufdObject implements IoptAccess {
  /** The driver's side. */
  readonly ops: AccessOps;
  /** Alignment that the IOAS must keep for it, bytes. */
  readonly iovaAlignment: number;
  /** What pins and copies act on; undefined while it is detached, and to block pins while it changes. */
  #ioas: Ioas | undefined;
  /** What unpins act on: the old IOAS until its last pin is gone. */
  #ioasUnpin: Ioas | undefined;
  #listId = 0;

  private constructor(ctx: IommufdCtx, ops: AccessOps) {
    super(ctx);
    const pins = ctx.kernel.revision.access.needsPinPages && ops.needsPinPages;
    this.ops = ops;
    this.iovaAlignment = pins ? PAGE_SIZE : 1;
  }

  /** For a message. */
  override get called(): string {
    return "an access";
  }

  /** For a message. */
  override get uses(): readonly (IommufdObject | undefined)[] {
    return [this.#ioas];
  }

  /**
   * An access without IOAS. The driver is a user until it releases it; the
   * access keeps the context. Throws ENOMEM. (Linux: iommufd_access_create. In
   * v3 that attached it too.)
   */
  static create(ctx: IommufdCtx, ops: AccessOps): Access {
    const access = new Access(ctx, ops);
    access.ref();
    ctx.get();
    ctx.objects.finalize(access);
    return access;
  }

  /**
   * An access for the kernel itself. It does not keep the context; what it pins
   * cannot be unmapped. Throws ENOMEM. (Linux: iommufd_access_create_internal.)
   */
  static createInternal(ctx: IommufdCtx): Access {
    const access = new Access(ctx, INTERNAL);
    access.ref();
    ctx.objects.finalize(access);
    return access;
  }

  /** Whether it is the kernel's own (Linux: iommufd_access_is_internal). */
  get isInternal(): boolean {
    return this.ops === INTERNAL;
  }

  /** The IOAS that it is attached to. */
  get ioas(): Ioas | undefined {
    return this.#ioas;
  }

  /**
   * Destroys the access. The driver must not use it any more. Pins that are
   * left are taken back through `unmap`. (Linux: iommufd_access_destroy.)
   */
  release(): void {
    this.ctx.objects.destroyUser(this);
  }

  /** For the object table: see {@link release} (Linux: iommufd_access_destroy_object). */
  override destroy(): void {
    if (this.#ioas !== undefined) this.#changeIoas(undefined);
    if (!this.isInternal) this.ctx.put();
  }

  /** Attaches one that is detached to an IOAS. Throws EADDRINUSE and ENOMEM as {@link attach}. (Linux: iommufd_access_attach_internal.) */
  attachTo(ioas: Ioas): void {
    this.#changeIoas(ioas);
  }

  /**
   * Attaches it to an IOAS. Throws ENOENT without such an IOAS, EADDRINUSE if
   * the IOAS has an area that is not aligned as the access needs, EINVAL with
   * a warning when it is attached already, ENOMEM.
   * (Linux: iommufd_access_attach.)
   */
  attach(ioasId: number): void {
    const attached = this.ctx.kernel.warnings.on(
      this.#ioas !== undefined,
      `iommufd: access ${this.id} is attached twice`,
    );
    if (attached) throw EINVAL;
    this.#changeIoasId(ioasId);
  }

  /**
   * Moves it to another IOAS; pins on the old one are taken back through
   * `unmap`. Throws ENOENT when it is not attached or there is no such IOAS,
   * and as {@link attach}; it then stays where it was.
   * (Linux: iommufd_access_replace.)
   */
  replace(ioasId: number): void {
    if (this.#ioas === undefined) throw NO_IOAS;
    this.#changeIoasId(ioasId);
  }

  /** Detaches it from its IOAS; pins are taken back through `unmap` (Linux: iommufd_access_detach). */
  detach(): void {
    const detached = this.ctx.kernel.warnings.on(
      this.#ioas === undefined,
      `iommufd: access ${this.id} is detached without being attached`,
    );
    if (!detached) this.#changeIoas(undefined);
  }

  /** Has the driver unpin what intersects a range (Linux: iommufd_access_notify_unmap). */
  notifyUnmap(iova: bigint, length: bigint): void {
    if (!this.lock()) return;
    try {
      this.ops.unmap?.(iova, length);
    } finally {
      this.put();
    }
  }

  #changeIoasId(id: number): void {
    const ioas = this.ctx.objects.get(id, Ioas);
    try {
      this.#changeIoas(ioas);
    } finally {
      ioas.put();
    }
  }

  /** Linux: iommufd_access_change_ioas. */
  #changeIoas(next: Ioas | undefined): void {
    const listId = this.#listId;
    const current = this.#ioas;
    // The driver's unmap, called below, changes the IOAS again.
    if (current !== this.#ioasUnpin) {
      throw EBUSY.because("the access is just being moved");
    }
    if (current === next) return;

    this.#ioas = undefined;
    if (next !== undefined) {
      try {
        this.#listId = addIoptAccess(next.iopt, this);
      } catch (error) {
        this.#ioas = current;
        throw error;
      }
      next.ref();
    }
    if (current !== undefined) {
      this.ops.unmap?.(0n, U64_MAX);
      removeIoptAccess(current.iopt, this, listId);
      current.unref();
    }
    this.#ioas = next;
    this.#ioasUnpin = next;
  }

  /**
   * Pins the pages under `length` bytes from `iova` on and stores their frame
   * numbers in `out`, one per page; it is a bug if they do not fit. Undone by
   * {@link unpinPages}.
   *
   * Throws EINVAL for length 0, for memory that does not begin and end on page
   * boundaries (but at the end of the range), while the range is being
   * unmapped, and with a warning for an access that was not created for
   * pinning; EOVERFLOW when the range wraps; ENOENT without IOAS and where
   * nothing is mapped; EPERM when the mapping does not allow it (`flags` has
   * IOMMUFD_ACCESS_RW_WRITE or not); EFAULT, ENOMEM.
   * (Linux: iommufd_access_pin_pages.)
   */
  pinPages(iova: bigint, length: bigint, out: Int32Array, flags: number): void {
    const { kernel } = this.ctx;
    const cannotPin = kernel.revision.access.needsPinPages &&
      (this.iovaAlignment !== PAGE_SIZE ||
        (this.ops.unmap === undefined && !this.isInternal));
    if (
      kernel.warnings.on(
        cannotPin,
        `iommufd: access ${this.id} pins without having said that it would`,
      )
    ) throw EINVAL;
    const last = lastOf(iova, length);
    if (this.#ioas === undefined) throw NO_IOAS;

    const { iopt } = this.#ioas;
    const areas = new ContigAreas(iopt, iova, last);
    try {
      let at = 0;
      for (; areas.area !== undefined; areas.next()) {
        const { area } = areas;
        if (area.preventAccess) throw BEING_UNMAPPED;
        if (!isAligned(areas, area)) throw NO_WHOLE_PAGES;
        checkRights(area, flags);
        const range = indexes(areas, area);
        const end = at + range.last - range.first + 1;
        if (end > out.length) {
          throw new KernelBug(
            `Access ${this.id} pins more pages than the ${out.length} that it has room for`,
          );
        }
        addAccess(area, range, out, at);
        if (this.isInternal) area.numLocks++;
        at = end;
      }
      if (!areas.done) throw NOT_MAPPED;
    } catch (error) {
      if (iova < areas.curIova) {
        this.#unpinRange(iopt, iova, areas.curIova - 1n);
      }
      throw error;
    }
  }

  /**
   * Unpins what one {@link pinPages} with exactly this range pinned; the
   * driver no longer touches the pages. Anything else is a bug of the driver
   * and warns. (Linux: iommufd_access_unpin_pages.)
   */
  unpinPages(iova: bigint, length: bigint): void {
    const { warnings } = this.ctx.kernel;
    const last = iova + length - 1n;
    const bad = warnings.on(
      length === 0n || last > U64_MAX,
      `iommufd: access ${this.id} unpins no range`,
    );
    if (bad) return;
    const ioas = this.#ioasUnpin;
    warnings.on(
      ioas === undefined,
      `iommufd: access ${this.id} unpins without IOAS`,
    );
    if (ioas === undefined) return;
    warnings.on(
      !this.#unpinRange(ioas.iopt, iova, last),
      `iommufd: access ${this.id} unpins what is not mapped`,
    );
  }

  /** Unpins a range area by area; false if it is not mapped throughout. */
  #unpinRange(iopt: IoPagetable, iova: bigint, last: bigint): boolean {
    const areas = new ContigAreas(iopt, iova, last);
    for (; areas.area !== undefined; areas.next()) {
      if (this.isInternal) areas.area.numLocks--;
      removeAccess(areas.area, indexes(areas, areas.area));
    }
    return areas.done;
  }

  /**
   * Copies `data.length` bytes from `iova` on into `data`, or from it with
   * IOMMUFD_ACCESS_RW_WRITE. A kernel thread says IOMMUFD_ACCESS_RW_KTHREAD.
   * Throws as {@link pinPages}, without its rules about alignment; what was
   * copied before the failing area stays copied. (Linux: iommufd_access_rw.)
   */
  rw(iova: bigint, data: Uint8Array, flags: number): void {
    const last = lastOf(iova, BigInt(data.length));
    if (this.#ioas === undefined) throw NO_IOAS;

    let at = 0;
    const areas = new ContigAreas(this.#ioas.iopt, iova, last);
    for (; areas.area !== undefined; areas.next()) {
      const { area, curIova } = areas;
      if (area.preventAccess) throw BEING_UNMAPPED;
      checkRights(area, flags);
      const end = at + Number(areas.curLast - curIova) + 1;
      const startByte = area.startByte(curIova);
      rwAccess(
        area.pages!,
        indexOf(startByte),
        Number(startByte & BigInt(PAGE_SIZE - 1)),
        partOf(data, at, end),
        flags,
      );
      at = end;
    }
    if (!areas.done) throw NOT_MAPPED;
  }
}

/** The last IOVA of a range. Throws EINVAL for length 0, EOVERFLOW. */
function lastOf(iova: bigint, length: bigint): bigint {
  if (length === 0n) throw NO_LENGTH;
  return lastIova(iova, length);
}

/** The page indexes of the current part of the range. */
function indexes(
  areas: ContigAreas,
  area: IoptArea,
): PageRange {
  return {
    first: area.iovaToIndex(areas.curIova),
    last: area.iovaToIndex(areas.curLast),
  };
}

/** Whether the part of the range in an area consists of whole pages, the end of the range excepted (Linux: iopt_area_contig_is_aligned). */
function isAligned(areas: ContigAreas, area: IoptArea): boolean {
  const mask = BigInt(PAGE_SIZE - 1);
  if (area.startByte(areas.curIova) & mask) return false;
  return areas.done || (area.startByte(area.lastIova) & mask) === mask;
}

/** Throws EPERM unless the area may be read, or written with IOMMUFD_ACCESS_RW_WRITE (Linux: check_area_prot). */
function checkRights(area: IoptArea, flags: number): void {
  const prot = flags & IOMMUFD_ACCESS_RW_WRITE ? IOMMU_WRITE : IOMMU_READ;
  if ((area.prot & prot) === 0) throw NO_RIGHT;
}
