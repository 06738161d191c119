// SPDX-License-Identifier: GPL-2.0-only

/**
 * IO address spaces: the object and its ioctls.
 *
 * Linux: drivers/iommu/iommufd/ioas.c.
 *
 * @module
 */

import { IOMMU_CACHE, IOMMU_READ, IOMMU_WRITE } from "../../iommu/domain.ts";
import { IntervalTree } from "../../lib/interval_tree.ts";
import { SpanIterator } from "../../lib/span_iterator.ts";
import { U64_MAX } from "../../lib/u64.ts";
import {
  EINVAL,
  EMSGSIZE,
  ENOENT,
  EOVERFLOW,
  type Errno,
  errnoOf,
} from "../../uapi/errno.ts";
import * as uapi from "../../uapi/iommufd.ts";
import type { HwptPaging } from "../hwpt/hw_pagetable.ts";
import { IoPagetable, type MapOptions } from "./io_pagetable.ts";
import type { IommufdCtx } from "../main.ts";
import { IommufdObject } from "../objects/object.ts";
import { RESERVED_FIELD, UNKNOWN_FLAG } from "../objects/refusals.ts";
import { MOCK_FLAGS_ACCESS_SYZ } from "../../uapi/selftest.ts";
import { IoptRange } from "./reserved.ts";
import { syzIova } from "./syz_iova.ts";
import type { Ucmd } from "../objects/ucmd.ts";

const IOVA_TOO_HIGH = EOVERFLOW.because("an IOVA is 2^64-1");
const TOO_LONG = EOVERFLOW.because("the length is 2^64-1");
const NO_RIGHTS = EINVAL.because("neither READABLE nor WRITEABLE is set");
const NOTHING_MAPPED = ENOENT.because("nothing is mapped in the range");
const ARRAY_TOO_SHORT = EMSGSIZE.because("there are more ranges than that");

/** All flags of IOMMU_IOAS_MAP and IOMMU_IOAS_COPY. */
const MAP_FLAGS = uapi.IOMMU_IOAS_MAP_FIXED_IOVA |
  uapi.IOMMU_IOAS_MAP_WRITEABLE |
  uapi.IOMMU_IOAS_MAP_READABLE;

/**
 * An IO address space: a map from IOVA to memory that all of its HWPTs and
 * accesses share (Linux: struct iommufd_ioas). HWPTs and accesses are users of
 * it; areas are not.
 */
export class Ioas extends IommufdObject {
  /** Where there is none. */
  static override readonly notFound: Errno = ENOENT.because(
    "there is no IOAS with this id",
  );
  /** The map. */
  readonly iopt: IoPagetable;
  /** The HWPTs that hold its map (Linux: hwpt_list). */
  readonly hwpts: Set<HwptPaging> = new Set();
  /** Those that the kernel made, which devices attached to the IOAS may share, oldest first. */
  readonly autoHwpts: Set<HwptPaging> = new Set();

  /** An empty IOAS. Throws ENOMEM. (Linux: iommufd_ioas_alloc.) */
  constructor(ctx: IommufdCtx) {
    super(ctx);
    this.iopt = new IoPagetable(ctx.kernel);
  }

  /** Unmaps everything (Linux: iommufd_ioas_destroy). */
  override destroy(): void {
    if (this.ctx.vfioIoas === this) this.ctx.vfioIoas = undefined;
    const errno = errnoOf(() => this.iopt.unmapAll({ unmapped: 0n }));
    this.ctx.kernel.warnings.on(
      errno !== undefined,
      `iommufd_ioas_destroy: cannot unmap everything: ${errno}`,
    );
    this.iopt.destroy();
  }
}

/** IOMMU_IOAS_ALLOC. */
export function ioasAlloc(ucmd: Ucmd<uapi.IommuIoasAlloc>): void {
  const { ctx, cmd } = ucmd;
  if (cmd.flags !== 0) throw UNKNOWN_FLAG;
  const ioas = new Ioas(ctx);
  ctx.objects.orDestroy(ioas, () => {
    cmd.outIoasId = ioas.id;
    ucmd.respond();
  });
  ctx.objects.finalize(ioas);
}

