// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandRuns, makeFrameList } from "../../../impl/lib/frame_list.ts";
import { KernelBug } from "../../../impl/kernel/warn.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import { HostFrames, PINS_MAX } from "./frames.ts";
import { PageStore } from "./page_store.ts";

/** Bytes of pages, and how often somebody asked for them. */
class TestStore extends PageStore {
  readonly bytes = new Map<number, number>();
  reads = 0;
  endings = 0;

  override unused(): void {
    this.endings++;
  }

  override read(page: number, offset: number, to: Uint8Array): void {
    this.reads++;
    for (let i = 0; i < to.length; i++) {
      to[i] = this.bytes.get(page * PAGE_SIZE + offset + i) ?? 0;
    }
  }

  override write(page: number, offset: number, from: Uint8Array): void {
    from.forEach((byte, i) => {
      this.bytes.set(page * PAGE_SIZE + offset + i, byte);
    });
  }
}

function pin(
  frames: HostFrames,
  store: PageStore,
  page: number,
  count: number,
  compound = false,
): number[] {
  const list = makeFrameList(count);
  assertEquals(frames.pin(store, page, count, compound, list), count);
  const out = new Int32Array(count);
  assertEquals(expandRuns(list, out, 0), count);
  return [...out];
}

function unpin(frames: HostFrames, pfns: readonly number[]): void {
  frames.unpin(Int32Array.from(pfns), 0, pfns.length);
}

function byteOf(frames: HostFrames, pfn: number): number {
  const to = new Uint8Array(1);
  frames.read(pfn, 0, to);
  return to[0]!;
}

const PAGE = 2 ** 35 - 700;

describe("the numbers of frames", () => {
  it("follow each other where pages do, aligned as they are", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const pfns = pin(frames, store, PAGE, 1200);
    assertEquals(pfns, pfns.map((_, i) => pfns[0]! + i));
    assertEquals(pfns[0]! % 512, PAGE % 512);
    assert(pfns[0]! > 0);
  });

  it("are free again without pins", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    for (let i = 0; i < 3; i++) {
      const pfns = pin(frames, store, 100, 2000);
      assertEquals(pfns, pfns.map((_, i) => pfns[0]! + i));
      assertEquals(frames.used, 2000);
      assertEquals(frames.countPinned(), 2000);
      unpin(frames, pfns);
    }
    assertEquals([frames.used, frames.countPinned(), store.live], [0, 0, 0]);
    assertEquals(store.leaves.size, 0);
    assertEquals(store.endings, 3);
    const other = pin(frames, new TestStore(), 0, 512);
    assert(other[0]! < 6 * 512, "The numbers of before are used again");
  });

  it("say of a page that is not pinned what they would", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const pfn = frames.peek(store, 5, true);
    assertEquals(frames.peek(store, 5, true), pfn);
    assertEquals([frames.pins(pfn), frames.used], [0, 0]);
    assert(frames.isCompound(pfn));
    assertEquals(pin(frames, store, 5, 1), [pfn]);
    assertEquals(frames.peek(store, 5, true), pfn);
  });

  it("stay while they are held", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const pfn = frames.hold(store, 3, false);
    assertEquals(pin(frames, store, 3, 1), [pfn]);
    unpin(frames, [pfn]);
    assertEquals([frames.used, frames.countPinned()], [1, 0]);
    assertEquals(pin(frames, store, 3, 1), [pfn]);
    frames.release(store, 0, Infinity);
    assertEquals(frames.used, 1);
    unpin(frames, [pfn]);
    assertEquals(frames.used, 0);
  });
});

