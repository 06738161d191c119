// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { FOLL_LONGTERM, FOLL_WRITE } from "../../impl/kernel/interfaces/mm.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTNEED,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
} from "../../impl/uapi/mman.ts";
import { makeFrameList } from "../../impl/lib/frame_list.ts";
import type { PageStore } from "./frames/page_store.ts";
import {
  followMoved,
  hasPinned,
  keepCut,
  keepPunched,
  keepRemoved,
  keepUnmapped,
  keepUnneeded,
  rangeOf,
} from "./leaving.ts";
import { Entry } from "../sys/script.ts";
import { must } from "../sys/sys.ts";
import {
  CLONE_PARENT_SETTID,
  CLONE_VM,
  SIGCHLD,
  SIGKILL,
} from "../sys/structs.ts";
import { OwnMemory, PRIVATE, RW, SHARED, sys } from "./testing/own_memory.ts";

const LONG_WRITE = FOLL_LONGTERM | FOLL_WRITE;
const MADV_REMOVE = 9;
const MREMAP_DONTUNMAP = 4;

/** Each page's first byte becomes its number, from 1 on. */
function number(own: OwnMemory, at: number, pages: number): void {
  const bytes = own.bytes(at, pages * PAGE_SIZE);
  for (let i = 0; i < pages; i++) bytes[i * PAGE_SIZE] = i + 1;
}

/** Makes a process below a child of this one that has its memory; it is there until its end. */
function borrower(): Disposable {
  const flags = CLONE_VM | CLONE_PARENT_SETTID | SIGCHLD;
  const pids = [sys.alloc(8), sys.alloc(8)];
  const [child, below] = pids.map((pid) =>
    new Entry(sys, "clone", [flags, 0, pid.address])
  ) as [Entry, Entry];
  const wait = [0, 1].map(() => new Entry(sys, "ppoll"));
  for (const each of wait) each.then({ negative: each, zero: each });
  child.then({ zero: below });
  below.then({ zero: wait[0]!, positive: wait[1]! });
  sys.run(child.address);
  const [middle, last] = pids.map(({ view }) => () => view.getInt32(0, true));
  while (last!() === 0);
  return {
    [Symbol.dispose]() {
      for (const pid of [last!(), middle!()]) {
        sys.call(sys.nr.kill, pid, SIGKILL);
      }
      sys.call(sys.nr.wait4, middle!());
    },
  };
}

/** The first byte of each frame. */
function firstBytes(own: OwnMemory, pfns: readonly number[]): number[] {
  return pfns.map((pfn) => own.read(pfn)[0]!);
}

