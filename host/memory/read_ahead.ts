// SPDX-License-Identifier: GPL-2.0-only

/**
 * What lies behind the first bytes that a call looks at: the kernel looks at a
 * struct's size and reads the struct then, and here each reading is a system
 * call. It counts for one call of the program: its memory changes any time.
 *
 * @module
 */

import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import { copy } from "./spaces/copier.ts";
import type { ProcessSpace } from "./spaces/process_space.ts";

/** Bytes that are read: most structs are not longer. */
const AHEAD = 64;
/** At most so many bytes are a first look. */
const FIRST_LOOK = 8;

/** See the module. */
export class ReadAhead {
  readonly #bytes = new Uint8Array(AHEAD);
  #start = 0;
  #end = 0;

  /** Fills `to` with what is at an address, if it was read or is a first look; true if it did. */
  read(space: ProcessSpace, address: number, to: Uint8Array): boolean {
    const end = address + to.length;
    if (address < this.#start || end > this.#end) {
      if (to.length > FIRST_LOOK) return false;
      const bytes = Math.min(AHEAD, PAGE_SIZE - address % PAGE_SIZE);
      this.#start = address;
      this.#end = address +
        space.read(address, this.#bytes.subarray(0, bytes));
      if (end > this.#end) return false;
    }
    copy(this.#bytes, address - this.#start, to, 0, to.length);
    return true;
  }

  /** Another call begins, or the memory is written. */
  forget(): void {
    this.#start = this.#end = 0;
  }
}
