// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory for structs and buffers that a caller passes by value.
 *
 * @module
 */

import { ENOMEM } from "../uapi/errno.ts";
import {
  MAP_FIXED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../uapi/mman.ts";
import type { AddressSpace } from "./memory/address_space.ts";
import { SegmentationFault } from "./memory/user_pages.ts";

/**
 * Bytes of address space for one call: the buffer ends at the last page, which
 * is the guard and stays unmapped.
 */
const WINDOW = 4 * 1024 * 1024;
/** Windows, one for each level of calls within calls. They lie where Linux has the stack, above all mappings. */
const LEVELS = 16;

/** Largest buffer in bytes. */
export const SCRATCH_MAX: number = WINDOW - PAGE_SIZE;

/** Buffers in a process's memory, each ending right before an unmapped page. */
export class Scratch {
  readonly #mm: AddressSpace;
  #level = 0;

  /** Nothing is mapped before it is needed. */
  constructor(mm: AddressSpace) {
    this.#mm = mm;
  }

  /**
   * Puts `bytes` before a guard page, runs `call` with their address and
   * copies the memory back. Throws ENOMEM if they do not fit.
   */
  lend(bytes: Uint8Array, call: (address: number) => number): number {
    if (bytes.length > SCRATCH_MAX || this.#level === LEVELS) throw ENOMEM;
    const end = TASK_SIZE - this.#level * WINDOW - PAGE_SIZE;
    const address = end - bytes.length;
    this.#level++;
    try {
      this.#place(address, bytes, end);
      const result = call(address);
      this.#mm.peek(address, bytes);
      return result;
    } finally {
      this.#level--;
    }
  }

  #place(address: number, bytes: Uint8Array, end: number): void {
    try {
      this.#mm.poke(address, bytes);
    } catch (error) {
      if (!(error instanceof SegmentationFault)) throw error;
      // The first call of this size.
      this.#map(Math.floor(address / PAGE_SIZE) * PAGE_SIZE, end);
      this.#mm.poke(address, bytes);
    }
  }

  #map(start: number, end: number): void {
    const options = { huge: false, thpAligned: false, mapsLow: false };
    this.#mm.map(this.#mm.place(start, end - start, MAP_FIXED, options), {
      length: end - start,
      prot: PROT_READ | PROT_WRITE,
      shared: false,
      mayWrite: true,
      huge: false,
      object: null,
      pageOffset: 0,
    });
  }
}
