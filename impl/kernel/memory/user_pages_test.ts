// SPDX-License-Identifier: GPL-2.0-only

import {
  assertEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EFAULT, ENOMEM } from "../../uapi/errno.ts";
import {
  HPAGE_SIZE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import { GUP_PIN_COUNTING_BIAS } from "./frames.ts";
import { FOLL_FORCE, FOLL_LONGTERM, FOLL_WRITE } from "./mm.ts";
import type { Process } from "../process.ts";
import { BusError, SegmentationFault } from "./user_pages.ts";

const RW = PROT_READ | PROT_WRITE;
const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS;
const SHARED = MAP_SHARED | MAP_ANONYMOUS;
const BASE = 0x1000_0000;

/** Addresses that no process has. */
const BAD = [0, -1, -PAGE_SIZE, NaN, Infinity, TASK_SIZE, 2 ** 47, 2 ** 64];

function spawn(memory = 2 ** 26): Process {
  return new KernelCore({ memory }).spawn();
}

/** How many of `npages` could be pinned; 0 stands for EFAULT. */
function pinned(
  process: Process,
  addr: number,
  flags: number,
  npages = 1,
): number {
  const out = new Int32Array(npages);
  const before = process.kernel.frames.used;
  try {
    const n = process.mm.pinUserPages(addr, npages, flags, out, 0);
    for (const pfn of out.subarray(0, n)) {
      process.kernel.frames.put(pfn, GUP_PIN_COUNTING_BIAS);
    }
    return n;
  } catch (error) {
    assertStrictEquals(error, EFAULT);
    assertEquals(process.kernel.frames.used, before);
    return 0;
  }
}

describe("pinUserPages", () => {
  /** What each protection and kind of mapping allows (Linux: check_vma_flags). */
  const rules: [string, number, number, [number, number, number, number]][] = [
    // read, write, force read, force write
    ["private rw", RW, PRIVATE, [1, 1, 1, 1]],
    ["private r", PROT_READ, PRIVATE, [1, 0, 1, 1]],
    ["private x", PROT_EXEC, PRIVATE, [0, 0, 1, 1]],
    ["private none", PROT_NONE, PRIVATE, [0, 0, 1, 1]],
    ["shared rw", RW, SHARED, [1, 1, 1, 1]],
    ["shared r", PROT_READ, SHARED, [1, 0, 1, 0]],
    ["shared none", PROT_NONE, SHARED, [0, 0, 1, 0]],
    ["huge rw", RW, PRIVATE | MAP_HUGETLB, [1, 1, 1, 1]],
    ["huge r", PROT_READ, PRIVATE | MAP_HUGETLB, [1, 0, 1, 0]],
  ];
  for (const [name, prot, flags, expected] of rules) {
    it(`follows the protection of ${name}`, () => {
      const process = spawn();
      const addr = process.mmap(0, PAGE_SIZE, prot, flags);
      const flagSets = [0, FOLL_WRITE, FOLL_FORCE, FOLL_FORCE | FOLL_WRITE];
      assertEquals(
        flagSets.map((each) => pinned(process, addr, each | FOLL_LONGTERM)),
        expected,
      );
    });
  }

  it("goes on across mappings and stops at a hole", () => {
    const process = spawn();
    process.mmap(BASE, 2 * PAGE_SIZE, RW, PRIVATE | MAP_FIXED);
    process.mmap(BASE + 2 * PAGE_SIZE, PAGE_SIZE, RW, SHARED | MAP_FIXED);
    process.mmap(BASE + 4 * PAGE_SIZE, PAGE_SIZE, RW, PRIVATE | MAP_FIXED);
    assertEquals(pinned(process, BASE, FOLL_WRITE, 3), 3);
    assertEquals(pinned(process, BASE, FOLL_WRITE, 5), 3);
    assertEquals(pinned(process, BASE + 3 * PAGE_SIZE, FOLL_WRITE, 2), 0);
  });

  it("writes only the part of the array that it was given", () => {
    const process = spawn();
    const addr = process.mmap(0, 2 * PAGE_SIZE, RW, PRIVATE);
    const out = new Int32Array(5).fill(-1);
    assertEquals(process.mm.pinUserPages(addr, 2, FOLL_WRITE, out, 2), 2);
    assertEquals(
      out.map((pfn) => pfn > 0 ? 1 : pfn),
      Int32Array.of(-1, -1, 1, 1, -1),
    );
  });

  it("fails with EFAULT for addresses that no process has", () => {
    const process = spawn();
    for (const addr of BAD) {
      assertEquals(pinned(process, addr, 0), 0, `${addr}`);
    }
  });

  it("stops at the end of a file", () => {
    const process = spawn();
    const fd = process.memfdCreate("m", 0);
    process.ftruncate(fd, PAGE_SIZE + 1);
    for (const type of [MAP_SHARED, MAP_PRIVATE]) {
      const addr = process.mmap(0, 4 * PAGE_SIZE, RW, type, fd);
      assertEquals(pinned(process, addr, FOLL_WRITE, 4), 2);
      assertEquals(pinned(process, addr + 2 * PAGE_SIZE, 0, 2), 0);
    }
  });

  it("fails with ENOMEM when the count of a page would overflow, with no pin lost", () => {
    const process = spawn();
    const { frames } = process.kernel;
    const addr = process.mmap(0, 2 * PAGE_SIZE, RW, PRIVATE);
    process.poke(addr + PAGE_SIZE, Uint8Array.of(1));
    const pfn = process.mm.userPage(addr + PAGE_SIZE);
    const most = 2 ** 31 - 1 - GUP_PIN_COUNTING_BIAS;
    const out = new Int32Array(2);
    frames.refcount[pfn] = most + 1;
    assertEquals(process.mm.pinUserPages(addr, 2, 0, out, 0), 1);
    const full = () => process.mm.pinUserPages(addr + PAGE_SIZE, 1, 0, out, 0);
    assertStrictEquals(assertThrows(full), ENOMEM);
    frames.refcount[pfn] = most;
    assertEquals(full(), 1, "control: one less fits");
  });

  it("fails with ENOMEM when memory runs out, keeping what it got", () => {
    const process = spawn(2 * HPAGE_SIZE);
    const { frames } = process.kernel;
    const length = (frames.count + 1) * PAGE_SIZE;
    const fd = process.memfdCreate("m", 0);
    process.ftruncate(fd, length);
    const addr = process.mmap(0, length, RW, MAP_SHARED, fd);
    const out = new Int32Array(frames.count + 1);
    const got = process.mm.pinUserPages(addr, out.length, 0, out, 0);
    assertEquals(got, frames.used);
    const more = () =>
      process.mm.pinUserPages(addr + got * PAGE_SIZE, 1, 0, out, 0);
    assertStrictEquals(assertThrows(more), ENOMEM);
  });

  it("fails with EFAULT once the process has exited", () => {
    const process = spawn();
    const addr = process.mmap(0, PAGE_SIZE, RW, PRIVATE);
    assertEquals(process.mm.alive, true);
    process.exit();
    assertEquals(process.mm.alive, false);
    assertEquals(pinned(process, addr, 0), 0);
  });
});

describe("copyFromUser and copyToUser", () => {
  it("carry bytes across pages and mappings", () => {
    const process = spawn();
    process.mmap(BASE, PAGE_SIZE, RW, PRIVATE | MAP_FIXED);
    process.mmap(BASE + PAGE_SIZE, 2 * PAGE_SIZE, RW, SHARED | MAP_FIXED);
    for (const length of [0, 1, 31, 32, 33, 100, 5000, 9000]) {
      const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + length);
      const at = BASE + 10;
      process.mm.copyToUser(at, bytes);
      const back = new Uint8Array(length);
      process.mm.copyFromUser(back, at);
      assertEquals(back, bytes);
    }
  });

  it("fail with EFAULT at the first bad page, what lies before written", () => {
    const process = spawn();
    process.mmap(BASE, PAGE_SIZE, RW, PRIVATE | MAP_FIXED);
    const at = BASE + PAGE_SIZE - 2;
    const bytes = Uint8Array.of(1, 2, 3);
    assertStrictEquals(
      assertThrows(() => process.mm.copyToUser(at, bytes)),
      EFAULT,
    );
    assertEquals([...process.peek(at, 2)], [1, 2]);
    assertStrictEquals(
      assertThrows(() => process.mm.copyFromUser(bytes, at)),
      EFAULT,
    );
    process.mm.copyToUser(at, bytes.subarray(0, 2));
  });

  it("fail with EFAULT for addresses that no process has, and for memory that ran out", () => {
    const process = spawn(2 * HPAGE_SIZE);
    for (const addr of BAD) {
      const read = () => process.mm.copyFromUser(new Uint8Array(1), addr);
      assertStrictEquals(assertThrows(read), EFAULT, `${addr}`);
    }
    const length = 4 * HPAGE_SIZE;
    const flags = SHARED | 0x4000;
    const addr = process.mmap(0, length, RW, flags);
    const write = () => process.mm.copyToUser(addr, new Uint8Array(length));
    assertStrictEquals(assertThrows(write), EFAULT);
  });

  it("obey the protection as x86 does: whatever can be accessed can be read", () => {
    const process = spawn();
    const addr = process.mmap(0, PAGE_SIZE, RW, PRIVATE);
    const works = (body: () => void): boolean => {
      try {
        body();
        return true;
      } catch (error) {
        assertStrictEquals(error, EFAULT);
        return false;
      }
    };
    const byte = new Uint8Array(1);
    const seen = [PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC].map((prot) => {
      process.mprotect(addr, PAGE_SIZE, prot);
      return [
        works(() => process.mm.copyFromUser(byte, addr)),
        works(() => process.mm.copyToUser(addr, byte)),
      ];
    });
    assertEquals(seen, [
      [false, false],
      [true, false],
      [true, true],
      [true, false],
    ]);
  });
});

