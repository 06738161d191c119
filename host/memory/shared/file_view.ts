// SPDX-License-Identifier: GPL-2.0-only

/**
 * The bytes of a file as memory of this process.
 *
 * A file that somebody can cut off is never touched directly: that would be
 * SIGBUS. The kernel copies then, and says how far it came.
 *
 * @module
 */

import {
  MADV_POPULATE_WRITE,
  MAP_NORESERVE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../impl/uapi/mman.ts";
import type { Block } from "../../sys/sys.ts";
import { type Copier, copy } from "../spaces/copier.ts";

/** Bytes of a piece that is mapped at once: arrays cannot have any length. */
const WINDOW = 2 ** 30;
const WINDOW_PAGES = WINDOW / PAGE_SIZE;

/** What {@link FileView} is of. */
export interface FileViewParts {
  /** Makes the calls. */
  readonly copier: Copier;
  /** A descriptor of the file. */
  readonly fd: number;
  /** Whether the file keeps its length for certain, so that its bytes can be touched. */
  readonly steady: boolean;
  /** Its length in bytes, now. */
  readonly size: () => number;
}

/** A file, mapped as far as it is used. */
export class FileView {
  readonly #parts: FileViewParts;
  readonly #windows = new Map<number, Block>();
  #isSteady: boolean;

  /** Maps nothing yet. */
  constructor(parts: FileViewParts) {
    this.#parts = parts;
    this.#isSteady = parts.steady;
  }

  /** Fills `to` from a byte on; what is beyond the end is zero. */
  read(position: number, to: Uint8Array): void {
    const { copier } = this.#parts;
    this.#eachPart(position, to, (block, at, part) => {
      if (block === undefined) part.fill(0);
      else if (this.#isSteady) copy(block.bytes, at, part, 0, part.length);
      else {
        const n = copier.readProcess(Deno.pid, block.address + at, part);
        part.fill(0, n);
      }
    });
  }

  /** Writes `from` from a byte on; what is beyond the end stays out of the file. */
  write(position: number, from: Uint8Array): void {
    const { copier } = this.#parts;
    this.#eachPart(position, from, (block, at, part) => {
      if (block === undefined) return;
      if (this.#isSteady) copy(part, 0, block.bytes, at, part.length);
      else copier.writeProcess(Deno.pid, block.address + at, part);
    });
  }

  /** Has the pages [page, page + n) allocated; false if that cannot be. */
  populate(page: number, n: number): boolean {
    const { sys } = this.#parts.copier;
    for (let done = 0; done < n;) {
      const cur = page + done;
      const count = Math.min(n - done, WINDOW_PAGES - cur % WINDOW_PAGES);
      const at = (cur % WINDOW_PAGES) * PAGE_SIZE;
      const last = at + count * PAGE_SIZE - 1;
      const window = this.#window(Math.floor(cur / WINDOW_PAGES), last);
      if (window === undefined) return false;
      const { madvise } = sys.nr;
      const address = window.address + at;
      const result = sys.call(
        madvise,
        address,
        count * PAGE_SIZE,
        MADV_POPULATE_WRITE,
      );
      if (result < 0) return false;
      done += count;
    }
    return true;
  }

  /** Maps nothing any more. */
  close(): void {
    const { sys } = this.#parts.copier;
    for (const { address, bytes } of this.#windows.values()) {
      sys.unmap(address, bytes.length);
    }
    this.#windows.clear();
  }

  /** Calls `visit` with the parts of `data`, each with the window that it is in, if there is one, and where. */
  #eachPart(
    start: number,
    data: Uint8Array,
    visit: (block: Block | undefined, at: number, part: Uint8Array) => void,
  ): void {
    for (let done = 0; done < data.length;) {
      const at = (start + done) % WINDOW;
      const window = this.#window(Math.floor((start + done) / WINDOW), at);
      const mapped = window === undefined ? WINDOW : window.bytes.length;
      const end = Math.min(data.length, done + mapped - at);
      const whole = end - done === data.length;
      visit(window, at, whole ? data : data.subarray(done, end));
      done = end;
    }
  }

  /** A window, if the file has a byte `at` in it. */
  #window(number: number, at: number): Block | undefined {
    const there = this.#windows.get(number);
    if (there !== undefined && at < there.bytes.length) return there;
    const { size } = this.#parts;
    const left = Math.min(WINDOW, size() - number * WINDOW);
    const length = Math.ceil(left / PAGE_SIZE) * PAGE_SIZE;
    if (at >= length) return undefined;
    if (there !== undefined) this.#unmap(number, there);
    return this.#map(number, length);
  }

  #map(number: number, length: number): Block | undefined {
    const { copier: { sys }, fd } = this.#parts;
    const map = (prot: number) => {
      const flags = MAP_SHARED | MAP_NORESERVE;
      const { mmap } = sys.nr;
      return sys.call(mmap, 0, length, prot, flags, fd, number * WINDOW);
    };
    let address = map(PROT_READ | PROT_WRITE);
    if (address < 0) {
      // Nobody lets us write it: the kernel says so again at each write.
      this.#isSteady = false;
      address = map(PROT_READ);
    }
    if (address < 0) return undefined;
    const window = sys.blockAt(address, length);
    this.#windows.set(number, window);
    return window;
  }

  #unmap(number: number, { address, bytes }: Block): void {
    this.#parts.copier.sys.unmap(address, bytes.length);
    this.#windows.delete(number);
  }
}
