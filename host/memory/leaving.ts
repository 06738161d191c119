// SPDX-License-Identifier: GPL-2.0-only

/**
 * What becomes of pinned pages when a program lets go of them: on Linux they
 * live on by their pins. Each of these is called before the host does what the
 * program asked for, unless it says otherwise.
 *
 * @module
 */

import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import type { HostMachine } from "./machine.ts";
import type { HostMm } from "./host_mm.ts";
import type { Mapping } from "./spaces/mappings.ts";

/** The addresses [start, end) of a process, whole pages. */
export interface Range {
  /** First address. */
  readonly start: number;
  /** Address after the last one. */
  readonly end: number;
}

/** All addresses. */
export const EVERYTHING: Range = { start: 0, end: 2 ** 52 };

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

/** The process drops pages of files that it has mapped: MADV_REMOVE. */
export function keepRemoved(
  machine: HostMachine,
  { space }: HostMm,
  { start, end }: Range,
): void {
  for (const mapping of space.mappingsIn(start, end)) {
    if (!mapping.shared) continue;
    const from = Math.max(start, mapping.start);
    const first = indexOf(mapping, from);
    const last = first + (Math.min(end, mapping.end) - from) / PAGE_SIZE;
    machine.objectOfFile(mapping.file)?.letGo(first, last);
  }
}

/** Whether the process has anything pinned in a range. */
export function hasPinned(
  { frames }: HostMachine,
  { pages }: HostMm,
  { start, end }: Range,
): boolean {
  return frames.isPinned(pages, start / PAGE_SIZE, end / PAGE_SIZE);
}

/** The process has moved what was in a range, which is now at `to`: called after that. */
export function followMoved(
  { frames }: HostMachine,
  { pages }: HostMm,
  { start, end }: Range,
  to: number,
): void {
  const first = start / PAGE_SIZE;
  const last = end / PAGE_SIZE;
  frames.move(pages, first, last, pages, to / PAGE_SIZE);
}

function indexOf({ offset, start }: Mapping, address: number): number {
  return (offset + address - start) / PAGE_SIZE;
}
