// SPDX-License-Identifier: GPL-2.0-only

/**
 * New pages, of whatever is to be mapped. Linux: pages.c, iopt_alloc_user_pages,
 * iopt_alloc_file_pages, iopt_alloc_dmabuf_pages.
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import { DmaBuf } from "../../kernel/files/dma_buf.ts";
import type { File } from "../../kernel/files/file.ts";
import { U64_MAX } from "../../lib/u64.ts";
import { EBADF, EINVAL, EOVERFLOW, type Errno } from "../../uapi/errno.ts";
import { PAGE_SHIFT, PAGE_SIZE } from "../../uapi/mman.ts";
import { NO_LENGTH } from "../objects/refusals.ts";
import type { Mapper } from "./mapper.ts";
import { IoptPages } from "./pages.ts";
import type { PagesSource } from "./source.ts";
import { DmaBufMemory } from "./sources/dma_buf_memory.ts";
import { FileMemory } from "./sources/file_memory.ts";

const TOO_LONG = EINVAL.because("the length is above 2^64-4097");
const MEMORY_WRAPS = EOVERFLOW.because("the memory reaches beyond 2^64-1");
const FILE_WRAPS = EOVERFLOW.because("the part of the file ends beyond 2^64-1");
const BEYOND_BUFFER = EINVAL.because("the DMA buffer is not so long");
const NO_FILE: Errno = EBADF.because("the descriptor is not open");

/** The bits of an offset within a page. */
const PAGE_MASK = BigInt(PAGE_SIZE - 1);

/**
 * The pages under `length` bytes from `uptr` on, of the calling process, which
 * is `mapper`.
 * Throws EINVAL for a length of 0 or above 2^64 - 4097, EOVERFLOW when the
 * end wraps, ENOMEM. Linux: iopt_alloc_user_pages.
 */
export function allocUserPages(
  kernel: KernelCore,
  mapper: Mapper,
  uptr: bigint,
  length: bigint,
  writable: boolean,
): IoptPages {
  const { checksUserVaOverflow, checksLengthFirst } = kernel.revision.pages;
  if (checksLengthFirst) checkLength(length);
  if (checksUserVaOverflow && uptr + length > U64_MAX) throw MEMORY_WRAPS;
  const npages = allocPages(kernel, uptr & PAGE_MASK, length);
  const source = mapper.memory(writable);
  return new IoptPages(kernel, mapper.owner, source, {
    firstPage: pageOf(uptr),
    npages,
    writable,
  });
}

/** A part of an open file of the calling process. */
export interface FilePart {
  /** Its descriptor. */
  readonly fd: number;
  /** First byte. */
  readonly start: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/**
 * The pages of a part of a file. Throws EINVAL for a length of 0 or above
 * 2^64 - 4097 and for what is not in a DMA buffer, EOVERFLOW when the end
 * wraps, EBADF, ENOMEM; ENODEV or EOPNOTSUPP for a DMA buffer that is not to
 * be had. What another file is shows when pages are pinned. Linux:
 * iopt_map_file_pages, iopt_alloc_file_pages, iopt_alloc_dmabuf_pages.
 */
export function allocFilePages(
  kernel: KernelCore,
  mapper: Mapper,
  { fd, start, length }: FilePart,
  writable: boolean,
): IoptPages {
  if (length === 0n) throw NO_LENGTH;
  if (start + length - 1n > U64_MAX) throw FILE_WRAPS;
  const file = kernel.current!.files.get(fd);
  if (file === undefined) throw NO_FILE;
  if (
    file instanceof DmaBuf &&
    BigInt(file.exporter.size) <= start + length - 1n
  ) {
    throw BEYOND_BUFFER;
  }
  const npages = allocPages(kernel, start & PAGE_MASK, length);
  const source = sourceOf(kernel, file);
  return new IoptPages(kernel, mapper.owner, source, {
    firstPage: pageOf(start),
    npages,
    writable,
  });
}

function sourceOf(kernel: KernelCore, file: File): PagesSource {
  return file instanceof DmaBuf
    ? new DmaBufMemory(kernel, file)
    : new FileMemory(kernel, file);
}

/** The page of a source that one of its bytes lies in. */
function pageOf(byte: bigint): number {
  return Number(byte >> BigInt(PAGE_SHIFT));
}

/** How many pages `length` bytes from byte `offset` of a page on are. Throws EINVAL, ENOMEM. Linux: iopt_alloc_pages. */
function allocPages(
  kernel: KernelCore,
  offset: bigint,
  length: bigint,
): number {
  checkLength(length);
  kernel.step("pages.alloc");
  // Linux lets the sum wrap: then no area finds enough pages.
  const end = BigInt.asUintN(64, length + offset + PAGE_MASK);
  return Number(end >> BigInt(PAGE_SHIFT));
}

function checkLength(length: bigint): void {
  if (length === 0n) throw NO_LENGTH;
  if (length > U64_MAX - BigInt(PAGE_SIZE)) throw TOO_LONG;
}
