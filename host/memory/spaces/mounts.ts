// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which file systems files are of, by what tells one file from another.
 *
 * @module
 */

/** File systems whose files are memory alone: nobody writes their pages back to a disk. */
const MEMORY = new Set(["tmpfs", "devtmpfs", "hugetlbfs", "ramfs"]);

/** A line of /proc/self/mountinfo: the device, and behind a lone dash the kind; of huge pages also how large those are. */
const LINE =
  /^\d+ \d+ (?<device>\d+:\d+) .* - (?<kind>\S+) (?:.*\bpagesize=(?<size>\d+)(?<unit>[KM]))?/;

/** What a line says. */
interface Mounted {
  readonly kind: string;
  /** Bytes of a huge page, if its files are of these. */
  readonly hugePageSize: number | undefined;
}

/** The mounts of this process. What is mounted nowhere is the kernel's own, for memory. */
export class Mounts {
  readonly #read: () => string;
  #mounted: ReadonlyMap<string, Mounted> | undefined;

  /** `read` reads /proc/self/mountinfo. */
  constructor(read: () => string) {
    this.#read = read;
  }

  /** Whether the pages of a file are memory alone. */
  isMemory(file: string): boolean {
    const kind = this.#mountOf(file)?.kind;
    return kind === undefined || MEMORY.has(kind);
  }

  /** Bytes of a huge page of a file on a mounted file system of these. */
  hugePageSize(file: string): number | undefined {
    return this.#mountOf(file)?.hugePageSize;
  }

  #mountOf(file: string): Mounted | undefined {
    this.#mounted ??= new Map(
      this.#read().split("\n").flatMap((line) => {
        const match = LINE.exec(line)?.groups;
        return match === undefined ? [] : [[match.device!, mounted(match)]];
      }),
    );
    return this.#mounted.get(deviceOf(file));
  }
}

function mounted({ kind, size, unit }: Record<string, string>): Mounted {
  const hugePageSize = kind === "hugetlbfs"
    ? Number(size) * (unit === "M" ? 2 ** 20 : 2 ** 10)
    : undefined;
  return { kind: kind!, hugePageSize };
}

/** The file system of a file, as a `fileKey` begins. */
export function deviceOf(file: string): string {
  return file.slice(0, file.lastIndexOf(":"));
}
