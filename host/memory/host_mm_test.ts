// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  FOLL_FORCE,
  FOLL_LONGTERM,
  FOLL_WRITE,
} from "../../impl/kernel/interfaces/mm.ts";
import { expandRuns, makeFrameList } from "../../impl/lib/frame_list.ts";
import { EFAULT } from "../../impl/uapi/errno.ts";
import {
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { keepUnmapped, rangeOf } from "./leaving.ts";
import { freeHugePages } from "../sys/huge_pages.ts";
import { OwnMemory, PRIVATE, RW, SHARED, sys } from "./testing/own_memory.ts";

const LONG_READ = FOLL_LONGTERM;
const LONG_WRITE = FOLL_LONGTERM | FOLL_WRITE;

function assertFault(body: () => unknown): void {
  try {
    body();
  } catch (error) {
    return assert(EFAULT.is(error), String(error));
  }
  throw new Error("There was no EFAULT");
}

describe("pinned private memory", () => {
  it("is what the program sees, both ways", () => {
    using own = new OwnMemory();
    const at = own.map(4, PRIVATE);
    const bytes = own.bytes(at, 4 * PAGE_SIZE);
    bytes[PAGE_SIZE] = 7;
    const pfns = own.pin(at, 4, LONG_WRITE);
    assertEquals(pfns.map((pfn) => pfn - pfns[0]!), [0, 1, 2, 3]);
    assertEquals(own.read(pfns[1]!), [7]);
    own.write(pfns[2]!, 1, 2, 3);
    assertEquals([...bytes.subarray(2 * PAGE_SIZE, 2 * PAGE_SIZE + 3)], [
      1,
      2,
      3,
    ]);
    bytes[3 * PAGE_SIZE] = 9;
    assertEquals(own.read(pfns[3]!), [9]);
    own.unpin(pfns);
    assertEquals(own.machine.frames.used, 0);
  });

  it("that was never touched is the program's own when pinned for reading", () => {
    using own = new OwnMemory();
    for (const prot of [PROT_READ, RW]) {
      const at = own.map(2, PRIVATE, prot);
      // The zero page until then.
      assertEquals(own.bytes(at)[0], 0);
      const pfns = own.pin(at, 2, LONG_READ);
      own.write(pfns[0]!, 5);
      assertEquals(own.bytes(at)[0], 5);
      assertEquals(own.read(pfns[1]!), [0]);
      own.unpin(pfns);
    }
  });

  it("of a file does not change the file", () => {
    using own = new OwnMemory();
    const fd = own.memfd(1);
    const shared = own.map(1, MAP_SHARED, RW, fd);
    own.bytes(shared)[0] = 1;
    const at = own.map(1, MAP_PRIVATE, PROT_READ, fd);
    const pfns = own.pin(at, 1, LONG_READ);
    assertEquals(own.read(pfns[0]!), [1]);
    own.bytes(shared)[0] = 2;
    assertEquals(own.read(pfns[0]!), [1]);
    assertEquals(own.bytes(at)[0], 1);
    own.write(pfns[0]!, 3);
    assertEquals([own.bytes(at)[0], own.bytes(shared)[0]], [3, 2]);
    own.unpin(pfns);
  });

  it("has one frame for each address, pinned how often it may be", () => {
    using own = new OwnMemory();
    const at = own.map(3, PRIVATE);
    const first = own.pin(at, 3, LONG_WRITE);
    const second = own.pin(at + PAGE_SIZE, 2, LONG_WRITE);
    assertEquals(second, first.slice(1));
    assertEquals(first.map((pfn) => own.machine.frames.pins(pfn)), [1, 2, 2]);
    assertEquals(own.mm.userPage(at + PAGE_SIZE), first[1]!);
    own.unpin(first);
    assertEquals(own.machine.frames.countPinned(), 2);
    own.unpin(second);
    assertEquals(own.machine.frames.countPinned(), 0);
  });
});

describe("pinned shared memory", () => {
  it("is one frame by all its mappings, and by its descriptor", () => {
    using own = new OwnMemory();
    const fd = own.memfd(4);
    const a = own.map(4, MAP_SHARED, RW, fd);
    const b = own.map(2, MAP_SHARED, RW, fd, 2 * PAGE_SIZE);
    const pfns = own.pin(a, 4, LONG_WRITE);
    assertEquals(own.pin(b, 2, LONG_WRITE), pfns.slice(2));
    const object = own.machine.objectOfFd(sys.call(sys.nr.dup, fd))!.get();
    const list = makeFrameList(4);
    assertEquals(object.pin(0, 4, list), 4);
    const out = new Int32Array(4);
    assertEquals(expandRuns(list, out, 0), 4);
    assertEquals([...out], pfns);
    own.write(pfns[2]!, 8);
    assertEquals([own.bytes(b)[0], own.read(pfns[2]!)[0]], [8, 8]);
    own.unpin(pfns);
    own.unpin(pfns.slice(2));
    own.unpin([...out]);
    object.put();
    assertEquals(own.machine.frames.used, 0);
  });

  it("is written also where its descriptor may only be read", () => {
    using own = new OwnMemory();
    const fd = own.memfd(1);
    const reader = sys.openat(-1, `/proc/self/fd/${fd}`, 0);
    const object = own.machine.objectOfFd(reader)!.get();
    const list = makeFrameList(1);
    object.pin(0, 1, list);
    own.write(list.pfns[0]!, 5);
    const at = own.map(1, MAP_SHARED, RW, fd);
    assertEquals([own.bytes(at)[0], own.read(list.pfns[0]!)[0]], [5, 5]);
    own.unpin([list.pfns[0]!]);
    object.put();
  });

  it("without a file lives on when the program unmaps it", () => {
    using own = new OwnMemory();
    const at = own.map(2, SHARED);
    own.bytes(at)[0] = 4;
    const pfns = own.pin(at, 2, LONG_WRITE);
    own.write(pfns[1]!, 6);
    assertEquals(own.bytes(at, 2 * PAGE_SIZE)[PAGE_SIZE], 6);
    keepUnmapped(own.machine, own.mm, rangeOf(at, 2 * PAGE_SIZE));
    own.unmap(at, 2);
    assertEquals([...own.read(pfns[0]!), ...own.read(pfns[1]!)], [4, 6]);
    own.unpin(pfns);
  });

  it("is not beyond the end of the file", () => {
    using own = new OwnMemory();
    const fd = own.memfd(2);
    const at = own.map(4, MAP_SHARED, RW, fd);
    const pfns = own.pin(at, 4, LONG_WRITE);
    assertEquals(pfns.length, 2);
    assertFault(() => own.pin(at + 2 * PAGE_SIZE, 1, LONG_WRITE));
    assertFault(() => own.mm.userPage(at + 2 * PAGE_SIZE));
    own.unpin(pfns);
  });

  it("of a file that is cut off is no death of ours", () => {
    using own = new OwnMemory();
    const fd = own.memfd(2);
    const at = own.map(2, MAP_SHARED, RW, fd);
    own.bytes(at)[0] = 3;
    const pfns = own.pin(at, 2, LONG_WRITE);
    assertEquals(own.read(pfns[0]!), [3]);
    sys.call(sys.nr.ftruncate, fd, 0);
    assertEquals(own.read(pfns[0]!), [0]);
    own.write(pfns[0]!, 1);
    sys.call(sys.nr.ftruncate, fd, 2 * PAGE_SIZE);
    assertEquals(own.bytes(at)[0], 0);
    own.unpin(pfns);
  });

  it("can be sealed when nobody has it pinned any more", () => {
    using own = new OwnMemory();
    const MFD_ALLOW_SEALING = 2;
    const fd = own.memfd(1, MFD_ALLOW_SEALING);
    const at = own.map(1, MAP_SHARED, RW, fd);
    const pfns = own.pin(at, 1, LONG_WRITE);
    own.write(pfns[0]!, 1);
    own.unmap(at, 1);
    const seal = () => sys.call(sys.nr.fcntl, fd, 1033, 8);
    assertEquals(seal(), -16);
    own.unpin(pfns);
    own.machine.dropIdle();
    assertEquals(seal(), 0);
  });

  it("of a device cannot be pinned", () => {
    using own = new OwnMemory();
    const object = own.machine.createObject();
    object.extend(PAGE_SIZE);
    object.write(0, Uint8Array.of(5));
    const at = own.map(1, MAP_SHARED, RW, object.fd);
    assertEquals(own.bytes(at)[0], 5);
    assertFault(() => own.pin(at, 1, LONG_WRITE));
    assertFault(() => own.mm.userPage(at));
    assertEquals(
      own.machine.objectOfFd(sys.call(sys.nr.dup, object.fd)),
      undefined,
    );
    object.put();
  });
});

describe("a pin", () => {
  it("needs the right to what it is for", () => {
    using own = new OwnMemory();
    const none = own.map(1, PRIVATE, PROT_NONE);
    const readable = own.map(1, PRIVATE, PROT_READ);
    const shared = own.map(1, SHARED, PROT_READ);
    assertFault(() => own.pin(none, 1, LONG_READ));
    assertFault(() => own.pin(readable, 1, LONG_WRITE));
    assertFault(() => own.pin(shared, 1, LONG_WRITE));
    assertFault(() => own.pin(shared, 1, LONG_WRITE | FOLL_FORCE));
    const forced = own.pin(readable, 1, LONG_WRITE | FOLL_FORCE);
    own.write(forced[0]!, 2);
    assertEquals(own.bytes(readable)[0], 2);
    own.unpin([...forced, ...own.pin(shared, 1, LONG_READ)]);
  });

  it("ends where the memory ends", () => {
    using own = new OwnMemory();
    const at = own.map(4, PRIVATE);
    own.unmap(at + 2 * PAGE_SIZE, 1);
    const pfns = own.pin(at, 4, LONG_WRITE);
    assertEquals(pfns.length, 2);
    assertFault(() => own.pin(at + 2 * PAGE_SIZE, 1, LONG_READ));
    for (const bad of [2 ** 47, 2 ** 60, -PAGE_SIZE, NaN]) {
      assertFault(() => own.pin(bad, 1, LONG_READ));
    }
    own.unpin(pfns);
  });

  it("reaches over mappings of different kinds", () => {
    using own = new OwnMemory();
    const at = own.map(3, PRIVATE);
    const fd = own.memfd(1);
    const fixed = MAP_SHARED | 0x10;
    sys.call(sys.nr.mmap, at + PAGE_SIZE, PAGE_SIZE, RW, fixed, fd, 0);
    const pfns = own.pin(at, 3, LONG_WRITE);
    assertEquals(pfns.length, 3);
    own.write(pfns[1]!, 1);
    own.write(pfns[2]!, 2);
    const bytes = own.bytes(at, 3 * PAGE_SIZE);
    assertEquals([bytes[PAGE_SIZE], bytes[2 * PAGE_SIZE]], [1, 2]);
    own.unpin(pfns);
  });

  it("of memory that may only be written finds what was touched", () => {
    using own = new OwnMemory();
    const at = own.map(2, PRIVATE, PROT_WRITE);
    own.mm.putUser(at, Uint8Array.of(7));
    assertEquals(own.pin(at, 2, LONG_READ).length, 1);
    assertFault(() => own.pin(at + PAGE_SIZE, 1, LONG_READ));
  });

  it("for writing and for long is not for files of a disk", () => {
    using own = new OwnMemory();
    const path = Deno.makeTempFileSync();
    Deno.writeFileSync(path, new Uint8Array(PAGE_SIZE));
    const fd = sys.openat(-1, path, 2);
    Deno.removeSync(path);
    const at = own.map(1, MAP_SHARED, RW, fd);
    sys.close(fd);
    assertFault(() => own.pin(at, 1, LONG_WRITE));
    for (const flags of [LONG_READ, FOLL_WRITE]) {
      const pfns = own.pin(at, 1, flags);
      own.write(pfns[0]!, 3);
      assertEquals(own.bytes(at)[0], 3);
      own.unpin(pfns);
    }
  });
});

describe("a copy", () => {
  it("stops at the page that cannot be accessed", () => {
    using own = new OwnMemory();
    const { mm } = own;
    const at = own.map(2, PRIVATE);
    own.unmap(at + PAGE_SIZE, 1);
    const edge = at + PAGE_SIZE - 2;
    assertFault(() => mm.putUser(edge, Uint8Array.of(1, 2, 3)));
    assertEquals([...own.bytes(edge, 2)], [1, 2]);
    assertFault(() => mm.getUser(new Uint8Array(3), edge));
    mm.getUser(new Uint8Array(2), edge);
    for (const bad of [2 ** 47, NaN, 2 ** 60]) {
      assertFault(() => mm.getUser(new Uint8Array(1), bad));
      assertFault(() => mm.putUser(bad, new Uint8Array(1)));
    }
  });

  it("reads what may only be written, and writes nothing that may only be read", () => {
    using own = new OwnMemory();
    const { mm } = own;
    const writeOnly = own.map(1, PRIVATE, PROT_WRITE);
    mm.putUser(writeOnly, Uint8Array.of(9));
    const byte = new Uint8Array(1);
    mm.getUser(byte, writeOnly);
    assertEquals(byte[0], 9);
    const readOnly = own.map(1, PRIVATE, PROT_READ);
    assertFault(() => mm.putUser(readOnly, byte));
    const none = own.map(1, PRIVATE, PROT_NONE);
    assertFault(() => mm.getUser(byte, none));
  });

  it("finds whether bytes are zero, and makes them so", () => {
    using own = new OwnMemory();
    const { mm } = own;
    const at = own.map(40, PRIVATE);
    assert(mm.isZeroed(at, 40 * PAGE_SIZE));
    own.bytes(at, 40 * PAGE_SIZE)[30 * PAGE_SIZE] = 1;
    assert(!mm.isZeroed(at, 40 * PAGE_SIZE));
    own.unmap(at + 39 * PAGE_SIZE, 1);
    assert(!mm.isZeroed(at, 40 * PAGE_SIZE));
    assertFault(() => mm.clearUser(at, 40 * PAGE_SIZE));
    assertFault(() => mm.isZeroed(at, 40 * PAGE_SIZE));
    assert(mm.isZeroed(at, 39 * PAGE_SIZE));
  });

  it("can be made to fail, but for those out of reach", () => {
    using own = new OwnMemory();
    const steps: string[] = [];
    const mm = own.machine.openMm(Deno.pid, (name) => steps.push(name));
    const at = own.map(1, PRIVATE);
    const byte = new Uint8Array(1);
    mm.copyFromUser(byte, at);
    mm.copyToUser(at, byte);
    mm.getUser(byte, at);
    mm.putUser(at, byte);
    mm.clearUser(at, 1);
    mm.isZeroed(at, 1);
    assertEquals(steps, ["user.copyFrom", "user.copyTo"]);
  });
});

const hasHugePages = freeHugePages(sys) >= 4;

describe("huge pages", { skip: !hasHugePages }, () => {
  const HUGETLB = 0x40000;
  const PAGES = 512;

  for (
    const [kind, flags] of [["private", PRIVATE], ["shared", SHARED]] as const
  ) {
    it(`of ${kind} memory are known as such, whole and aligned`, () => {
      using own = new OwnMemory();
      const at = own.map(2 * PAGES, flags | HUGETLB);
      const bytes = own.bytes(at, 2 * PAGES * PAGE_SIZE);
      bytes[5 * PAGE_SIZE] = 3;
      const pfns = own.pin(at + PAGE_SIZE, 2 * PAGES - 1, LONG_WRITE);
      const { frames } = own.machine;
      assertEquals(pfns[0]! % PAGES, 1);
      assertEquals(pfns, pfns.map((_, i) => pfns[0]! + i));
      assert(pfns.every((pfn) => frames.isCompound(pfn)));
      assert(frames.isCompound(own.mm.userPage(at)));
      assertEquals(own.read(pfns[4]!), [3]);
      own.write(pfns[PAGES]!, 7);
      assertEquals(bytes[(PAGES + 1) * PAGE_SIZE], 7);
      own.unpin(pfns);
      assertEquals(frames.used, 0);
    });
  }

  it("of a file are given back when nobody uses it", () => {
    using own = new OwnMemory();
    const MFD_HUGETLB = 4;
    const fd = own.memfd(PAGES, MFD_HUGETLB);
    const at = own.map(PAGES, MAP_SHARED, RW, fd);
    const pfns = own.pin(at, PAGES, LONG_WRITE);
    own.write(pfns[PAGES - 1]!, 1);
    assertEquals(own.bytes(at, PAGES * PAGE_SIZE)[(PAGES - 1) * PAGE_SIZE], 1);
    own.unpin(pfns);
    assert(own.machine.objectOfFile(own.mm.space.mapping(at)!.file));
    const { file } = own.mm.space.mapping(at)!;
    own.machine.dropIdle();
    assertEquals(own.machine.objectOfFile(file), undefined);
  });
});

describe("a process that is not there", () => {
  it("has no memory", () => {
    using own = new OwnMemory();
    assertThrows(() => own.machine.openMm(2 ** 22 + 1, () => {}));
  });
});
