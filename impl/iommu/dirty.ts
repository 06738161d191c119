// SPDX-License-Identifier: GPL-2.0-only

/**
 * Dirty tracking: how a domain tells which pages devices wrote.
 *
 * @module
 */

/** Flag of {@link DirtyOps.readAndClearDirty}: the dirty bits stay set. */
export const IOMMU_DIRTY_NO_CLEAR = 1 << 0;

/** Where a driver reports the pages that it found dirty (Linux: struct iommu_dirty_bitmap). */
export interface DirtyBitmap {
  /**
   * Whether anybody wants to know. False while the core clears old dirty bits
   * before tracking starts: a driver must clear them then, although it does
   * not track yet.
   */
  readonly isRecording: boolean;

  /**
   * Reports `pgcount` consecutive pages (1 by default) of `pgsize` bytes from
   * `iova` on, each as if it were reported alone. Both are multiples of the
   * domain's smallest page. Never fails: what cannot be recorded is lost, and
   * nobody is told. (Linux: iommu_dirty_bitmap_record.)
   */
  record(iova: number, pgsize: number, pgcount?: number): void;
}

/**
 * What a domain can do that tracks writes (Linux: struct iommu_dirty_ops). It
 * is the value of its `dirtyOps`, for instance the domain itself.
 */
export interface DirtyOps {
  /** Whether tracking is on. */
  readonly tracksDirty: boolean;

  /**
   * Starts or stops tracking; no change is no error. Throws what the hardware
   * demands. (Linux: set_dirty_tracking.)
   */
  setDirtyTracking(enable: boolean): void;

  /**
   * Reports the pages that were written among `size` bytes from `iova` on,
   * both multiples of the smallest page, and forgets that they were, unless
   * `flags` has {@link IOMMU_DIRTY_NO_CLEAR}. When it returns the hardware
   * must not use a cached translation that would let it skip setting a dirty
   * bit again. What it throws (EINVAL if the domain does not track) ends the
   * walk. (Linux: read_and_clear_dirty.)
   */
  readAndClearDirty(
    iova: number,
    size: number,
    flags: number,
    dirty: DirtyBitmap,
  ): void;
}