describe("a pinned page", () => {
  it("counts its pins, up to what Linux can count", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const list = makeFrameList(2);
    for (let i = 0; i < PINS_MAX; i++) {
      list.end = 0;
      frames.pin(store, 0, 1, false, list);
    }
    assertEquals(frames.pins(list.pfns[0]!), PINS_MAX);
    list.end = 0;
    assertEquals(frames.pin(store, 0, 2, false, list), 0);
    assertEquals(frames.pin(store, 1, 2, false, list), 2);
  });

  it("cannot be unpinned more often than it was pinned", () => {
    const frames = new HostFrames();
    const pfns = pin(frames, new TestStore(), 0, 1);
    unpin(frames, pfns);
    assertThrows(() => unpin(frames, pfns), KernelBug);
    assertThrows(() => byteOf(frames, pfns[0]!), KernelBug);
  });

  it("that its owner lets go of lives on, and the next page there is another", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const pfns = pin(frames, store, 10, 3);
    frames.write(pfns[1]!, 0, Uint8Array.of(7));
    frames.keep(store, 11, 12);
    store.write(11, 0, Uint8Array.of(1));
    assertEquals(byteOf(frames, pfns[1]!), 7);
    const [next] = pin(frames, store, 11, 1);
    assert(next !== pfns[1]);
    assertEquals(byteOf(frames, next!), 1);
    frames.write(pfns[1]!, 0, Uint8Array.of(8));
    assertEquals([byteOf(frames, pfns[1]!), byteOf(frames, next!)], [8, 1]);
    unpin(frames, [...pfns, next!]);
    assertEquals(frames.used, 0);
  });

  it("moves with its number, also over where it was", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const pfns = pin(frames, store, 0, 4);
    for (let i = 0; i < 4; i++) store.write(i + 2, 0, Uint8Array.of(10 + i));
    frames.move(store, 0, 4, store, 2);
    assertEquals(pfns.map((pfn) => byteOf(frames, pfn)), [10, 11, 12, 13]);
    assertEquals(pin(frames, store, 2, 4), pfns);
    const fresh = pin(frames, store, 0, 2);
    assert(fresh.every((pfn) => !pfns.includes(pfn)));
    unpin(frames, [...pfns, ...pfns, ...fresh]);
    assertEquals([frames.used, store.live], [0, 0]);
  });

  it("is known to be of a huge page, also when it is kept", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const [pfn] = pin(frames, store, 0, 1, true);
    const [small] = pin(frames, store, 1, 1);
    frames.keep(store, 0, 2);
    assert(frames.isCompound(pfn!) && !frames.isCompound(small!));
  });
});

describe("the bytes of frames", () => {
  it("of pages that follow each other come in one go", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const [pfn] = pin(frames, store, 510, 4);
    store.write(511, PAGE_SIZE - 1, Uint8Array.of(1, 2));
    const to = new Uint8Array(3 * PAGE_SIZE);
    frames.read(pfn!, 5, to);
    assertEquals(store.reads, 1);
    assertEquals([to[2 * PAGE_SIZE - 6], to[2 * PAGE_SIZE - 5]], [1, 2]);
  });

  it("of pages that do not come one by one", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const pfns = pin(frames, store, 0, 4);
    frames.write(pfns[0]!, 0, new Uint8Array(4 * PAGE_SIZE).fill(3));
    frames.keep(store, 1, 3);
    const to = new Uint8Array(4 * PAGE_SIZE - 2);
    frames.read(pfns[0]!, 2, to);
    assert(to.every((byte) => byte === 3));
    frames.write(pfns[0]!, 1, new Uint8Array(3 * PAGE_SIZE).fill(4));
    assertEquals(pfns.map((pfn) => byteOf(frames, pfn)), [3, 4, 4, 4]);
  });

  it("have bits that can be set", () => {
    const frames = new HostFrames();
    const store = new TestStore();
    const [pfn] = pin(frames, store, 0, 1);
    store.write(0, 0, Uint8Array.of(0x80, 0, 0, 0, 1));
    frames.setBits(pfn!, 3, 35);
    frames.setBits(pfn!, 2 ** 15 - 1, 2 ** 15 - 1);
    const to = new Uint8Array(PAGE_SIZE);
    frames.read(pfn!, 0, to);
    assertEquals([...to.subarray(0, 6)], [0xf8, 0xff, 0xff, 0xff, 0x0f, 0]);
    assertEquals(to[PAGE_SIZE - 1], 0x80);
  });
});