for (const mapFiles of [true, false]) {
  const who = mapFiles ? "root" : "an ordinary user";
  describe(`what is pinned, to ${who}`, () => {
    for (
      const [kind, flags] of [["private", PRIVATE], ["shared", SHARED]] as const
    ) {
      it(`stays when ${kind} memory is unmapped, and what is mapped there then is something else`, () => {
        using own = new OwnMemory({ mapFiles });
        const { machine, mm } = own;
        const at = own.map(3, flags);
        number(own, at, 3);
        const pfns = own.pin(at, 3, LONG_WRITE);
        const range = rangeOf(at + PAGE_SIZE, PAGE_SIZE);
        keepUnmapped(machine, mm, range);
        const again = flags | MAP_FIXED;
        sys.call(sys.nr.mmap, range.start, PAGE_SIZE, RW, again, -1, 0);
        own.bytes(range.start)[0] = 9;
        assertEquals(firstBytes(own, pfns), [1, 2, 3]);
        own.write(pfns[1]!, 20);
        own.write(pfns[2]!, 30);
        assertEquals(own.bytes(range.start)[0], 9);
        assertEquals(own.bytes(range.end)[0], 30);
        const fresh = own.pin(range.start, 1, LONG_WRITE);
        assert(fresh[0] !== pfns[1]);
        assertEquals(firstBytes(own, [...pfns, ...fresh]), [1, 20, 30, 9]);
        own.unpin([...pfns, ...fresh]);
        assertEquals(machine.frames.used, 0);
      });

      it(`goes with ${kind} memory that is moved`, () => {
        using own = new OwnMemory({ mapFiles });
        const { machine, mm } = own;
        const at = own.map(4, flags);
        number(own, at, 4);
        const pfns = own.pin(at, 4, LONG_WRITE);
        const to = own.map(4, PRIVATE);
        const length = 4 * PAGE_SIZE;
        const { mremap } = sys.nr;
        // What is left behind stays mapped: nobody else may come there.
        const fixed = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
        assertEquals(sys.call(mremap, at, length, length, fixed, to), to);
        followMoved(machine, mm, rangeOf(at, length), to);
        const again = PRIVATE | MAP_FIXED;
        sys.call(sys.nr.mmap, at, length, RW, again, -1, 0);
        own.write(pfns[2]!, 7);
        assertEquals(own.bytes(to + 2 * PAGE_SIZE)[0], 7);
        own.bytes(to)[0] = 8;
        assertEquals(firstBytes(own, pfns), [8, 2, 7, 4]);
        assertEquals(own.pin(to, 4, LONG_WRITE), pfns);
        own.unpin([...pfns, ...pfns]);
        assertEquals(machine.frames.used, 0);
      });

      it(`of ${kind} memory stays when the process is gone`, () => {
        using own = new OwnMemory({ mapFiles });
        const { machine, mm } = own;
        const at = own.map(2, flags);
        number(own, at, 2);
        const pfns = own.pin(at, 2, LONG_WRITE);
        machine.remember(mm);
        machine.closeMm(mm);
        machine.closeMm(mm);
        assert(!mm.alive);
        own.unmap(at, 2);
        assertEquals(firstBytes(own, pfns), [1, 2]);
        own.write(pfns[0]!, 5);
        assertEquals(firstBytes(own, pfns), [5, 2]);
        own.unpin(pfns);
        assertEquals(machine.frames.used, 0);
      });
    }

    it("stays when shared memory is unmapped that another process has by having the same memory", () => {
      using own = new OwnMemory({ mapFiles });
      using _other = borrower();
      const { machine, mm } = own;
      const at = own.map(2, SHARED);
      number(own, at, 2);
      const pfns = own.pin(at, 2, LONG_WRITE);
      keepUnmapped(machine, mm, rangeOf(at, 2 * PAGE_SIZE));
      own.unmap(at, 2);
      assertEquals(firstBytes(own, pfns), [1, 2]);
      own.unpin(pfns);
    });

    it("stays when a process drops its private pages", () => {
      using own = new OwnMemory({ mapFiles });
      const { machine, mm } = own;
      const at = own.map(2, PRIVATE);
      number(own, at, 2);
      const pfns = own.pin(at, 2, LONG_WRITE);
      const range = rangeOf(at, PAGE_SIZE);
      assert(hasPinned(machine, mm, range));
      keepUnneeded(machine, mm, range);
      assert(!hasPinned(machine, mm, range));
      sys.call(sys.nr.madvise, at, PAGE_SIZE, MADV_DONTNEED);
      assertEquals([own.bytes(at)[0], ...firstBytes(own, pfns)], [0, 1, 2]);
      own.unpin(pfns);
    });

    it("stays when pages of a file are removed, and the file has others then", () => {
      using own = new OwnMemory({ mapFiles });
      const { machine, mm } = own;
      const fd = own.memfd(4);
      const at = own.map(4, MAP_SHARED, RW, fd);
      number(own, at, 4);
      const pfns = own.pin(at, 4, LONG_WRITE);
      keepRemoved(machine, mm, rangeOf(at + PAGE_SIZE, PAGE_SIZE));
      sys.call(sys.nr.madvise, at + PAGE_SIZE, PAGE_SIZE, MADV_REMOVE);
      const file = machine.fileAtPath(`/proc/self/fd/${fd}`)!;
      // Of a page of which only a part becomes a hole nothing is dropped.
      keepPunched(machine, file, 2 * PAGE_SIZE + 1, 4 * PAGE_SIZE);
      const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
      const { fallocate } = sys.nr;
      sys.call(fallocate, fd, mode, 2 * PAGE_SIZE + 1, 2 * PAGE_SIZE - 1);
      assertEquals(firstBytes(own, pfns), [1, 2, 3, 4]);
      const bytes = own.bytes(at, 4 * PAGE_SIZE);
      const now = [0, 1, 2, 3].map((i) => bytes[i * PAGE_SIZE]);
      assertEquals(now, [1, 0, 3, 0]);
      own.write(pfns[2]!, 9);
      assertEquals(bytes[2 * PAGE_SIZE], 9);
      const again = own.pin(at, 4, LONG_WRITE);
      assertEquals([0, 2].map((i) => again[i] === pfns[i]), [true, true]);
      assertEquals([1, 3].map((i) => again[i] === pfns[i]), [false, false]);
      own.unpin([...pfns, ...again]);
    });

    it("stays when a file is cut off", () => {
      using own = new OwnMemory({ mapFiles });
      const fd = own.memfd(2);
      const at = own.map(2, MAP_SHARED, RW, fd);
      number(own, at, 2);
      const copy = own.map(2, MAP_PRIVATE, RW, fd);
      number(own, copy, 2);
      const pfns = [
        ...own.pin(at, 2, LONG_WRITE),
        ...own.pin(copy, 2, LONG_WRITE),
      ];
      const { machine } = own;
      keepCut(machine, machine.fileAtPath(`/proc/self/fd/${fd}`)!, PAGE_SIZE);
      sys.call(sys.nr.ftruncate, fd, PAGE_SIZE);
      assertEquals(firstBytes(own, pfns), [1, 2, 1, 2]);
      sys.call(sys.nr.ftruncate, fd, 2 * PAGE_SIZE);
      assertEquals(own.bytes(at, 2 * PAGE_SIZE)[PAGE_SIZE], 0);
      assertEquals(own.bytes(copy, 2 * PAGE_SIZE)[PAGE_SIZE], 0);
      assertEquals(firstBytes(own, pfns), [1, 2, 1, 2]);
      own.unpin(pfns);
    });

    it("of shared memory stays with the other mapping", () => {
      using own = new OwnMemory({ mapFiles });
      const { machine, mm } = own;
      const fd = own.memfd(1);
      const [at, other] = [
        own.map(1, MAP_SHARED, RW, fd),
        own.map(1, MAP_SHARED, RW, fd),
      ];
      const pfns = own.pin(at, 1, LONG_WRITE);
      keepUnmapped(machine, mm, rangeOf(at, PAGE_SIZE));
      own.unmap(at, 1);
      own.write(pfns[0]!, 6);
      assertEquals(own.bytes(other)[0], 6);
      assertEquals(own.pin(other, 1, LONG_WRITE), pfns);
      own.unpin([...pfns, ...pfns]);
    });
  });
}

