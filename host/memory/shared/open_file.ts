// SPDX-License-Identifier: GPL-2.0-only

/**
 * A file that is open here, and what kind of file it is.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { AT_EMPTY_PATH, STATX, STATX_BASIC_STATS } from "../../sys/structs.ts";
import type { Block, Sys } from "../../sys/sys.ts";
import { type Copier, getLong } from "../spaces/copier.ts";
import { FileView } from "./file_view.ts";
import { fileKey } from "../spaces/mappings.ts";

/** File systems by what fstatfs calls them. */
const TMPFS_MAGIC = 0x01021994;
const HUGETLBFS_MAGIC = 0x958458f6;
/** struct statfs: what is used of it. */
const STATFS = { size: 120, type: 0, blockSize: 8 } as const;

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const F_GET_SEALS = 1034;
const F_SEAL_SHRINK = 2;
/** What the kernel calls memory that is shared without a file: nobody can cut that off. */
const ANONYMOUS = new Set(["/dev/zero (deleted)", "/anon_hugepage (deleted)"]);

/** What statx says of a file. */
export interface FileStatus {
  /** Which it is, as `fileKey`. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Whether it is a regular file. */
  readonly isRegular: boolean;
}

/** What fstatfs says of a file system. */
interface FileSystem {
  /** Which kind it is. */
  readonly type: number;
  /** Bytes of a block; of a huge page where files are of these. */
  readonly blockSize: number;
}

/** Asks about files. */
export class FileQuestions {
  /** The calls. */
  readonly sys: Sys;
  readonly #statx: Block;
  readonly #statfs: Block;

  /** Takes a little memory for as long as this process lives. */
  constructor(sys: Sys) {
    this.sys = sys;
    this.#statx = sys.alloc(STATX.size);
    this.#statfs = sys.alloc(STATFS.size);
  }

  /** What a path is, or a descriptor where the path is empty; undefined where there is none. */
  status(fd: number, path = ""): FileStatus | undefined {
    const { sys } = this;
    const { address, view } = this.#statx;
    const text = sys.text(path);
    const flags = path === "" ? AT_EMPTY_PATH : 0;
    const { statx } = sys.nr;
    const result = sys.call(statx, fd, text, flags, STATX_BASIC_STATS, address);
    if (result < 0) return undefined;
    return {
      key: fileKey(
        view.getUint32(STATX.devMajor, true),
        view.getUint32(STATX.devMinor, true),
        getLong(view, STATX.ino),
      ),
      size: getLong(view, STATX.bytes),
      isRegular: (view.getUint16(STATX.mode, true) & S_IFMT) === S_IFREG,
    };
  }

  /** Which file system a descriptor is of. */
  fileSystem(fd: number): FileSystem {
    const { address, view } = this.#statfs;
    this.sys.call(this.sys.nr.fstatfs, fd, address);
    const type = view.getUint32(STATFS.type, true);
    return { type, blockSize: getLong(view, STATFS.blockSize) };
  }
}

/** A regular file. */
export class OpenFile {
  /** Its descriptor. */
  readonly fd: number;
  /** Which it is, as `fileKey`. */
  readonly key: string;
  /** Bytes of its pages: more than PAGE_SIZE where they are huge. */
  readonly pageSize: number;
  /** Whether its pages can be pinned by their place: it is of shmem or of huge pages (Linux: memfd_pin_folios). */
  readonly isPinnable: boolean;
  readonly #questions: FileQuestions;

  private constructor(questions: FileQuestions, fd: number, key: string) {
    this.#questions = questions;
    this.fd = fd;
    this.key = key;
    const { type, blockSize } = questions.fileSystem(fd);
    const huge = type === HUGETLBFS_MAGIC;
    this.pageSize = huge ? blockSize : PAGE_SIZE;
    this.isPinnable = huge || type === TMPFS_MAGIC;
  }

  /** Of a descriptor; undefined if that is of no regular file. */
  static of(questions: FileQuestions, fd: number): OpenFile | undefined {
    const status = questions.status(fd);
    if (status === undefined || !status.isRegular) return undefined;
    return new OpenFile(questions, fd, status.key);
  }

  /** Its length in bytes, now. */
  get size(): number {
    return this.#questions.status(this.fd)?.size ?? 0;
  }

  /** Its bytes. */
  view(copier: Copier): FileView {
    const { fd } = this;
    const size = () => this.size;
    return new FileView({ copier, fd, steady: this.#isSteady, size });
  }

  /** Whether it keeps its length for certain. */
  get #isSteady(): boolean {
    const { sys } = this.#questions;
    const seals = sys.call(sys.nr.fcntl, this.fd, F_GET_SEALS);
    if (seals >= 0 && (seals & F_SEAL_SHRINK) !== 0) return true;
    const name = sys.readlinkat(-1, `/proc/self/fd/${this.fd}`);
    return typeof name === "string" && ANONYMOUS.has(name);
  }
}