describe("peek and poke", () => {
  it("raise a SegmentationFault that names the bad address", () => {
    const process = spawn();
    process.mmap(BASE, PAGE_SIZE, RW, PRIVATE | MAP_FIXED);
    const error = assertThrows(
      () => process.peek(BASE + 4000, 200),
      SegmentationFault,
    );
    assertStringIncludes(error.message, "0x10001000 is not readable");
    for (const addr of BAD) {
      assertThrows(() => process.peek(addr, 1), SegmentationFault);
    }
    process.mprotect(BASE, PAGE_SIZE, PROT_READ);
    assertThrows(
      () => process.poke(BASE, new Uint8Array(1)),
      SegmentationFault,
    );
    process.peek(BASE, PAGE_SIZE);
  });

  it("raise a BusError beyond the end of a file", () => {
    const process = spawn();
    const fd = process.memfdCreate("m", 0);
    process.ftruncate(fd, 1);
    const addr = process.mmap(0, 2 * PAGE_SIZE, RW, MAP_SHARED, fd);
    process.poke(addr + PAGE_SIZE - 1, new Uint8Array(1));
    assertThrows(() => process.peek(addr + PAGE_SIZE, 1), BusError);
    assertThrows(
      () => process.poke(addr + PAGE_SIZE, new Uint8Array(1)),
      BusError,
    );
  });
});