/** IOMMU_IOAS_IOVA_RANGES: the holes between the reserved ranges. */
export function ioasIovaRanges(ucmd: Ucmd<uapi.IommuIoasIovaRanges>): void {
  const { ctx, cmd } = ucmd;
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  ctx.objects.get(cmd.ioasId, Ioas).putAfter(({ iopt }) => {
    const capacity = cmd.numIovas;
    cmd.numIovas = writeIovaRanges(ucmd, iopt, capacity);
    cmd.outIovaAlignment = BigInt(iopt.iovaAlignment);
    ucmd.respond();
    // Only after the answer: the caller learns from it how many there are.
    if (cmd.numIovas > capacity) throw ARRAY_TOO_SHORT;
  });
}

/** Stores the ranges that fit into the caller's array; returns how many there are. */
function writeIovaRanges(
  ucmd: Ucmd<uapi.IommuIoasIovaRanges>,
  iopt: IoPagetable,
  capacity: number,
): number {
  const array = Number(ucmd.cmd.allowedIovas);
  const entry = new Uint8Array(uapi.IommuIovaRange.size);
  const range = uapi.IommuIovaRange.at(entry);
  let count = 0;
  const span = new SpanIterator(iopt.reserved, 0n, U64_MAX);
  for (; !span.done; span.next()) {
    if (!span.isHole) continue;
    if (count < capacity) {
      range.start = span.start;
      range.last = span.last;
      ucmd.process.mm.copyToUser(array + count * entry.length, entry);
    }
    count++;
  }
  return count;
}

/** IOMMU_IOAS_ALLOW_IOVAS. */
export function ioasAllowIovas(ucmd: Ucmd<uapi.IommuIoasAllowIovas>): void {
  const { ctx, cmd } = ucmd;
  if (ctx.kernel.revision.objects.checksReservedFields && cmd.reserved !== 0) {
    throw RESERVED_FIELD;
  }
  ctx.objects.get(cmd.ioasId, Ioas).putAfter(({ iopt }) => {
    iopt.setAllowedIova(loadIovas(ucmd));
  });
}

/**
 * Reads the caller's array. Throws EFAULT; EINVAL for a range of one byte or
 * less, and for ranges that overlap; ENOMEM. (Linux: iommufd_ioas_load_iovas.)
 */
function loadIovas(
  ucmd: Ucmd<uapi.IommuIoasAllowIovas>,
): IntervalTree<bigint, IoptRange> {
  const { cmd, process, ctx } = ucmd;
  const array = Number(cmd.allowedIovas);
  const entry = new Uint8Array(uapi.IommuIovaRange.size);
  const range = uapi.IommuIovaRange.at(entry);
  const tree = new IntervalTree<bigint, IoptRange>();
  for (let i = 0; i < cmd.numIovas; i++) {
    process.mm.copyFromUser(entry, array + i * entry.length);
    const { start, last } = range;
    if (start >= last) {
      throw EINVAL.because("a range does not end behind its start");
    }
    if (tree.first(start, last) !== undefined) {
      throw EINVAL.because("two ranges overlap");
    }
    ctx.kernel.step("iova.allow");
    tree.insert(new IoptRange(start, last, null));
  }
  return tree;
}

/** The `IOMMU_*` protection that map flags ask for. DMA is always cache coherent: user space has no way to flush caches. */
function convertProt(flags: number): number {
  let prot = IOMMU_CACHE;
  if (flags & uapi.IOMMU_IOAS_MAP_WRITEABLE) prot |= IOMMU_WRITE;
  if (flags & uapi.IOMMU_IOAS_MAP_READABLE) prot |= IOMMU_READ;
  return prot;
}

/** True if the flags give no permission and the revision wants one. */
function lacksProt(ctx: IommufdCtx, flags: number): boolean {
  return ctx.kernel.revision.ioas.mapNeedsProt &&
    !(flags & (uapi.IOMMU_IOAS_MAP_WRITEABLE | uapi.IOMMU_IOAS_MAP_READABLE));
}

/** IOMMU_IOAS_MAP. */
export function ioasMap(ucmd: Ucmd<uapi.IommuIoasMap>): void {
  const { ctx, cmd } = ucmd;
  const { flags, iova, length } = cmd;
  if (flags & ~MAP_FLAGS) throw UNKNOWN_FLAG;
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  if (iova >= U64_MAX) throw IOVA_TOO_HIGH;
  if (length >= U64_MAX) throw TOO_LONG;
  if (lacksProt(ctx, flags)) throw NO_RIGHTS;

  const ioas = ctx.objects.get(cmd.ioasId, Ioas);
  try {
    const how = mapOptions(ctx, flags, iova);
    cmd.iova = ioas.iopt.mapUserPages(cmd.userVa, length, how);
    ucmd.respond();
  } finally {
    ioas.put();
  }
}

