// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory of a process that the machine runs itself: what its program may
 * do with it.
 *
 * @module
 */

import type { Mm } from "./mm.ts";
import type { Task } from "./task.ts";

/** The arguments of mmap, addresses and lengths in bytes. */
export interface MmapArgs {
  /** Where; a wish unless MAP_FIXED. */
  readonly addr: number;
  /** How much. */
  readonly length: number;
  /** `PROT_*` bits. */
  readonly prot: number;
  /** `MAP_*` bits. */
  readonly flags: number;
  /** The file, ignored with MAP_ANONYMOUS. */
  readonly fd: number;
  /** Where in the file. */
  readonly offset: number;
}

/** The arguments of mremap, addresses and lengths in bytes. */
export interface MremapArgs {
  /** Where it is. */
  readonly addr: number;
  /** How long it is. */
  readonly oldLength: number;
  /** How long it shall be. */
  readonly length: number;
  /** `MREMAP_*` bits. */
  readonly flags: number;
  /** Where it shall be; ignored without MREMAP_FIXED. */
  readonly newAddr: number;
}

/**
 * A process touched memory that it may not touch: SIGSEGV on Linux. (See also
 * {@link BusError}.)
 */
export class SegmentationFault extends Error {
  /** Name of the class. */
  override name = "SegmentationFault";
}

/** A process touched a mapping with nothing behind it: beyond the end of its file, or no memory left. SIGBUS on Linux. */
export class BusError extends Error {
  /** Name of the class. */
  override name = "BusError";
}

/** An {@link Mm} with the calls of its program. They throw errnos as Linux returns them. */
export interface ProcessMemory extends Mm {
  /** Maps memory for a task; returns the address. */
  mmap(task: Task, args: MmapArgs): number;
  /** Unmaps memory. */
  munmap(addr: number, length: number): void;
  /** Changes the length or the place of a mapping, for a task; returns the place. */
  mremap(task: Task, args: MremapArgs): number;
  /** Changes the protection of memory. */
  mprotect(addr: number, length: number, prot: number): void;
  /** Gives advice about memory, `MADV_*`. */
  madvise(addr: number, length: number, advice: number): void;
  /** Fills `to` as the program's own loads do. Throws {@link SegmentationFault}, {@link BusError}. */
  peek(address: number, to: Uint8Array): void;
  /** Writes `from` as the program's own stores do. Throws {@link SegmentationFault}, {@link BusError}. */
  poke(address: number, from: Uint8Array): void;
  /** The memory of a child. Throws ENOMEM. (Linux: dup_mmap.) */
  fork(): ProcessMemory;
  /** Drops all memory; pinned frames survive by their pins. Idempotent. (Linux: exit_mmap.) */
  release(): void;
}
