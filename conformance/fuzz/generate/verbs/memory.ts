// SPDX-License-Identifier: GPL-2.0-only

/**
 * The verbs of memory, in the arena.
 *
 * @module
 */

import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../../impl/uapi/mman.ts";
import {
  mapFile,
  mapMemory,
  placeForPages,
  type Range,
  someRange,
  UNMAPPED,
} from "./arena.ts";
import type { Action } from "./files.ts";
import type { Maker } from "../maker.ts";
import type { Proc } from "../known/world.ts";

const RW = PROT_READ | PROT_WRITE;

/** Pages to do something with; rarely none that are there. */
function pages(maker: Maker, process: Proc): Range {
  const { chance } = maker;
  if (chance.percent(4)) return { address: UNMAPPED, length: PAGE_SIZE };
  const { address, length } = someRange(maker, process);
  if (chance.percent(5)) return { address, length };
  const start = address - address % PAGE_SIZE;
  return { address: start, length: Math.ceil(length / PAGE_SIZE) * PAGE_SIZE };
}

function mmap(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const file = chance.maybe(process.open("file"));
  if (file && chance.percent(40)) return mapFile(maker, process, file);
  mapMemory(maker, process, chance.between(1, maker.longest));
}

function mremap(maker: Maker, process: Proc): void {
  const { chance } = maker;
  const { address, length } = pages(maker, process);
  const wanted = PAGE_SIZE * chance.between(0, 8);
  const to = placeForPages(maker, 8);
  const moves = chance.percent(60);
  const flags = moves ? MREMAP_MAYMOVE | MREMAP_FIXED : 0;
  maker.add(process, [], "mremap", address, length, wanted, flags, to);
}

function mprotect(maker: Maker, process: Proc): void {
  const { address, length } = pages(maker, process);
  const prot = maker.chance.weighted([[30, PROT_READ], [15, 0], [55, RW]]);
  maker.add(process, [], "mprotect", address, length, prot);
}

function madvise(maker: Maker, process: Proc): void {
  const { address, length } = pages(maker, process);
  const advice = maker.chance.weighted([
    [40, MADV_DONTNEED],
    [10, MADV_DONTFORK],
    [10, MADV_DOFORK],
    [20, MADV_POPULATE_READ],
    [17, MADV_POPULATE_WRITE],
    [3, 999],
  ]);
  maker.add(process, [], "madvise", address, length, advice);
}

function munmap(maker: Maker, process: Proc): void {
  const { address, length } = pages(maker, process);
  maker.add(process, [], "munmap", address, length);
}

/** Whether registers of a device are at an address. */
function isRegister({ memory }: Proc, address: number): boolean {
  return memory.some(({ start, end, registers }) =>
    registers && start <= address + 64 && address < end
  );
}

function peek(maker: Maker, process: Proc): void {
  const { address, length } = someRange(maker, process);
  const isOwn = isRegister(process, address) && !maker.devices.areEngines;
  if (isOwn) return;
  const bytes = Math.min(length, maker.chance.between(1, 64));
  maker.add(process, [], "peek", address, new Uint8Array(bytes));
}

function poke(maker: Maker, process: Proc): void {
  const { address, length } = someRange(maker, process);
  if (isRegister(process, address)) return;
  const bytes = Math.min(length, maker.chance.between(1, 64));
  maker.add(process, [], "poke", address, maker.chance.bytes(bytes));
}

/** What a process does with memory, by the names that profiles have. */
export const MEMORY_ACTIONS: Readonly<Record<string, Action>> = {
  mmap,
  munmap,
  mremap,
  mprotect,
  madvise,
  peek,
  poke,
};
