// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which file systems files are of, by what tells one file from another.
 *
 * @module
 */

/** File systems whose files are memory alone: nobody writes their pages back to a disk. */
const MEMORY = new Set(["tmpfs", "devtmpfs", "hugetlbfs", "ramfs"]);

/** A line of /proc/self/mountinfo: the device, and behind a lone dash the kind. */
const LINE = /^\d+ \d+ (\d+:\d+) .* - (\S+) /;

/** The mounts of this process. What is mounted nowhere is the kernel's own, for memory. */
export class Mounts {
  readonly #read: () => string;
  #kinds: ReadonlyMap<string, string> | undefined;

  /** `read` reads /proc/self/mountinfo. */
  constructor(read: () => string) {
    this.#read = read;
  }

  /** Whether the pages of a file are memory alone. */
  isMemory(file: string): boolean {
    const kind = this.#kindOf(file);
    return kind === undefined || MEMORY.has(kind);
  }

  /** Whether a file is on a mounted file system of huge pages. */
  isHuge(file: string): boolean {
    return this.#kindOf(file) === "hugetlbfs";
  }

  #kindOf(file: string): string | undefined {
    this.#kinds ??= new Map(
      this.#read().split("\n").flatMap((line) => {
        const match = LINE.exec(line);
        return match === null ? [] : [[match[1]!, match[2]!] as const];
      }),
    );
    return this.#kinds.get(file.slice(0, file.lastIndexOf(":")));
  }
}
