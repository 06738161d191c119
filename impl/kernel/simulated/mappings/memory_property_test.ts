// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random sequences of memory calls against a naive model: what each process
 * sees, which frames a pin names, every reference count, and that nothing is
 * left at the end.
 */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandRuns, makeFrameList } from "../../../lib/frame_list.ts";
import fc from "fast-check";
import type { Pfn } from "../../../lib/brands.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../uapi/mman.ts";
import { KernelCore } from "../../core.ts";
import { SimulatedMachine } from "../machine.ts";
import { GUP_PIN_COUNTING_BIAS } from "../pages/frames.ts";
import { FOLL_LONGTERM, FOLL_WRITE } from "../../interfaces/mm.ts";
import type { Process } from "../process.ts";
import {
  BusError,
  SegmentationFault,
} from "../../interfaces/process_memory.ts";

/** Addresses of the model; it crosses the border between two leaves of the page table. */
const BASE = (1024 - 2) * PAGE_SIZE;
const PAGES = 5;
const FILE_PAGES = 5;
const RW = PROT_READ | PROT_WRITE;
const MADV_DONTNEED = 4;

/** A memory object: the values and frames of its pages that were touched. */
class NaiveObject {
  size: number;
  readonly values = new Map<number, number>();
  readonly frames = new Map<number, number>();
  constructor(size: number) {
    this.size = size;
  }
}

/** One page of a process. */
interface NaivePage {
  readonly object: NaiveObject | undefined;
  readonly index: number;
  readonly shared: boolean;
  writable: boolean;
  /** Value of the private copy; undefined while there is none. */
  own: number | undefined;
}

interface NaiveProcess {
  readonly process: Process;
  readonly pages: Map<number, NaivePage>;
}

/** A pin, and the page that must keep showing its frame while it is mapped. */
interface Pin {
  readonly pfn: Pfn;
  owner: NaivePage | undefined;
}

/** One random step; the numbers are taken modulo what there is. */
interface Step {
  readonly kind: (typeof KINDS)[number];
  readonly who: number;
  readonly page: number;
  readonly count: number;
  readonly value: number;
}

/** Few pages and many writes, forks and pins, so that they meet on one page. */
const KINDS = [
  "mapPrivate",
  "mapPrivate",
  "mapShared",
  "mapFileShared",
  "mapFilePrivate",
  "munmap",
  "protect",
  "write",
  "write",
  "write",
  "write",
  "dontNeed",
  "truncate",
  "fork",
  "fork",
  "exit",
  "pin",
  "pin",
  "pin",
  "unpin",
] as const;

/** The system and its naive twin. `forgetful` makes the twin wrong on purpose. */
class Twin {
  readonly machine = new SimulatedMachine({ memory: 2 ** 23 });
  readonly kernel = new KernelCore({ machine: this.machine });
  readonly #file = new NaiveObject(FILE_PAGES);
  readonly #fd: number;
  readonly #owner: Process;
  #processes: NaiveProcess[];
  #pins: Pin[] = [];
  readonly #forgetful: boolean;

  constructor(forgetful: boolean) {
    this.#forgetful = forgetful;
    this.#owner = this.kernel.spawn();
    this.#fd = this.#owner.memfdCreate("m", 0);
    this.#owner.ftruncate(this.#fd, FILE_PAGES * PAGE_SIZE);
    this.#processes = [{ process: this.#owner.fork(), pages: new Map() }];
  }

  run(step: Step): void {
    const naive = this.#processes[step.who % this.#processes.length]!;
    const first = step.page % PAGES;
    const count = Math.min(1 + step.count % 4, PAGES - first);
    this.#step(step, naive, first, count);
    this.check();
  }

