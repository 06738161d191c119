// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory for structs and buffers that a caller passes by value.
 *
 * @module
 */

import { asErrno, EEXIST, ENOMEM } from "../../uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED_NOREPLACE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../uapi/mman.ts";
import type { Process } from "./process.ts";

/**
 * Bytes of address space for one call: the buffer ends at the last page, which
 * is the guard and stays unmapped.
 */
const WINDOW = 4 * 1024 * 1024;
/** Windows, one for each level of calls within calls. They lie where Linux has the stack, above all mappings. */
const LEVELS = 16;

const MAP_FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
  MAP_FIXED_NOREPLACE;

/** Largest buffer in bytes. */
export const SCRATCH_MAX: number = WINDOW - PAGE_SIZE;

/** Buffers in a process's memory, each ending right before an unmapped page. */
export class Scratch {
  readonly #process: Process;
  #level = 0;

  /** Nothing is mapped before it is needed. */
  constructor(process: Process) {
    this.#process = process;
  }

  /**
   * Puts `bytes` before a guard page, runs `call` with their address and
   * copies the memory back. Throws ENOMEM if they do not fit or cannot be
   * placed: memory is short, or the process has mapped something of its own
   * there. Throws EFAULT if the call took their place away.
   */
  lend(bytes: Uint8Array, call: (address: number) => number): number {
    if (bytes.length > SCRATCH_MAX || this.#level === LEVELS) throw ENOMEM;
    const end = TASK_SIZE - this.#level * WINDOW - PAGE_SIZE;
    const address = end - bytes.length;
    this.#level++;
    try {
      if (!this.#store(address, bytes)) {
        // The first call of this level.
        this.#map(end - SCRATCH_MAX);
        if (!this.#store(address, bytes)) throw ENOMEM;
      }
      const result = call(address);
      this.#process.mm.getUser(bytes, address);
      return result;
    } finally {
      this.#level--;
    }
  }

  #store(address: number, bytes: Uint8Array): boolean {
    try {
      this.#process.mm.putUser(address, bytes);
      return true;
    } catch (error) {
      asErrno(error);
      return false;
    }
  }

  #map(addr: number): void {
    const prot = PROT_READ | PROT_WRITE;
    const args = { addr, length: SCRATCH_MAX, prot, fd: -1, offset: 0 };
    try {
      this.#process.mm.mmap(this.#process, { ...args, flags: MAP_FLAGS });
    } catch (error) {
      throw EEXIST.is(error) ? ENOMEM : error;
    }
  }
}