/** IOMMU_IOAS_MAP_FILE. */
export function ioasMapFile(ucmd: Ucmd<uapi.IommuIoasMapFile>): void {
  const { ctx, cmd } = ucmd;
  const { flags, iova, fd, start, length } = cmd;
  if (flags & ~MAP_FLAGS) throw UNKNOWN_FLAG;
  if (iova >= U64_MAX) throw IOVA_TOO_HIGH;
  if (length >= U64_MAX) throw TOO_LONG;
  if (lacksProt(ctx, flags)) throw NO_RIGHTS;

  ctx.objects.get(cmd.ioasId, Ioas).putAfter((ioas) => {
    const how = mapOptions(ctx, flags, iova);
    cmd.iova = ioas.iopt.mapFilePages({ fd, start, length }, how);
    ucmd.respond();
  });
}

/** How a map with some flags is made. */
function mapOptions(ctx: IommufdCtx, flags: number, iova: bigint): MapOptions {
  return {
    accountMode: ctx.accountMode,
    iova: flags & uapi.IOMMU_IOAS_MAP_FIXED_IOVA ? iova : undefined,
    prot: convertProt(flags),
  };
}

/** IOMMU_IOAS_COPY. */
export function ioasCopy(ucmd: Ucmd<uapi.IommuIoasCopy>): void {
  const { ctx, cmd } = ucmd;
  const { revision } = ctx.kernel;
  if (revision.selftest.hasSyzFlag && cmd.flags & MOCK_FLAGS_ACCESS_SYZ) {
    convertSyz(ctx, cmd);
  }
  const { flags, length, srcIova, dstIova } = cmd;
  if (flags & ~MAP_FLAGS) throw UNKNOWN_FLAG;
  if (length >= U64_MAX) throw TOO_LONG;
  if (
    revision.ioas.copyChecksIova && (srcIova >= U64_MAX || dstIova >= U64_MAX)
  ) {
    throw IOVA_TOO_HIGH;
  }
  if (lacksProt(ctx, flags)) throw NO_RIGHTS;

  // The source IOAS is free to go from here on.
  const pages = ctx.objects.get(cmd.srcIoasId, Ioas)
    .putAfter(({ iopt }) => iopt.getPages(srcIova, length));
  try {
    ctx.objects.get(cmd.dstIoasId, Ioas).putAfter(({ iopt }) => {
      const iova = flags & uapi.IOMMU_IOAS_MAP_FIXED_IOVA ? dstIova : undefined;
      cmd.dstIova = iopt.mapPages(pages, length, iova, convertProt(flags));
      ucmd.respond();
    });
  } finally {
    pages[Symbol.dispose]();
  }
}

/** Replaces the syz form of a source IOVA, unless there is no such IOAS, and clears its flag (Linux: iommufd_test_syz_conv_iova_id). */
function convertSyz(ctx: IommufdCtx, cmd: uapi.IommuIoasCopy): void {
  cmd.flags &= ~MOCK_FLAGS_ACCESS_SYZ;
  errnoOf(() => {
    cmd.srcIova = ctx.objects.get(cmd.srcIoasId, Ioas)
      .putAfter(({ iopt }) => syzIova(iopt, cmd.srcIova));
  });
}

/** IOMMU_IOAS_UNMAP. */
export function ioasUnmap(ucmd: Ucmd<uapi.IommuIoasUnmap>): void {
  const { ctx, cmd } = ucmd;
  const ioas = ctx.objects.get(cmd.ioasId, Ioas);
  try {
    const { iova, length } = cmd;
    const result = { unmapped: 0n };
    if (iova === 0n && length === U64_MAX) {
      ioas.iopt.unmapAll(result);
    } else {
      if (iova >= U64_MAX) throw IOVA_TOO_HIGH;
      if (length >= U64_MAX) throw TOO_LONG;
      ioas.iopt.unmapIova(iova, length, result);
      if (result.unmapped === 0n) throw NOTHING_MAPPED;
    }
    cmd.length = result.unmapped;
    ucmd.respond();
  } finally {
    ioas.put();
  }
}
