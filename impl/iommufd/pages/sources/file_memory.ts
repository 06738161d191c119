// SPDX-License-Identifier: GPL-2.0-only

/**
 * A file as a source of pages (Linux: IOPT_ADDRESS_FILE).
 *
 * What is kept is the memory of the file, not the open file: a file that has
 * none is refused when its pages are pinned. So an area keeps nothing open, the
 * iommufd that it belongs to least of all.
 *
 * @module
 */

import type { KernelCore } from "../../../kernel/core.ts";
import type { File } from "../../../kernel/files/file.ts";
import type { MemoryObject } from "../../../kernel/interfaces/memory_object.ts";
import type { FrameList } from "../../../lib/frame_list.ts";
import { EINVAL } from "../../../uapi/errno.ts";
import { PAGE_SIZE } from "../../../uapi/mman.ts";
import { PINNED_FILLING } from "../fill.ts";
import type { Filling, FrameSource, PagesSource } from "../source.ts";

const NO_MEMORY = EINVAL.because("the file is neither of shmem nor huge pages");
const BEYOND_END = EINVAL.because("a page reaches beyond the end of the file");
const PINNED_TOO_OFTEN = EINVAL.because(
  "a page is pinned as often as it can be",
);

/** A file. */
export class FileMemory implements PagesSource, FrameSource {
  readonly #kernel: KernelCore;
  readonly #memory: MemoryObject | undefined;

  /** The memory of a file, which it keeps. */
  constructor(kernel: KernelCore, file: File) {
    this.#kernel = kernel;
    this.#memory = file.pinnable?.get();
  }

  /** Itself. */
  get frames(): this {
    return this;
  }

  /** By pins. */
  get filling(): Filling {
    return PINNED_FILLING;
  }

  /** For a drawing. */
  get place(): string {
    return "the file";
  }

  /** Nobody takes it back: what is pinned stays, even where the file is cut. */
  get revoked(): boolean {
    return false;
  }

  /** The file has the memory, whoever is its owner. */
  get ownerMayChange(): boolean {
    return true;
  }

  /** Linux pins folios of files. */
  get listsFolios(): boolean {
    return true;
  }

  /** What kind of file it is, and where in it. */
  describe(owner: string, start: string): string {
    const kind = this.#memory?.huge ? "a hugetlb file" : "a file";
    const what = this.#memory ? kind : "a file without memory";
    return `of ${what}, mapped by ${owner}, at ${start}`;
  }

  /** Lets the memory go. */
  release(): void {
    this.#memory?.put();
  }

  /**
   * Pins all or nothing, pages that are missing once they are allocated. How
   * the file was opened, and its seals, do not matter. (Linux:
   * pfn_reader_user_pin, memfd_pin_folios.)
   */
  pin(first: number, npages: number, list: FrameList): number {
    const memory = this.#memory;
    this.#kernel.step("pages.pin");
    if (memory === undefined) throw NO_MEMORY;
    if ((first + npages) * PAGE_SIZE > memory.size) throw BEYOND_END;
    let done = 0;
    try {
      while (
        (done += memory.pin(first + done, npages - done, list)) < npages
      ) {
        memory.frameAt(first + done);
        if (memory.pin(first + done, 1, list) === 0) {
          throw PINNED_TOO_OFTEN;
        }
        done++;
      }
    } catch (error) {
      this.#kernel.frames.unpinRuns(list, 0, list.end);
      throw error;
    }
    return npages;
  }

  /** Only the pinned frames are what a device sees, too. */
  copy(): boolean {
    return false;
  }
}
