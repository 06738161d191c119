// SPDX-License-Identifier: GPL-2.0-only

/**
 * The private pages of a process, by address.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { PageStore } from "../frames/page_store.ts";
import type { ProcessSpace } from "./process_space.ts";

/** Pages numbered by their address: what is there is the process's own as long as it has a frame. */
export class PrivatePages extends PageStore {
  readonly #space: ProcessSpace;
  /** What the pages were that the process is about to leave, by first page. */
  #last: { readonly page: number; readonly bytes: Uint8Array }[] = [];

  /** Of an address space. */
  constructor(space: ProcessSpace) {
    super();
    this.#space = space;
  }

  /** What is gone is what it was last, or zero. */
  override read(page: number, offset: number, to: Uint8Array): void {
    const address = page * PAGE_SIZE + offset;
    const n = this.#space.peek(address, to);
    if (n === to.length) return;
    to.fill(0, n);
    for (const { page: first, bytes } of this.#last) {
      const at = address + n - first * PAGE_SIZE;
      if (at < 0 || at >= bytes.length) continue;
      to.set(bytes.subarray(at, at + to.length - n), n);
    }
  }

  override write(page: number, offset: number, from: Uint8Array): void {
    this.#space.poke(page * PAGE_SIZE + offset, from);
  }

  /** Copies what has a frame: the process may be about to leave it. */
  remember(): void {
    this.#last = [];
    for (const [page, n] of this.runsIn(0, Infinity)) {
      const bytes = new Uint8Array(n * PAGE_SIZE);
      this.read(page, 0, bytes);
      this.#last.push({ page, bytes });
    }
  }

  /** It did not. */
  forget(): void {
    this.#last = [];
  }
}
