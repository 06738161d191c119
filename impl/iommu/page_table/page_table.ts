// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a domain translates with.
 *
 * @module
 */

import type { FrameRuns } from "../../kernel/interfaces/physical_memory.ts";
import type { Iova } from "../../lib/brands.ts";
import type { FrameList } from "../../lib/frame_list.ts";
import type { DirtyBitmap } from "../dirty.ts";

/** A page of a page table, for those who look. */
export interface IoPage {
  /** First IOVA that it maps. */
  readonly iova: number;
  /** First address in memory. */
  readonly paddr: number;
  /** Bytes. */
  readonly size: number;
  /** A device wrote to it, as far as the page table notes that. */
  readonly isDirty: boolean;
}

/**
 * A page table that a domain hands everything to that is about what is mapped:
 * `Domain` has the same methods, and says there what each must do (Linux:
 * struct pt_iommu_ops).
 */
export interface IoPageTable {
  /** See `Domain.mapRange()`. */
  map(iova: Iova, paddr: number, size: number, prot: number): void;
  /** See `Domain.mapSmall()`. */
  mapSmall(iova: Iova, paddr: number, size: number, prot: number): void;
  /** See `Domain.mapRuns()`. */
  mapRuns(
    iova: Iova,
    runs: FrameRuns,
    from: number,
    to: number,
    prot: number,
  ): Iova;
  /** See `Domain.unmapRange()`. */
  unmap(iova: Iova, size: number): number;
  /** As `Domain.iovaToPhys()`, but undefined in a hole. */
  lookup(iova: number): number | undefined;
  /** See `Domain.translate()`. */
  translate(iova: number, access: number): number | undefined;
  /** See `Domain.readPfns()`. */
  readPfns(iova: Iova, npages: number, out: Int32Array, at: number): void;
  /** See `Domain.readRuns()`. */
  readRuns(
    iova: Iova,
    npages: number,
    list: FrameList,
    maxRuns: number,
  ): number;
  /** See `Domain.readAndClearDirty()`. */
  readDirty(
    iova: number,
    size: number,
    flags: number,
    dirty: DirtyBitmap,
  ): void;
  /** See `Domain.ioPages()`. */
  entries(): readonly IoPage[];
  /** See `Domain.free()`. */
  free(): void;
}
