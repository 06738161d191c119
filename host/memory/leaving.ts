// SPDX-License-Identifier: GPL-2.0-only

/**
 * What becomes of pinned pages when a program lets go of them: on Linux they
 * live on by their pins. Each of these is called before the host does what the
 * program asked for, unless it says otherwise.
 *
 * @module
 */

import { HPAGE_SIZE, PAGE_SIZE } from "../../impl/uapi/mman.ts";
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

/** The process drops its private pages of a range: MADV_DONTNEED. */
export function keepPrivate(
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
 * The bytes [from, to) of a file, a `fileKey`, become a hole. Huge pages of it
 * have `hugePageSize` bytes; those that are not whole in it stay.
 */
export function keepPunched(
  machine: HostMachine,
  file: string,
  from: number,
  to: number,
  hugePageSize: number = HPAGE_SIZE,
): void {
  const object = machine.objectOfFile(file);
  if (object === undefined) return;
  const unit = object.huge ? hugePageSize : PAGE_SIZE;
  const first = Math.ceil(from / unit) * unit;
  const end = Math.floor(to / unit) * unit;
  object.letGo(first / PAGE_SIZE, end / PAGE_SIZE);
}

/** A file, a `fileKey`, is to end at a byte: pages behind it are dropped, from private mappings too. */
export function keepCut(
  machine: HostMachine,
  file: string,
  size: number,
): void {
  const end = Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
  machine.objectOfFile(file)?.letGo(end / PAGE_SIZE, Infinity);
  for (const mm of machine.mms) {
    for (const mapping of pinnedMappings(mm)) {
      if (mapping.shared || mapping.file !== file) continue;
      const cut = mapping.start + end - mapping.offset;
      const start = Math.max(cut, mapping.start);
      if (start >= mapping.end) continue;
      keepPrivate(machine, mm, { start, end: mapping.end });
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
