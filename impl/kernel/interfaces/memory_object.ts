// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory that several mappings and files share.
 *
 * @module
 */

import type { FrameList } from "../../lib/frame_list.ts";

/** A private mapping of an object, as far as the object needs to know it. */
export interface PrivateMapping {
  /** Drops the mapping's own copies of the object's pages [first, end). */
  dropPrivate(first: number, end: number): void;
}

/**
 * Pages by index that are there once they are touched: anonymous shared memory,
 * the contents of a memfd, a file's page cache (Linux: struct address_space).
 * It lives as long as a file or a mapping has a reference.
 */
export interface MemoryObject {
  /** Length in bytes. */
  readonly size: number;
  /** Bytes of its pages. */
  readonly pageSize: number;
  /** True if they are huge. */
  readonly huge: boolean;
  /** References held; 0 after its pages were dropped. */
  readonly refs: number;
  /** The private mappings of it: truncation drops their copies too (Linux: i_mmap). */
  readonly privateMappings: Set<PrivateMapping>;

  /** Shared mappings that may write it, now or after mprotect (Linux: i_mmap_writable). */
  writableMappings: number;
  /** Sealed against writes to come, so that no hole may be made either (Linux: F_SEAL_WRITE, F_SEAL_FUTURE_WRITE). */
  writeSealed: boolean;
  /** Takes a reference. */
  get(): this;
  /** Drops a reference; the last one drops the pages. */
  put(): void;

  /** The frame of page `index`, 0 if it is missing. Throws EFAULT beyond the end. */
  present(index: number): number;
  /** The frame of page `index`, allocated if it is missing. Throws EFAULT beyond the end, ENOMEM. */
  frameAt(index: number): number;
  /**
   * Pins the frames of `count` pages from page `index` on and adds them to
   * `list`, which has room for so many runs. Stops at the first that is missing
   * or whose count would overflow; returns how many were pinned.
   */
  pin(index: number, count: number, list: FrameList): number;

  /** Fills `to` from byte `offset` on; returns the bytes up to the end of the object. */
  read(offset: number, to: Uint8Array): number;
  /**
   * Writes `from` at byte `offset`, making the object longer if need be.
   * Returns the bytes written: fewer when memory is short. Throws ENOMEM if
   * there are none.
   */
  write(offset: number, from: Uint8Array): number;
  /** The 4 bytes from `4 * index` on, with a sign: as one load has them, whoever stores there meanwhile. They must be within its length. */
  word(index: number): number;
  /** Whether any of its pages is pinned. */
  isPinned(): boolean;
  /**
   * Sets the length, of huge pages a multiple of theirs. Pages beyond it are
   * dropped, from private mappings too, and the rest of the last page is
   * zeroed.
   */
  truncate(size: number): void;
  /** Allocates what is missing of the pages [first, end), all or nothing. Throws ENOMEM. */
  allocate(first: number, end: number): void;
  /**
   * Makes the bytes [from, to) zero: whole pages are dropped, from private
   * mappings too where they are huge.
   */
  punch(from: number, to: number): void;
  /** Makes it at least `size` bytes long. */
  extend(size: number): void;
}
