// SPDX-License-Identifier: GPL-2.0-only

/** What a device and a program see after any sequence of calls, against a model that has one object for each page. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { FOLL_LONGTERM, FOLL_WRITE } from "../../impl/kernel/interfaces/mm.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_DONTNEED,
  MAP_FIXED,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  PROT_NONE,
} from "../../impl/uapi/mman.ts";
import { must } from "../sys/sys.ts";
import {
  followMoved,
  keepPunched,
  keepUnmapped,
  keepUnneeded,
  type Range,
  rangeOf,
} from "./leaving.ts";
import { OwnMemory, PRIVATE, RW, SHARED, sys } from "./testing/own_memory.ts";

const MREMAP_DONTUNMAP = 4;
/** Pages of the address space. */
const PLACES = 8;
/** Pages of the file. */
const FILE_PAGES = 3;

/** A page, and what its first byte is. */
interface Page {
  value: number;
}

/** What is at a place: nothing, a page of its own, or a page of the file by number. */
type Mapped = undefined | { page: Page; isPrivate: boolean } | number;

/** A page that is pinned. */
interface Pin {
  readonly pfn: number;
  readonly page: Page;
}

/** The program, the machine, and what they must look like. */
class Subject extends OwnMemory {
  readonly #start = this.map(PLACES, PRIVATE, PROT_NONE);
  readonly #fd = this.memfd(FILE_PAGES);
  readonly #file: Page[] = Array.from(
    { length: FILE_PAGES },
    () => ({ value: 0 }),
  );
  readonly #places: Mapped[] = Array(PLACES).fill(undefined);
  readonly #pins: Pin[] = [];

  mapAt(place: number, flags: number): void {
    this.#replace(place, flags, -1, 0);
    this.#places[place] = { page: { value: 0 }, isPrivate: flags === PRIVATE };
  }

  mapFile(place: number, index: number): void {
    this.#replace(place, MAP_SHARED, this.#fd, index);
    this.#places[place] = index;
  }

  unmapAt(place: number): void {
    this.#replace(place, PRIVATE, -1, 0, PROT_NONE);
    this.#places[place] = undefined;
  }

  dontNeed(place: number): void {
    keepUnneeded(this.machine, this.mm, this.#range(place));
    const { madvise } = sys.nr;
    sys.call(madvise, this.#at(place), PAGE_SIZE, MADV_DONTNEED);
    const mapped = this.#places[place];
    if (typeof mapped !== "object" || !mapped.isPrivate) return;
    this.#places[place] = { ...mapped, page: { value: 0 } };
  }

  punch(index: number): void {
    const file = this.machine.fileAtPath(`/proc/self/fd/${this.#fd}`);
    const at = index * PAGE_SIZE;
    if (file !== undefined) {
      keepPunched(this.machine, file, at, at + PAGE_SIZE);
    }
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    sys.call(sys.nr.fallocate, this.#fd, mode, at, PAGE_SIZE);
    this.#file[index] = { value: 0 };
  }

  move(from: number, to: number): void {
    if (from === to) return;
    keepUnmapped(this.machine, this.mm, this.#range(to));
    // What is left behind stays mapped: nobody else may come there.
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    const [start, end] = [this.#at(from), this.#at(to)];
    const { mremap } = sys.nr;
    must(sys.call(mremap, start, PAGE_SIZE, PAGE_SIZE, flags, end), "mremap");
    followMoved(this.machine, this.mm, this.#range(from), end);
    this.#places[to] = this.#places[from];
    this.unmapAt(from);
  }

  store(place: number, value: number): void {
    const page = this.#pageAt(place);
    if (page === undefined) return;
    this.bytes(this.#at(place))[0] = page.value = value;
  }

  pinAt(place: number): void {
    const page = this.#pageAt(place);
    if (page === undefined) return;
    const [pfn] = this.pin(this.#at(place), 1, FOLL_LONGTERM | FOLL_WRITE);
    this.#pins.push({ pfn: pfn!, page });
  }

  unpinOne(which: number): void {
    const [pin] = this.#pins.splice(which % (this.#pins.length || 1), 1);
    if (pin !== undefined) this.unpin([pin.pfn]);
  }

  dmaWrite(which: number, value: number): void {
    const pin = this.#pins[which % (this.#pins.length || 1)];
    if (pin === undefined) return;
    this.machine.frames.write(pin.pfn, 0, Uint8Array.of(value));
    pin.page.value = value;
  }

  check(): void {
    for (let place = 0; place < PLACES; place++) {
      const page = this.#pageAt(place);
      if (page === undefined) continue;
      assertEquals(this.bytes(this.#at(place))[0], page.value);
    }
    const numbers = new Map<Page, number>();
    for (const { pfn, page } of this.#pins) {
      assertEquals(this.read(pfn), [page.value]);
      assertEquals(pfn, numbers.get(page) ?? pfn, "A page has one frame");
      numbers.set(page, pfn);
    }
    const frames = new Set(numbers.values());
    assertEquals(frames.size, numbers.size, "A frame is one page");
    assertEquals(this.machine.frames.used, numbers.size);
  }

  override [Symbol.dispose](): void {
    this.unpin(this.#pins.map(({ pfn }) => pfn));
    super[Symbol.dispose]();
  }

  #replace(
    place: number,
    flags: number,
    fd: number,
    index: number,
    prot = RW,
  ): void {
    keepUnmapped(this.machine, this.mm, this.#range(place));
    const { mmap } = sys.nr;
    const at = this.#at(place);
    const offset = index * PAGE_SIZE;
    sys.call(mmap, at, PAGE_SIZE, prot, flags | MAP_FIXED, fd, offset);
  }

  #pageAt(place: number): Page | undefined {
    const mapped = this.#places[place];
    return typeof mapped === "number" ? this.#file[mapped] : mapped?.page;
  }

  #at(place: number): number {
    return this.#start + place * PAGE_SIZE;
  }

  #range(place: number): Range {
    return rangeOf(this.#at(place), PAGE_SIZE);
  }
}

const place = fc.nat(PLACES - 1);
const value = fc.integer({ min: 1, max: 255 });
const which = fc.nat(9);

/** A call, and how it is said. */
const call = fc.oneof(
  fc.tuple(fc.constant("mapAt"), place, fc.constantFrom(PRIVATE, SHARED)),
  fc.tuple(fc.constant("mapFile"), place, fc.nat(FILE_PAGES - 1)),
  fc.tuple(fc.constant("unmapAt"), place, fc.constant(0)),
  fc.tuple(fc.constant("dontNeed"), place, fc.constant(0)),
  fc.tuple(fc.constant("punch"), fc.nat(FILE_PAGES - 1), fc.constant(0)),
  fc.tuple(fc.constant("move"), place, place),
  fc.tuple(fc.constant("store"), place, value),
  fc.tuple(fc.constant("pinAt"), place, fc.constant(0)),
  fc.tuple(fc.constant("pinAt"), place, fc.constant(0)),
  fc.tuple(fc.constant("unpinOne"), which, fc.constant(0)),
  fc.tuple(fc.constant("dmaWrite"), which, value),
) as fc.Arbitrary<
  [
    | "mapAt"
    | "mapFile"
    | "unmapAt"
    | "dontNeed"
    | "punch"
    | "move"
    | "store"
    | "pinAt"
    | "unpinOne"
    | "dmaWrite",
    number,
    number,
  ]
>;

for (const mapFiles of [true, false]) {
  const who = mapFiles ? "root" : "an ordinary user";
  describe(`memory, to ${who}`, () => {
    it("is the page that it must be after whatever its program does", () => {
      fc.assert(
        fc.property(
          fc.array(call, { minLength: 30, maxLength: 60 }),
          (calls) => {
            using subject = new Subject({ mapFiles });
            for (const [name, a, b] of calls) {
              subject[name](a, b);
              subject.check();
            }
          },
        ),
      );
    });
  });
}
