// SPDX-License-Identifier: GPL-2.0-only

/**
 * The memory of the processes: at addresses that are the same in every run, far
 * from where a real process has things of its own.
 *
 * @module
 */

import {
  HPAGE_SIZE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../../impl/uapi/mman.ts";
import type { Patch } from "../../../../selftests/target/program.ts";
import { type Maker, patchOf } from "../maker.ts";
import type { Fd, Mapping, Proc } from "../known/world.ts";

/** Where it all begins. */
export const ARENA: number = 2 ** 40;
/** Arrays and driver data, behind which nothing is. */
export const DATA_SIZE: number = 16 * PAGE_SIZE;
const DATA_END = ARENA + DATA_SIZE;
/** Memory to map: so many pages of places for it. */
export const MEMORY: number = ARENA + HPAGE_SIZE;
/** Places for it. */
export const MEMORY_PAGES = 512;
/** Huge pages, of which a machine has not many. */
const HUGE = ARENA + 8 * HPAGE_SIZE;
const HUGE_PLACES = 2;
const RW = PROT_READ | PROT_WRITE;
const FIXED = MAP_FIXED | MAP_ANONYMOUS;

/** Where nothing ever is. */
export const UNMAPPED: number = ARENA + 4 * HPAGE_SIZE;

/** Has the place for arrays mapped. */
function prepareData(maker: Maker, process: Proc): void {
  if (process.has(ARENA, DATA_SIZE, RW)) return;
  maker.add(
    process,
    [],
    "mmap",
    ARENA,
    DATA_SIZE,
    RW,
    MAP_PRIVATE | FIXED,
    -1,
    0,
  );
}

/** A place for an array of so many bytes, often right before memory that is not there. */
export function placeForData(
  maker: Maker,
  process: Proc,
  bytes: number,
): number {
  prepareData(maker, process);
  if (bytes >= DATA_SIZE) return ARENA;
  if (maker.chance.percent(40)) return DATA_END - bytes;
  const places = (DATA_SIZE - bytes) >> 3;
  return ARENA + 8 * maker.chance.below(places + 1);
}

/** Puts bytes where an ioctl finds them, in a place for `length` of them. */
export function storeData(
  maker: Maker,
  process: Proc,
  bytes: Uint8Array<ArrayBuffer>,
  length: number = bytes.length,
  patches: readonly Patch[] = [],
): number {
  const address = placeForData(maker, process, length);
  if (bytes.length > 0) maker.add(process, patches, "poke", address, bytes);
  return address;
}

/** A place for so many pages, which may be in use. */
export function placeForPages(maker: Maker, pages: number): number {
  const places = MEMORY_PAGES - pages + 1;
  return MEMORY + PAGE_SIZE * maker.chance.below(places);
}

/** Maps anonymous memory of so many pages or, rarely, some huge ones. */
function mapAnonymous(maker: Maker, process: Proc, pages: number): void {
  const { chance } = maker;
  const shared = chance.percent(40) ? MAP_SHARED : MAP_PRIVATE;
  const prot = chance.weighted([[92, RW], [6, PROT_READ], [2, 0]]);
  if (maker.longest > 1 && chance.percent(4)) {
    const at = HUGE + HPAGE_SIZE * chance.below(HUGE_PLACES);
    const flags = shared | FIXED | MAP_HUGETLB;
    maker.add(process, [], "mmap", at, HPAGE_SIZE, prot, flags, -1, 0);
    return;
  }
  const at = placeForPages(maker, pages);
  const flags = shared | FIXED;
  maker.add(process, [], "mmap", at, pages * PAGE_SIZE, prot, flags, -1, 0);
}

/** Maps a part of a file. */
export function mapFile(maker: Maker, process: Proc, { fd, file }: Fd): void {
  const { chance } = maker;
  const unit = file.huge ? HPAGE_SIZE : PAGE_SIZE;
  const units = Math.max(1, Math.floor(file.length / unit));
  const first = chance.percent(70) ? 0 : chance.below(units);
  const count = file.huge
    ? 1
    : chance.between(1, Math.min(maker.longest, units));
  const at = file.huge
    ? HUGE + HPAGE_SIZE * chance.below(HUGE_PLACES)
    : placeForPages(maker, count);
  const flags = MAP_FIXED | (chance.percent(75) ? MAP_SHARED : MAP_PRIVATE);
  const prot = chance.percent(90) ? RW : PROT_READ;
  maker.add(
    process,
    patchOf(4, fd),
    "mmap",
    at,
    count * unit,
    prot,
    flags,
    Number(fd.value),
    first * unit,
  );
}

/** Maps memory of some kind. */
export function mapMemory(maker: Maker, process: Proc, pages: number): void {
  const file = maker.chance.maybe(process.open("file"));
  if (file && file.file.length > 0 && maker.chance.percent(25)) {
    return mapFile(maker, process, file);
  }
  mapAnonymous(maker, process, pages);
}

/** Memory of a process to point to that is not its place for arrays; it is mapped if there is none. */
export function someMemory(maker: Maker, process: Proc): Mapping | undefined {
  const { chance } = maker;
  const there = process.memory.filter(({ start }) => start >= MEMORY);
  if (there.length === 0 || (there.length < 6 && chance.percent(20))) {
    mapMemory(maker, process, chance.between(1, maker.longest));
  }
  const all = process.memory.filter(({ start, prot }) =>
    start >= MEMORY && (prot !== 0 || chance.percent(10))
  );
  return chance.maybe(all);
}

/** An address, and how many bytes are there. */
export interface Range {
  readonly address: number;
  readonly length: number;
}

/** A part of the memory of a process: mostly whole pages. */
export function someRange(maker: Maker, process: Proc): Range {
  const { chance } = maker;
  const mapping = someMemory(maker, process);
  if (mapping === undefined) return { address: UNMAPPED, length: PAGE_SIZE };
  const { start, end } = mapping;
  const pages = (end - start) / PAGE_SIZE;
  const unit = chance.weighted([[85, PAGE_SIZE], [10, PAGE_SIZE / 2], [5, 1]]);
  const first = chance.percent(50) ? 0 : chance.below(pages);
  const count = chance.between(1, Math.min(maker.longest, pages - first));
  const address = start + first * PAGE_SIZE;
  const length = count * PAGE_SIZE;
  if (unit === PAGE_SIZE) return { address, length };
  const cut = unit * chance.below(PAGE_SIZE / unit);
  return chance.percent(50)
    ? { address: address + cut, length: length - cut }
    : { address, length: length - cut };
}
