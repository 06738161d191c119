// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { makeFrameList } from "../../../impl/lib/frame_list.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { OwnMemory, SHARED } from "../testing/own_memory.ts";
import { type Place, SharedPages } from "./shared_pages.ts";

const PAGES = 1000;

/** Shared pages through the test's own mapping of them, all pinned. */
class Shared extends OwnMemory {
  readonly address = this.map(PAGES, SHARED);
  readonly place: Place = {
    space: this.mm.space,
    page: 5,
    address: this.address,
    npages: PAGES,
  };
  searches = 0;
  /** What a search finds. */
  found: readonly Place[] = [];
  readonly pages = new SharedPages(() => {
    this.searches++;
    return this.found;
  }, () => {});

  constructor() {
    super();
    this.pages.addPlace(this.place);
    const list = makeFrameList(1);
    this.machine.frames.pin(this.pages, 5, PAGES, false, list);
  }

  /** All of its addresses. */
  get everything() {
    const { space, address: start } = this.place;
    return { space, start, end: start + PAGES * PAGE_SIZE };
  }

  /** Loses all of its addresses; returns what must be kept. */
  lose(): number[][] {
    const kept: number[][] = [];
    this.pages.losePlaces(this.everything, (...run) => kept.push(run));
    return kept;
  }
}

describe("pages that a process shares", () => {
  it("are looked for with others once, however many are lost", () => {
    using shared = new Shared();
    // In pieces of 512 pages.
    assertEquals(shared.lose(), [[5, 512], [512, 5 + PAGES]]);
    assertEquals(shared.searches, 1);
  });

  it("are not kept where another has them", () => {
    using shared = new Shared();
    const address = shared.map(300, SHARED);
    const space = shared.machine.openMm(Deno.pid, () => {}).space;
    shared.found = [{ space, page: 100, address, npages: 300 }];
    assertEquals(shared.lose(), [[5, 100], [400, 512], [512, 5 + PAGES]]);
    shared.pages.write(100, 3, Uint8Array.of(1));
    assertEquals(shared.bytes(address)[3], 1);
  });

  it("that nobody has any more are zero, and looked for once", () => {
    using shared = new Shared();
    shared.pages.write(7, 0, Uint8Array.of(9));
    // Before the addresses are free: the runtime would take them for it.
    const bytes = new Uint8Array(PAGES * PAGE_SIZE).fill(7);
    shared.unmap(shared.address, PAGES);
    shared.pages.read(5, 0, bytes);
    assertEquals(bytes.findIndex((byte) => byte !== 0), -1);
    shared.pages.write(5, 0, bytes);
    assertEquals(shared.searches, 1);
    assertEquals(shared.pages.hasPlaces(shared.everything), false);
  });

  it("are what they were last, once their process is gone", () => {
    using shared = new Shared();
    shared.pages.write(7, 1, Uint8Array.of(9));
    shared.pages.remember(shared.everything);
    shared.unmap(shared.address, PAGES);
    const bytes = new Uint8Array(2);
    shared.pages.read(7, 0, bytes);
    assertEquals([...bytes], [0, 9]);
    shared.pages.forget();
    shared.pages.read(7, 0, bytes);
    assertEquals([...bytes], [0, 0]);
  });

  it("end where the file ends", () => {
    using shared = new Shared();
    const fd = shared.memfd(3);
    const address = shared.map(8, 1, 3, fd);
    const { space } = shared.place;
    const pages = new SharedPages(() => [], () => {});
    pages.addPlace({ space, page: 0, address, npages: 8 });
    for (let first = 0; first < 8; first++) {
      for (let n = 1; n <= 8 - first; n++) {
        const there = Math.max(0, Math.min(n, 3 - first));
        assertEquals(pages.countBehind(first, n), there, `${first} ${n}`);
      }
    }
  });
});
