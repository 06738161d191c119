// SPDX-License-Identifier: GPL-2.0-only

/**
 * What becomes of pinned pages when a program lets go of them: on Linux they
 * live on by their pins. Each of these is called before the host does what the
 * program asked for, unless it says otherwise.
 *
 * @module
 */

import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import type { HostMm } from "./host_mm.ts";
import type { HostMachine } from "./machine.ts";
import type { Mapping } from "./spaces/mappings.ts";

/** The addresses [start, end) of a process, whole pages. */
export interface Range {
  /** First address. */
  readonly start: number;
  /** Address after the last one. */
  readonly end: number;
}

const NOTHING: Range = { start: 0, end: 0 };

/** The pages of `length` bytes from an address on. */
export function rangeOf(address: number, length: number): Range {
  const start = address - address % PAGE_SIZE;
  return { start, end: Math.ceil((address + length) / PAGE_SIZE) * PAGE_SIZE };
}

/** The process lets go of a range, by munmap and what comes to the same. */
export function keepUnmapped(
  machine: HostMachine,
  mm: HostMm,
  range: Range,
): void {
  keepPrivate(machine, mm, range);
  machine.losePlaces({ space: mm.space, ...range });
}

/** The process drops its private pages of a range: MADV_DONTNEED. What is not a whole page stays (Linux: madvise_dontneed_free_valid_vma). */
export function keepUnneeded(
  machine: HostMachine,
  mm: HostMm,
  range: Range,
): void {
  if (!hasPinned(machine, mm, range)) return;
  for (const mapping of mm.space.mappingsIn(range.start, range.end)) {
    const { pageSize } = mapping;
    const start = Math.max(range.start, mapping.start);
    const last = Math.min(range.end, mapping.end);
    if (start % pageSize !== 0) return;
    const end = Math.floor(last / pageSize) * pageSize;
    keepPrivate(machine, mm, { start, end });
  }
}

/** The process loses its private pages of a range. */
function keepPrivate(
  { frames }: HostMachine,
  { pages }: HostMm,
  { start, end }: Range,
): void {
  frames.keep(pages, start / PAGE_SIZE, end / PAGE_SIZE);
}

/** The process drops pages of the files that it has mapped in a range: MADV_REMOVE. */
export function keepRemoved(
  machine: HostMachine,
  { space }: HostMm,
  { start, end }: Range,
): void {
  for (const mapping of space.mappingsIn(start, end)) {
    if (!mapping.shared) continue;
    const from = Math.max(start, mapping.start);
    const to = Math.min(end, mapping.end);
    const at = mapping.offset + from - mapping.start;
    keepPunched(machine, mapping.file, at, at + to - from);
  }
}

/**
 * The bytes [from, to) of a file, a `fileKey`, become a hole: what is not a
 * whole page stays. Of huge pages private copies go, too (Linux:
 * hugetlbfs_punch_hole).
 */
export function keepPunched(
  machine: HostMachine,
  file: string,
  from: number,
  to: number,
): void {
  keepDropped(machine, file, (pageSize) => ({
    start: Math.ceil(from / pageSize) * pageSize,
    end: Math.floor(to / pageSize) * pageSize,
  }), ({ pageSize }) => pageSize > PAGE_SIZE);
}

/** A file, a `fileKey`, is to end at a byte: pages behind it are dropped, from private mappings too. */
export function keepCut(
  machine: HostMachine,
  file: string,
  size: number,
): void {
  keepDropped(machine, file, (pageSize) => {
    // In a huge page no file ends.
    if (pageSize > PAGE_SIZE && size % pageSize !== 0) return NOTHING;
    return { start: Math.ceil(size / PAGE_SIZE) * PAGE_SIZE, end: Infinity };
  }, () => true);
}

/** A file drops a range of its bytes, by how large its pages are, and so do the private mappings that are `meant`. */
function keepDropped(
  machine: HostMachine,
  file: string,
  rangeWith: (pageSize: number) => Range,
  meant: (mapping: Mapping) => boolean,
): void {
  const object = machine.objectOfFile(file);
  if (object !== undefined) {
    const { start, end } = rangeWith(object.pageSize);
    object.letGo(start / PAGE_SIZE, end / PAGE_SIZE);
  }
  for (const mm of machine.mms) {
    for (const mapping of pinnedMappings(mm)) {
      if (mapping.shared || mapping.file !== file || !meant(mapping)) continue;
      const range = rangeWith(mapping.pageSize);
      const at = (byte: number) => byte - mapping.offset + mapping.start;
      const start = Math.max(at(range.start), mapping.start);
      const end = Math.min(at(range.end), mapping.end);
      if (start < end) keepPrivate(machine, mm, { start, end });
    }
  }
}

/** The mappings of private pages that have frames. */
function pinnedMappings({ pages, space }: HostMm): Mapping[] {
  const found: Mapping[] = [];
  let done = 0;
  for (const [page, n] of [...pages.runsIn(0, Infinity)]) {
    const end = (page + n) * PAGE_SIZE;
    for (const mapping of space.mappingsIn(page * PAGE_SIZE, end)) {
      if (mapping.end > done) found.push(mapping);
      done = Math.max(done, mapping.end);
    }
  }
  return found;
}

/** Whether the process has a private page pinned in a range. */
export function hasPinned(
  { frames }: HostMachine,
  { pages }: HostMm,
  { start, end }: Range,
): boolean {
  return frames.isPinned(pages, start / PAGE_SIZE, end / PAGE_SIZE);
}

/** The process has moved what was in a range, which is now at `to`: called after that. */
export function followMoved(
  machine: HostMachine,
  { pages, space }: HostMm,
  { start, end }: Range,
  to: number,
): void {
  const first = start / PAGE_SIZE;
  const last = end / PAGE_SIZE;
  machine.frames.move(pages, first, last, pages, to / PAGE_SIZE);
  machine.movePlaces({ space, start, end }, to);
}
