// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is mapped at an address of a process.
 *
 * It is asked anew each time: a program may map memory and change its
 * protection without anybody being told.
 *
 * @module
 */

import {
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../../impl/uapi/mman.ts";
import type { Block, Sys } from "../../sys/sys.ts";
import { type Copier, getLong, setLong } from "./copier.ts";

/** A mapping (Linux: struct vm_area_struct). */
export interface Mapping {
  /** First address. */
  readonly start: number;
  /** Address after the last one. */
  readonly end: number;
  /** `PROT_*` bits. */
  readonly prot: number;
  /** Whether it is MAP_SHARED. */
  readonly shared: boolean;
  /** Bytes of its pages: more than PAGE_SIZE where they are huge. */
  readonly pageSize: number;
  /** Byte of the file that the first address is. */
  readonly offset: number;
  /** Which file, {@link fileKey}; empty for none. */
  readonly file: string;
}

/** Finds mappings. */
export interface Mappings {
  /** The mapping of an address, or with `orNext` the first one behind it; undefined for none. */
  find(address: number, orNext?: boolean): Mapping | undefined;
}

/** What tells one file from another. */
export function fileKey(major: number, minor: number, inode: number): string {
  return `${major}:${minor}:${inode}`;
}

/** PROCMAP_QUERY of include/uapi/linux/fs.h. */
const PROCMAP_QUERY = 0xc0686611;
/** struct procmap_query: what is used of it. */
const QUERY = {
  size: 104,
  flags: 8,
  address: 16,
  start: 24,
  end: 32,
  vmaFlags: 40,
  pageSize: 48,
  offset: 56,
  inode: 64,
  devMajor: 72,
  devMinor: 76,
} as const;
const VMA_READABLE = 1;
const VMA_WRITABLE = 2;
const VMA_EXECUTABLE = 4;
const VMA_SHARED = 8;
const COVERING_OR_NEXT_VMA = 16;
const ENOTTY = 25;

/** Whether this Linux answers questions about one mapping (6.11). `maps` is any process's. */
export function canQuery(sys: Sys, maps: number): boolean {
  return sys.ioctl(maps, PROCMAP_QUERY, 0) !== -ENOTTY;
}

/** Asks about one mapping at a time. */
export class QueriedMappings implements Mappings {
  readonly #sys: Sys;
  readonly #maps: number;
  readonly #query: Block;

  /** `maps` is a descriptor of the process's /proc/PID/maps, `query` room for a question. */
  constructor(sys: Sys, maps: number, query: Block) {
    this.#sys = sys;
    this.#maps = maps;
    this.#query = query;
  }

  /** Room for a question. */
  static room(sys: Sys): Block {
    return sys.alloc(QUERY.size);
  }

  find(address: number, orNext = false): Mapping | undefined {
    const { view, bytes, address: at } = this.#query;
    bytes.fill(0);
    setLong(view, 0, QUERY.size);
    setLong(view, QUERY.flags, orNext ? COVERING_OR_NEXT_VMA : 0);
    setLong(view, QUERY.address, address);
    if (this.#sys.ioctl(this.#maps, PROCMAP_QUERY, at) < 0) return undefined;
    const flags = view.getUint32(QUERY.vmaFlags, true);
    const inode = getLong(view, QUERY.inode);
    const major = view.getUint32(QUERY.devMajor, true);
    const minor = view.getUint32(QUERY.devMinor, true);
    return {
      start: getLong(view, QUERY.start),
      end: getLong(view, QUERY.end),
      prot: (flags & VMA_READABLE ? PROT_READ : 0) |
        (flags & VMA_WRITABLE ? PROT_WRITE : 0) |
        (flags & VMA_EXECUTABLE ? PROT_EXEC : 0),
      shared: (flags & VMA_SHARED) !== 0,
      pageSize: getLong(view, QUERY.pageSize),
      offset: getLong(view, QUERY.offset),
      file: inode === 0 ? "" : fileKey(major, minor, inode),
    };
  }
}

/** A line of /proc/PID/maps. */
const LINE =
  /^([0-9a-f]+)-([0-9a-f]+) ([r-])([w-])([x-])([sp]) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)/;

/** All mappings in the text of /proc/PID/maps but what every process has of the kernel; `pageSizeOf` knows the bytes of a file's pages. */
export function parseMaps(
  text: string,
  pageSizeOf: (file: string) => number,
): Mapping[] {
  return text.split("\n").flatMap((line) => {
    const match = LINE.exec(line);
    if (match === null || parseInt(match[2]!, 16) > TASK_SIZE) return [];
    const [, start, end, r, w, x, s, offset, major, minor, inode] = match;
    const hex = (digits: string | undefined) => parseInt(digits!, 16);
    const file = inode === "0"
      ? ""
      : fileKey(hex(major), hex(minor), Number(inode));
    return [{
      start: hex(start),
      end: hex(end),
      prot: (r === "r" ? PROT_READ : 0) | (w === "w" ? PROT_WRITE : 0) |
        (x === "x" ? PROT_EXEC : 0),
      shared: s === "s",
      pageSize: pageSizeOf(file),
      offset: hex(offset),
      file,
    }];
  });
}

/** Reads all mappings each time, on a Linux that answers no questions. */
export class ListedMappings implements Mappings {
  readonly #read: () => string;
  readonly #pageSizeOf: (file: string) => number;

  /** `read` reads the process's /proc/PID/maps. */
  constructor(read: () => string, pageSizeOf: (file: string) => number) {
    this.#read = read;
    this.#pageSizeOf = pageSizeOf;
  }

  find(address: number, orNext = false): Mapping | undefined {
    const all = parseMaps(this.#read(), this.#pageSizeOf);
    const found = all.find(({ end }) => address < end);
    return orNext || (found && found.start <= address) ? found : undefined;
  }
}

/** All of a file of /proc, which comes in pieces, as text. */
export function readAll(copier: Copier, fd: number): string {
  const decoder = new TextDecoder();
  const piece = new Uint8Array(65536);
  let text = "";
  for (let at = 0, n; (n = copier.readFile(fd, at, piece)) > 0; at += n) {
    text += decoder.decode(piece.subarray(0, n), { stream: true });
  }
  return text;
}
