// SPDX-License-Identifier: GPL-2.0-only

/**
 * Finds a way to open a file that a process has mapped.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { O_CLOEXEC } from "../../sys/structs.ts";
import type { Block, Sys } from "../../sys/sys.ts";
import { type Mapping, parseMaps } from "../spaces/mappings.ts";
import { type FileQuestions, OpenFile } from "./open_file.ts";

const O_RDWR = 2;
/** Bytes of the names of a folder that are read at once. */
const NAMES = 32768;
/** struct linux_dirent64: what is used of it. */
const DIRENT = { length: 16, name: 19 } as const;

/** Tries what the kernel may allow. */
export class FileFinder {
  readonly #questions: FileQuestions;
  readonly #mapFiles: boolean;
  readonly #names: Block;

  /** Asks with `questions`; tries /proc/PID/map_files, which is for root alone, if `mapFiles`. */
  constructor(questions: FileQuestions, mapFiles: boolean) {
    this.#questions = questions;
    this.#mapFiles = mapFiles;
    this.#names = questions.sys.alloc(NAMES);
  }

  get #sys(): Sys {
    return this.#questions.sys;
  }

  /** Opens the file of a mapping to read and write; undefined where that cannot be. */
  open(tid: number, { start, end, file }: Mapping): OpenFile | undefined {
    const mapped = this.#mapFiles
      ? this.#openAs(`/proc/${tid}/map_files/${hex(start)}-${hex(end)}`, file)
      : undefined;
    if (mapped !== undefined) return mapped;
    for (const fd of this.#numbersIn(`/proc/${tid}/fd`)) {
      const open = this.#openAs(`/proc/${tid}/fd/${fd}`, file);
      if (open !== undefined) return open;
    }
    return undefined;
  }

  /**
   * Descendants of this process that share a file by their mappings: who else
   * has it got it by its descriptor. Its own children are no programs of ours:
   * those are children of guards.
   */
  *processesWith(file: string): Generator<number> {
    const parents = new Map(
      this.#numbersIn("/proc").map((pid) => [pid, this.#parentOf(pid)]),
    );
    for (const [pid, guard] of parents) {
      let parent = parents.get(guard) ?? 0;
      while (parent > 0 && parent !== Deno.pid) {
        parent = parents.get(parent) ?? 0;
      }
      if (parent === Deno.pid && this.#shares(pid, file)) yield pid;
    }
  }

  #shares(pid: number, file: string): boolean {
    const text = this.#sys.readFile(-1, `/proc/${pid}/maps`);
    if (typeof text !== "string") return false;
    return parseMaps(text, () => PAGE_SIZE)
      .some((one) => one.shared && one.file === file);
  }

  /** The parent of a process; 0 for none. */
  #parentOf(pid: number): number {
    return Number(this.#sys.processStat(pid)?.[2] ?? 0);
  }

  /** What in a folder of /proc is called by a number; nothing where that may not be read. */
  #numbersIn(folder: string): number[] {
    const sys = this.#sys;
    const dir = sys.openat(-1, folder, O_CLOEXEC);
    if (dir < 0) return [];
    const { address, bytes, view } = this.#names;
    const numbers: number[] = [];
    let length: number;
    while ((length = sys.call(sys.nr.getdents64, dir, address, NAMES)) > 0) {
      for (let at = 0; at < length;) {
        const entry = view.getUint16(at + DIRENT.length, true);
        const text = bytes.subarray(at + DIRENT.name, at + entry);
        const number = numberIn(text);
        if (number >= 0) numbers.push(number);
        at += entry;
      }
    }
    sys.close(dir);
    return numbers;
  }

  /** Opens a path if it leads to the regular file that is meant: others do things when they are opened. */
  #openAs(path: string, file: string): OpenFile | undefined {
    const status = this.#questions.status(-1, path);
    if (status?.key !== file || !status.isRegular) return undefined;
    const fd = this.#sys.openat(-1, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return undefined;
    const open = OpenFile.of(this.#questions, fd);
    if (open?.key === file) return open;
    this.#sys.close(fd);
    return undefined;
  }
}

function hex(address: number): string {
  return address.toString(16);
}

/** The number that a name with a zero byte behind it is; -1 for another. */
function numberIn(name: Uint8Array): number {
  let number = 0;
  for (const char of name) {
    if (char === 0) return number;
    if (char < 0x30 || char > 0x39) return -1;
    number = number * 10 + char - 0x30;
  }
  return -1;
}