  #step(step: Step, naive: NaiveProcess, first: number, count: number): void {
    switch (step.kind) {
      case "mapPrivate":
      case "mapShared":
      case "mapFileShared":
      case "mapFilePrivate":
        return this.#map(step, naive, first, count);
      case "munmap":
        naive.process.munmap(at(first), count * PAGE_SIZE);
        for (let i = 0; i < count; i++) this.#drop(naive, first + i);
        return;
      case "protect":
        return this.#protect(naive, first, count, step.value % 2 === 0);
      case "write":
        return this.#write(naive, first, step.value);
      case "dontNeed":
        return this.#dontNeed(naive, first, count);
      case "truncate":
        return this.#truncate(step.value % (FILE_PAGES + 1));
      case "fork":
        return this.#fork(naive);
      case "exit":
        return this.#exit(naive);
      case "pin":
        return this.#pin(naive, first, count, step.value % 2 === 0);
      case "unpin":
        return this.#unpin(step.value);
    }
  }

  #map(step: Step, naive: NaiveProcess, first: number, count: number): void {
    const shared = step.kind === "mapShared" || step.kind === "mapFileShared";
    const isFile = step.kind.startsWith("mapFile");
    const fileIndex = step.value % FILE_PAGES;
    const addr = naive.process.mmap(
      at(first),
      count * PAGE_SIZE,
      RW,
      MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE) |
        (isFile ? 0 : MAP_ANONYMOUS),
      isFile ? this.#fd : -1,
      isFile ? fileIndex * PAGE_SIZE : 0,
    );
    assertEquals(addr, at(first));
    const anonymous = shared ? new NaiveObject(count) : undefined;
    for (let i = 0; i < count; i++) {
      this.#drop(naive, first + i);
      naive.pages.set(first + i, {
        object: isFile ? this.#file : anonymous,
        index: isFile ? fileIndex + i : i,
        shared,
        writable: true,
        own: undefined,
      });
    }
  }

  #protect(
    naive: NaiveProcess,
    first: number,
    count: number,
    writable: boolean,
  ): void {
    const prot = writable ? RW : PROT_READ;
    naive.process.mprotect(at(first), count * PAGE_SIZE, prot);
    for (let i = first; i < first + count; i++) {
      const page = naive.pages.get(i);
      if (page === undefined) return;
      page.writable = writable;
    }
  }

  #write(naive: NaiveProcess, index: number, value: number): void {
    const page = naive.pages.get(index);
    const write = () => naive.process.poke(at(index), Uint8Array.of(value));
    if (page === undefined || !page.writable) {
      assertThrows(write, SegmentationFault);
    } else if (isBeyondEnd(page)) {
      assertThrows(write, BusError);
    } else {
      write();
      if (page.shared) page.object!.values.set(page.index, value);
      else page.own = value;
    }
  }

  #dontNeed(naive: NaiveProcess, first: number, count: number): void {
    naive.process.madvise(at(first), count * PAGE_SIZE, MADV_DONTNEED);
    for (let i = first; i < first + count; i++) {
      const page = naive.pages.get(i);
      if (page !== undefined && !page.shared) this.#forgetOwn(page);
    }
  }

  #truncate(size: number): void {
    this.#owner.ftruncate(this.#fd, size * PAGE_SIZE);
    this.#file.size = size;
    for (let i = size; i < FILE_PAGES; i++) {
      this.#file.values.delete(i);
      this.#file.frames.delete(i);
    }
    for (const { pages } of this.#processes) {
      for (const page of pages.values()) {
        if (page.object === this.#file && page.index >= size) {
          this.#forgetOwn(page);
        }
      }
    }
  }

  #fork(naive: NaiveProcess): void {
    if (this.#processes.length === 4) return;
    const pages = new Map<number, NaivePage>();
    for (const [index, page] of naive.pages) {
      pages.set(index, this.#forgetful ? page : { ...page });
    }
    this.#processes.push({ process: naive.process.fork(), pages });
  }

  #exit(naive: NaiveProcess): void {
    if (this.#processes.length === 1) return;
    naive.process.exit();
    for (const index of [...naive.pages.keys()]) this.#drop(naive, index);
    this.#processes = this.#processes.filter((each) => each !== naive);
  }

  #pin(
    naive: NaiveProcess,
    first: number,
    count: number,
    write: boolean,
  ): void {
    let expected = 0;
    for (; expected < count; expected++) {
      const page = naive.pages.get(first + expected);
      if (page === undefined || isBeyondEnd(page)) break;
      if (write && !page.writable) break;
    }
    const flags = FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
    const list = makeFrameList(count);
    const pin = () =>
      naive.process.mm.pinUserPages(at(first), count, flags, list);
    if (expected === 0) {
      assertThrows(pin);
      return;
    }
    assertEquals(pin(), expected);
    const out = new Int32Array(count);
    assertEquals(expandRuns(list, out, 0), expected);
    for (let i = 0; i < expected; i++) {
      const page = naive.pages.get(first + i)!;
      if (!page.shared) page.own ??= valueOf(page);
      this.#pins.push({ pfn: out[i]! as Pfn, owner: page });
    }
  }

  #unpin(value: number): void {
    if (this.#pins.length === 0) return;
    const [pin] = this.#pins.splice(value % this.#pins.length, 1);
    this.kernel.frames.unpinRange(pin!.pfn, 1);
  }

  /** The page is not mapped any more. */
  #drop(naive: NaiveProcess, index: number): void {
    const page = naive.pages.get(index);
    if (page === undefined) return;
    naive.pages.delete(index);
    for (const pin of this.#pins) if (pin.owner === page) pin.owner = undefined;
  }

  /** The private copy is gone; a pin of it names nothing that is mapped. */
  #forgetOwn(page: NaivePage): void {
    page.own = undefined;
    for (const pin of this.#pins) if (pin.owner === page) pin.owner = undefined;
  }

  /** Compares what can be seen, then counts all references the slow way. */
  check(): void {
    const refs = new Map<number, number>();
    const count = (pfn: number, n: number) =>
      refs.set(pfn, (refs.get(pfn) ?? 0) + n);
    const objects = new Set([this.#file]);
    for (const { process, pages } of this.#processes) {
      for (let index = 0; index < PAGES; index++) {
        const page = pages.get(index);
        this.#checkPage(process, index, page);
        if (page?.object !== undefined) objects.add(page.object);
        if (page?.own === undefined) continue;
        count(process.mm.userPage(at(index)), 1);
      }
    }
    for (const object of objects) {
      for (const pfn of object.frames.values()) count(pfn, 1);
    }
    for (const { pfn } of this.#pins) count(pfn, GUP_PIN_COUNTING_BIAS);
    const { frames } = this.machine;
    for (const [pfn, n] of refs) assertEquals(frames.refcount[pfn], n);
    assertEquals(frames.used, refs.size);
  }

  #checkPage(
    process: Process,
    index: number,
    page: NaivePage | undefined,
  ): void {
    const read = () => process.peek(at(index), 1)[0];
    if (page === undefined) {
      assertThrows(read, SegmentationFault);
      return;
    }
    if (isBeyondEnd(page)) {
      assertThrows(read, BusError);
      return;
    }
    assertEquals(read(), valueOf(page));
    const pfn = process.mm.userPage(at(index));
    for (const pin of this.#pins) {
      if (pin.owner === page && !isStale(pin, page)) assertEquals(pin.pfn, pfn);
    }
    if (page.object === undefined || page.own !== undefined) return;
    // Reading touched the object's page; its frame stays from then on.
    assertEquals(page.object.frames.get(page.index) ?? pfn, pfn);
    page.object.frames.set(page.index, pfn);
  }

  /** Ends everything; nothing may be left. */
  end(): void {
    for (const each of [...this.kernel.processes]) each.exit();
    for (const { pfn } of this.#pins) {
      this.kernel.frames.unpinRange(pfn, 1);
    }
    assertEquals(this.kernel.audit(), []);
  }
}

/** A pin of a shared page whose object was truncated since names the old frame. */
function isStale(pin: Pin, page: NaivePage): boolean {
  return page.shared && page.object!.frames.get(page.index) !== pin.pfn;
}

function at(index: number): number {
  return BASE + index * PAGE_SIZE;
}

function isBeyondEnd(page: NaivePage): boolean {
  return page.object !== undefined && page.index >= page.object.size;
}

function valueOf(page: NaivePage): number {
  return page.own ?? page.object?.values.get(page.index) ?? 0;
}

const steps = fc.array(
  fc.record<Step>({
    kind: fc.constantFrom(...KINDS),
    who: fc.nat(3),
    page: fc.nat(PAGES - 1),
    count: fc.nat(3),
    value: fc.integer({ min: 1, max: 255 }),
  }),
  { minLength: 60, maxLength: 60 },
);

function holds(forgetful: boolean): void {
  fc.assert(
    fc.property(steps, (sequence) => {
      const twin = new Twin(forgetful);
      for (const step of sequence) twin.run(step);
      twin.end();
    }),
    { seed: 1, numRuns: 300 },
  );
}

describe("process memory under random calls", () => {
  it("shows what a naive model shows, counts every reference, frees all", () => {
    holds(false);
  });

  it("would be caught if fork shared what is written later", () => {
    assertThrows(() => holds(true), Error, "Property failed");
  });
});