/** Two huge pages of a file that is mapped, of which none needs to be there: pins are made by numbers. */
class TwoHugePages implements Disposable {
  readonly own = new OwnMemory();
  readonly at: number;
  readonly fd: number;
  readonly file: string;
  /** Pages of one. */
  readonly unit: number;
  readonly #store: PageStore;
  readonly #first: number;
  readonly #pins: number[];

  /** Pins a page of each, of the file or of a private mapping. */
  constructor(shift: number, flags: number) {
    this.unit = 2 ** shift / PAGE_SIZE;
    this.fd = this.own.memfd(2 * this.unit, hugePages(shift));
    const length = 2 * this.unit * PAGE_SIZE;
    const { mmap } = sys.nr;
    const how = flags | MAP_NORESERVE;
    this.at = must(sys.call(mmap, 0, length, RW, how, this.fd, 0), "mmap");
    const { machine, mm } = this.own;
    const object = machine.objectOfFd(sys.call(sys.nr.dup, this.fd))!;
    this.file = object.key;
    const isShared = flags === MAP_SHARED;
    this.#store = isShared ? object.pages : mm.pages;
    this.#first = isShared ? 0 : this.at / PAGE_SIZE;
    this.#pins = [0, 1].map((i) => this.#pin(i));
  }

  /** Which of the two pins are pages of the file or the process yet. */
  get there(): boolean[] {
    return this.#pins.map((pfn, i) =>
      this.#store.frameOf(this.#page(i)) === pfn
    );
  }

  #page(i: number): number {
    return this.#first + i * this.unit + 5;
  }

  #pin(i: number): number {
    const list = makeFrameList(1);
    this.own.machine.frames.pin(this.#store, this.#page(i), 1, true, list);
    return this.#store.frameOf(this.#page(i));
  }

  [Symbol.dispose](): void {
    this.own.unpin(this.#pins);
    sys.unmap(this.at, 2 * this.unit * PAGE_SIZE);
    this.own[Symbol.dispose]();
  }
}

