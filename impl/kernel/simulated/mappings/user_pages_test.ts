// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { addRun, expandRuns, makeFrameList } from "../../../lib/frame_list.ts";
import { EFAULT, ENOMEM } from "../../../uapi/errno.ts";
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
} from "../../../uapi/mman.ts";
import { KernelCore } from "../../core.ts";
import { SimulatedMachine } from "../machine.ts";
import { GUP_PIN_COUNTING_BIAS } from "../pages/frames.ts";
import {
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_REMOTE,
  FOLL_WRITE,
} from "../../interfaces/mm.ts";
import type { Process } from "../process.ts";
import {
  BusError,
  SegmentationFault,
} from "../../interfaces/process_memory.ts";

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
  const list = makeFrameList(npages);
  const before = process.kernel.frames.used;
  try {
    const n = process.mm.pinUserPages(addr, npages, flags, list);
    process.kernel.frames.unpinRuns(list, 0, list.end);
    return n;
  } catch (error) {
    assertEquals(error, EFAULT);
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

  /** What a pin for reading gets of memory that was written before it lost the permission to read. */
  const writeOnly: [string, number, number, [number, number]][] = [
    // own process, another's
    ["private w", PROT_WRITE, PRIVATE, [1, 0]],
    ["private x", PROT_EXEC, PRIVATE, [1, 0]],
    ["private none", PROT_NONE, PRIVATE, [0, 0]],
    ["shared w", PROT_WRITE, SHARED, [1, 0]],
    ["shared x", PROT_EXEC, SHARED, [0, 0]],
    ["huge w", PROT_WRITE, PRIVATE | MAP_HUGETLB, [1, 0]],
  ];
  for (const [name, prot, flags, expected] of writeOnly) {
    it(`takes what is present of ${name} for reading, but not remotely`, () => {
      const process = spawn();
      const addr = process.mmap(0, HPAGE_SIZE, RW, flags);
      assertEquals(process.mprotect(addr, HPAGE_SIZE, prot), 0);
      assertEquals(pinned(process, addr, FOLL_LONGTERM), 0, "untouched");
      assertEquals(process.mprotect(addr, HPAGE_SIZE, RW), 0);
      process.poke(addr, Uint8Array.of(1));
      assertEquals(process.mprotect(addr, HPAGE_SIZE, prot), 0);
      assertEquals(
        [0, FOLL_REMOTE].map((each) =>
          pinned(process, addr, each | FOLL_LONGTERM)
        ),
        expected,
      );
    });
  }

  it("looks a page up without the permission to read, where it is present", () => {
    for (const flags of [PRIVATE, SHARED]) {
      const process = spawn();
      const addr = process.mmap(0, 2 * PAGE_SIZE, RW, flags);
      process.poke(addr, new Uint8Array(1));
      const pfn = process.mm.userPage(addr);
      process.mprotect(addr, 2 * PAGE_SIZE, PROT_WRITE);
      assertEquals(process.mm.userPage(addr), pfn);
      const absent = () => process.mm.userPage(addr + PAGE_SIZE);
      assertEquals(EFAULT.is(assertThrows(absent)), true);
      process.mprotect(addr, 2 * PAGE_SIZE, PROT_NONE);
      const protectedPage = () => process.mm.userPage(addr);
      assertEquals(EFAULT.is(assertThrows(protectedPage)), true);
    }
  });

  it("goes on across mappings and stops at a hole", () => {
    const process = spawn();
    process.mmap(BASE, 2 * PAGE_SIZE, RW, PRIVATE | MAP_FIXED);
    process.mmap(BASE + 2 * PAGE_SIZE, PAGE_SIZE, RW, SHARED | MAP_FIXED);
    process.mmap(BASE + 4 * PAGE_SIZE, PAGE_SIZE, RW, PRIVATE | MAP_FIXED);
    assertEquals(pinned(process, BASE, FOLL_WRITE, 3), 3);
    assertEquals(pinned(process, BASE, FOLL_WRITE, 5), 3);
    assertEquals(pinned(process, BASE + 3 * PAGE_SIZE, FOLL_WRITE, 2), 0);
  });

  it("adds frames behind those that are in the list", () => {
    const process = spawn();
    const addr = process.mmap(0, 2 * PAGE_SIZE, RW, PRIVATE);
    const list = makeFrameList(3);
    addRun(list, 3, 7000, 1);
    assertEquals(process.mm.pinUserPages(addr, 2, FOLL_WRITE, list), 2);
    const out = new Int32Array(5).fill(-1);
    assertEquals(expandRuns(list, out, 1), 3);
    const pfn = process.mm.userPage(addr);
    const next = process.mm.userPage(addr + PAGE_SIZE);
    assertEquals([...out], [-1, 7000, pfn, next, -1]);
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
    const machine = new SimulatedMachine({ memory: 2 ** 26 });
    const process = new KernelCore({ machine }).spawn();
    const { frames } = machine;
    const addr = process.mmap(0, 2 * PAGE_SIZE, RW, PRIVATE);
    process.poke(addr + PAGE_SIZE, Uint8Array.of(1));
    const pfn = process.mm.userPage(addr + PAGE_SIZE);
    const most = 2 ** 31 - 1 - GUP_PIN_COUNTING_BIAS;
    const list = makeFrameList(3);
    frames.refcount[pfn] = most + 1;
    assertEquals(process.mm.pinUserPages(addr, 2, 0, list), 1);
    const full = () => process.mm.pinUserPages(addr + PAGE_SIZE, 1, 0, list);
    assertEquals(assertThrows(full), ENOMEM);
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
    const npages = frames.count + 1;
    const list = makeFrameList(npages + 1);
    const got = process.mm.pinUserPages(addr, npages, 0, list);
    assertEquals(got, frames.used);
    const more = () =>
      process.mm.pinUserPages(addr + got * PAGE_SIZE, 1, 0, list);
    assertEquals(assertThrows(more), ENOMEM);
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
    assertEquals(assertThrows(() => process.mm.copyToUser(at, bytes)), EFAULT);
    assertEquals([...process.peek(at, 2)], [1, 2]);
    assertEquals(
      assertThrows(() => process.mm.copyFromUser(bytes, at)),
      EFAULT,
    );
    process.mm.copyToUser(at, bytes.subarray(0, 2));
  });

  it("fail with EFAULT for addresses that no process has, and for memory that ran out", () => {
    const process = spawn(2 * HPAGE_SIZE);
    for (const addr of BAD) {
      const read = () => process.mm.copyFromUser(new Uint8Array(1), addr);
      assertEquals(assertThrows(read), EFAULT, `${addr}`);
    }
    const length = 4 * HPAGE_SIZE;
    const flags = SHARED | 0x4000;
    const addr = process.mmap(0, length, RW, flags);
    const write = () => process.mm.copyToUser(addr, new Uint8Array(length));
    assertEquals(assertThrows(write), EFAULT);
  });

  it("fail with EFAULT in every kind of copy when memory ran out", () => {
    const process = spawn(2 * HPAGE_SIZE);
    const { mm, kernel } = process;
    const addr = process.mmap(0, 4 * HPAGE_SIZE, RW, SHARED | 0x4000);
    const bytes = new Uint8Array(4);
    const copies: (() => unknown)[] = [
      () => mm.getUser(bytes, addr),
      () => mm.putUser(addr, bytes),
      () => mm.copyFromUser(bytes, addr),
      () => mm.copyToUser(addr, bytes),
      () => mm.isZeroed(addr, 4),
      () => mm.clearUser(addr, 4),
    ];
    const first = addr + PAGE_SIZE;
    for (let at = first; kernel.frames.used < kernel.frames.count - 1;) {
      mm.putUser(at, bytes);
      at += PAGE_SIZE;
    }
    for (const copy of copies) {
      assertEquals(EFAULT.is(assertThrows(copy)), true, `${copy}`);
    }
    assertThrows(() => process.peek(addr, 1), BusError, "no memory is left");
    assertThrows(
      () => process.poke(addr, bytes),
      BusError,
      "no memory is left",
    );
    process.munmap(first, PAGE_SIZE);
    process.mm.getUser(bytes, first + PAGE_SIZE);
  });

  it("obey the protection as x86 does: whatever can be accessed can be read", () => {
    const process = spawn();
    const addr = process.mmap(0, PAGE_SIZE, RW, PRIVATE);
    const works = (body: () => void): boolean => {
      try {
        body();
        return true;
      } catch (error) {
        assertEquals(error, EFAULT);
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

describe("isZeroed and clearUser", () => {
  it("look at bytes in order, up to the first that decides", () => {
    const process = spawn();
    const addr = process.mmap(0, 3 * PAGE_SIZE, RW, PRIVATE);
    process.munmap(addr + 2 * PAGE_SIZE, PAGE_SIZE);
    const { mm } = process;
    const at = addr + PAGE_SIZE + 5;
    const zeroed = (from: number, length: number) => {
      try {
        return mm.isZeroed(from, length);
      } catch (error) {
        assertEquals(error, EFAULT);
        return "EFAULT";
      }
    };
    assertEquals(zeroed(addr, 2 * PAGE_SIZE), true);
    assertEquals(zeroed(addr, 2 * PAGE_SIZE + 1), "EFAULT");
    process.poke(at, Uint8Array.of(1));
    assertEquals(zeroed(addr, 3 * PAGE_SIZE), false);
    assertEquals(zeroed(addr, PAGE_SIZE + 5), true);
    assertEquals(zeroed(addr, PAGE_SIZE + 6), false);
    assertEquals(zeroed(at + 1, 2 * PAGE_SIZE), "EFAULT");
    for (const bad of BAD) assertEquals(zeroed(bad, 1), "EFAULT", `${bad}`);
    for (const bad of BAD) assertEquals(zeroed(bad, 0), true, "nothing");
  });

  it("clear up to the first byte that cannot be written", () => {
    const process = spawn();
    const addr = process.mmap(0, 3 * PAGE_SIZE, RW, PRIVATE);
    process.poke(addr, new Uint8Array(3 * PAGE_SIZE).fill(1));
    process.mprotect(addr + 2 * PAGE_SIZE, PAGE_SIZE, PROT_READ);
    const { mm } = process;
    mm.clearUser(addr + 1, 2);
    assertEquals([...process.peek(addr, 4)], [1, 0, 0, 1]);
    const rest = () => mm.clearUser(addr + 4, 3 * PAGE_SIZE);
    assertEquals(assertThrows(rest), EFAULT);
    assertEquals(mm.isZeroed(addr + 4, 2 * PAGE_SIZE - 4), true);
    assertEquals(process.peek(addr + 2 * PAGE_SIZE, 1)[0], 1);
    for (const bad of BAD) mm.clearUser(bad, 0);
    for (const bad of BAD) {
      assertEquals(assertThrows(() => mm.clearUser(bad, 1)), EFAULT);
    }
  });

  it("take a step for each page of a large range, and copy none of its bytes", () => {
    const process = spawn(2 ** 32);
    const { frames } = process.kernel;
    const length = 2 ** 31;
    const addr = process.mmap(0, length, RW, PRIVATE);
    const steps = { read: 0, write: 0 };
    frames.read = () => steps.read++;
    frames.write = () => steps.write++;
    assertEquals(process.mm.isZeroed(addr, length), true);
    process.mm.clearUser(addr, length);
    assertEquals(steps, { read: 0, write: 0 });
    assertEquals(frames.used, length / PAGE_SIZE);
  });
});
