// SPDX-License-Identifier: GPL-2.0-only

import {
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { makeFrameList } from "../../../lib/frame_list.ts";
import type { Pfn } from "../../../lib/brands.ts";
import { EFAULT } from "../../../uapi/errno.ts";
import {
  HPAGE_SIZE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_HUGETLB,
  O_RDONLY,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../uapi/mman.ts";
import { KernelCore } from "../../core.ts";
import { HPAGE_FRAMES } from "./frames.ts";
import { FOLL_FORCE, FOLL_LONGTERM, FOLL_WRITE } from "../../interfaces/mm.ts";
import { ZERO_PFN } from "./private_pages.ts";
import type { Process } from "../process.ts";

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;

/** A process with `npages` of fresh private memory. */
function setup(npages = 1, flags = ANON, length = npages * PAGE_SIZE) {
  const kernel = new KernelCore();
  const process = kernel.spawn();
  const addr = process.mmap(0, length, RW, flags);
  return { kernel, process, addr };
}

/** Pins one page and returns its frame. */
function pin(process: Process, addr: number, flags: number): Pfn {
  const list = makeFrameList(1);
  assertEquals(process.mm.pinUserPages(addr, 1, flags, list), 1);
  return list.pfns[0]! as Pfn;
}

function unpin(kernel: KernelCore, pfn: Pfn): void {
  kernel.frames.unpinRange(pfn, 1);
}

function byteAt(process: Process, addr: number): number {
  return process.peek(addr, 1)[0]!;
}

describe("private pages", () => {
  it("read as the zero frame, with no memory used, until written", () => {
    const { kernel, process, addr } = setup();
    assertEquals(process.mm.userPage(addr), ZERO_PFN);
    assertEquals(byteAt(process, addr), 0);
    assertEquals(kernel.frames.used, 0);
    process.poke(addr, Uint8Array.of(1));
    assertNotEquals(process.mm.userPage(addr), ZERO_PFN);
    assertEquals(kernel.frames.used, 1);
  });

  it("are shared by fork until one side writes", () => {
    const { kernel, process, addr } = setup();
    process.poke(addr, Uint8Array.of(1));
    const child = process.fork();
    assertEquals(child.mm.userPage(addr), process.mm.userPage(addr));
    assertEquals(kernel.frames.used, 1);
    child.poke(addr, Uint8Array.of(2));
    assertEquals(byteAt(process, addr), 1);
    assertEquals(byteAt(child, addr), 2);
    assertEquals(kernel.frames.used, 2);
  });

  it("are written in place when the other owners are gone", () => {
    const { process, addr } = setup();
    process.poke(addr, Uint8Array.of(1));
    const pfn = process.mm.userPage(addr);
    process.fork().exit();
    process.poke(addr, Uint8Array.of(2));
    assertEquals(process.mm.userPage(addr), pfn);
    const child = process.fork();
    process.poke(addr, Uint8Array.of(3));
    assertNotEquals(process.mm.userPage(addr), pfn, "control: an owner lives");
    assertEquals(byteAt(child, addr), 2);
  });

  for (const flags of [FOLL_LONGTERM, FOLL_LONGTERM | FOLL_WRITE]) {
    const name = flags & FOLL_WRITE ? "writing" : "reading";
    it(`that are shared are copied by a pin for ${name}`, () => {
      const { kernel, process, addr } = setup();
      process.poke(addr, Uint8Array.of(1));
      const child = process.fork();
      const before = child.mm.userPage(addr);
      const pfn = pin(process, addr, flags);
      assertNotEquals(pfn, before);
      process.poke(addr, Uint8Array.of(2));
      assertEquals(process.mm.userPage(addr), pfn, "the pin sees the write");
      assertEquals(byteAt(child, addr), 1);
      unpin(kernel, pfn);
    });

    it(`that were never touched get a frame by a pin for ${name}`, () => {
      const { kernel, process, addr } = setup();
      const pfn = pin(process, addr, flags);
      process.poke(addr, Uint8Array.of(2));
      assertEquals(process.mm.userPage(addr), pfn);
      unpin(kernel, pfn);
    });
  }

  it("that are pinned stay with the parent at fork", () => {
    const { kernel, process, addr } = setup(2);
    process.poke(addr, new Uint8Array(2 * PAGE_SIZE).fill(1));
    const pfn = pin(process, addr, FOLL_LONGTERM);
    const child = process.fork();
    assertNotEquals(child.mm.userPage(addr), pfn);
    assertEquals(
      child.mm.userPage(addr + PAGE_SIZE),
      process.mm.userPage(addr + PAGE_SIZE),
      "control: not pinned",
    );
    process.poke(addr, Uint8Array.of(2));
    assertEquals(process.mm.userPage(addr), pfn);
    assertEquals(byteAt(child, addr), 1);
    unpin(kernel, pfn);
  });

  it("of a file are copied before a long pin, so that a write keeps the frame", () => {
    const { kernel, process } = setup();
    const fd = process.open("/proc/self/exe", O_RDONLY);
    const addr = process.mmap(0, PAGE_SIZE, RW, MAP_PRIVATE, fd);
    assertEquals(process.close(fd), 0);
    const cached = process.mm.userPage(addr);
    const pfn = pin(process, addr, FOLL_LONGTERM);
    assertNotEquals(pfn, cached);
    assertEquals(byteAt(process, addr), 0x7f);
    process.poke(addr, Uint8Array.of(1));
    assertEquals(process.mm.userPage(addr), pfn);
    unpin(kernel, pfn);
  });

  it("that may not be written are copied by a forced pin for writing", () => {
    const { kernel, process, addr } = setup();
    process.poke(addr, Uint8Array.of(1));
    const child = process.fork();
    assertEquals(process.mprotect(addr, PAGE_SIZE, PROT_READ), 0);
    const pfn = pin(process, addr, FOLL_LONGTERM | FOLL_WRITE | FOLL_FORCE);
    assertNotEquals(pfn, child.mm.userPage(addr));
    unpin(kernel, pfn);
  });

  it("beyond the end of a truncated file are gone, copies too", () => {
    const { process } = setup();
    const fd = process.memfdCreate("m", 0);
    process.ftruncate(fd, 2 * PAGE_SIZE);
    const addr = process.mmap(0, 2 * PAGE_SIZE, RW, MAP_PRIVATE, fd);
    process.poke(addr, new Uint8Array(2 * PAGE_SIZE).fill(3));
    process.ftruncate(fd, PAGE_SIZE);
    process.ftruncate(fd, 2 * PAGE_SIZE);
    assertEquals(byteAt(process, addr), 3, "control: before the end");
    assertEquals(byteAt(process, addr + PAGE_SIZE), 0);
  });
});

describe("private huge pages", () => {
  const HUGE = ANON | MAP_HUGETLB;

  it("are one run of frames, copied as a whole", () => {
    const { kernel, process, addr } = setup(1, HUGE, 2 * HPAGE_SIZE);
    process.poke(addr + HPAGE_SIZE - 1, Uint8Array.of(1, 2));
    assertEquals(kernel.frames.used, 2 * HPAGE_FRAMES);
    const head = process.mm.userPage(addr);
    assertEquals(head % HPAGE_FRAMES, 0);
    const child = process.fork();
    assertEquals(kernel.frames.used, 2 * HPAGE_FRAMES);
    child.poke(addr, Uint8Array.of(9));
    assertEquals(kernel.frames.used, 3 * HPAGE_FRAMES);
    assertEquals([...child.peek(addr + HPAGE_SIZE - 1, 2)], [1, 2]);
    assertEquals(byteAt(process, addr), 0);
    child.exit();
    process.poke(addr, Uint8Array.of(8));
    assertEquals(process.mm.userPage(addr), head, "the only owner writes here");
  });

  it("are there once they are read, and the process's own", () => {
    const { kernel, process, addr } = setup(1, HUGE, 2 * HPAGE_SIZE);
    assertEquals(byteAt(process, addr), 0);
    assertEquals(kernel.frames.used, HPAGE_FRAMES);
    const pfn = process.mm.userPage(addr);
    process.poke(addr, Uint8Array.of(1));
    assertEquals(process.mm.userPage(addr), pfn);
  });

  it("of a file come from it where it has them, and else are the process's own", () => {
    const { kernel, process } = setup();
    const fd = process.memfdCreate("h", MFD_HUGETLB);
    process.ftruncate(fd, 2 * HPAGE_SIZE);
    const map = (type: number) =>
      process.mmap(0, 3 * HPAGE_SIZE, PROT_READ, type, fd);
    const [shared, own] = [map(MAP_SHARED), map(MAP_PRIVATE)];
    const first = process.mm.userPage(own);
    assertNotEquals(process.mm.userPage(shared), first);
    const second = process.mm.userPage(shared + HPAGE_SIZE);
    assertEquals(process.mm.userPage(own + HPAGE_SIZE), second);
    assertEquals(kernel.frames.used, 3 * HPAGE_FRAMES);
    const beyond = () => process.mm.userPage(own + 2 * HPAGE_SIZE);
    assertStrictEquals(assertThrows(beyond), EFAULT);
  });

  it("stay with the parent at fork if any of their frames is pinned", () => {
    const { kernel, process, addr } = setup(1, HUGE, 2 * HPAGE_SIZE);
    process.poke(addr, new Uint8Array(2 * HPAGE_SIZE).fill(1));
    const pfn = pin(process, addr + 5 * PAGE_SIZE, FOLL_LONGTERM);
    const child = process.fork();
    assertEquals(kernel.frames.used, 3 * HPAGE_FRAMES);
    process.poke(addr + 5 * PAGE_SIZE, Uint8Array.of(2));
    assertEquals(process.mm.userPage(addr + 5 * PAGE_SIZE), pfn);
    assertEquals(byteAt(child, addr + 5 * PAGE_SIZE), 1);
    unpin(kernel, pfn);
  });

  it("leave no frame behind", () => {
    const { kernel, process, addr } = setup(1, HUGE, 2 * HPAGE_SIZE);
    const pfn = pin(process, addr + PAGE_SIZE, FOLL_LONGTERM);
    process.fork().poke(addr, Uint8Array.of(1));
    for (const each of [...kernel.processes]) each.exit();
    assertEquals(
      kernel.frames.used,
      1,
      "the pinned frame survives its process",
    );
    assertEquals(kernel.audit().length, 2);
    unpin(kernel, pfn);
    assertEquals(kernel.audit(), []);
  });
});

describe("shared memory", () => {
  for (const huge of [false, true]) {
    it(`is common to parent and child${huge ? ", huge pages too" : ""}`, () => {
      const flags = MAP_SHARED | MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0);
      const { process, addr } = setup(1, flags);
      const child = process.fork();
      child.poke(addr, Uint8Array.of(4));
      assertEquals(byteAt(process, addr), 4);
      assertEquals(process.mm.userPage(addr), child.mm.userPage(addr));
    });
  }
});