/** Flags of memfd_create. */
function hugePages(shift: number): number {
  const [MFD_HUGETLB, MFD_HUGE_SHIFT] = [4, 26];
  return MFD_HUGETLB | shift << MFD_HUGE_SHIFT;
}

/** Whether the host has heard of huge pages of a size. */
function knows(shift: number): boolean {
  const { memfd_create } = sys.nr;
  const fd = sys.call(memfd_create, sys.text("test"), hugePages(shift));
  if (fd >= 0) sys.close(fd);
  return fd >= 0;
}

for (const [size, shift] of [["2 MiB", 21], ["1 GiB", 30]] as const) {
  describe(
    `what is pinned of huge pages of ${size}`,
    { skip: !knows(shift) },
    () => {
      const bytes = 2 ** shift;

      it("is let go of where a whole one is removed or becomes a hole", () => {
        using pages = new TwoHugePages(shift, MAP_SHARED);
        const { own: { machine, mm }, at, file } = pages;
        assertEquals(machine.objectOfFile(file)!.pageSize, bytes);
        keepRemoved(machine, mm, rangeOf(at, bytes - PAGE_SIZE));
        keepPunched(machine, file, 1, 2 * bytes - 1);
        assertEquals(pages.there, [true, true]);
        keepRemoved(machine, mm, rangeOf(at, bytes + PAGE_SIZE));
        assertEquals(pages.there, [false, true]);
        keepPunched(machine, file, 1, 2 * bytes);
        assertEquals(pages.there, [false, false]);
      });

      it("goes from private mappings too where a whole one becomes a hole", () => {
        using pages = new TwoHugePages(shift, MAP_PRIVATE);
        const { own: { machine }, file } = pages;
        keepPunched(machine, file, PAGE_SIZE, bytes);
        assertEquals(pages.there, [true, true]);
        keepPunched(machine, file, PAGE_SIZE, 2 * bytes);
        assertEquals(pages.there, [true, false]);
      });

      it("stays where a file cannot end", () => {
        for (const flags of [MAP_SHARED, MAP_PRIVATE]) {
          using pages = new TwoHugePages(shift, flags);
          const { own: { machine }, file } = pages;
          keepCut(machine, file, PAGE_SIZE);
          assertEquals(pages.there, [true, true]);
          keepCut(machine, file, bytes);
          assertEquals(pages.there, [true, false]);
        }
      });

      it("is dropped from a process by whole ones", () => {
        using pages = new TwoHugePages(shift, MAP_PRIVATE);
        const { own: { machine, mm }, at } = pages;
        keepUnneeded(machine, mm, rangeOf(at + PAGE_SIZE, 2 * bytes));
        assertEquals(pages.there, [true, true]);
        keepUnneeded(machine, mm, rangeOf(at, 2 * bytes - PAGE_SIZE));
        assertEquals(pages.there, [false, true]);
      });
    },
  );
}
