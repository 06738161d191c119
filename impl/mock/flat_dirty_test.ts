// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { type DirtyBitmap, IOMMU_DIRTY_NO_CLEAR } from "../iommu/dirty.ts";
import { errnoOf } from "../iommu/testing/test_driver.ts";
import { Kernel } from "../kernel.ts";
import { EINVAL } from "../uapi/errno.ts";
import {
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
} from "../uapi/selftest.ts";
import { FlatMockDomain } from "./flat_domain.ts";

const GRANULE = 2048;
const MIB = 2 ** 20;

/** Notes what is recorded, one line for each page: `IOVA/2048+entries`. */
class Notes implements DirtyBitmap {
  readonly isRecording: boolean;
  readonly pages: string[] = [];

  constructor(isRecording = true) {
    this.isRecording = isRecording;
  }

  record(iova: number, pgsize: number, pgcount = 1): void {
    for (let i = 0; i < pgcount; i++) {
      const entry = (iova + i * pgsize) / GRANULE;
      this.pages.push(`${entry}+${pgsize / GRANULE}`);
    }
  }
}

/** A domain that tracks. `huge` are the numbers of the MiB that are one page, `small` the entries that are there by themselves. */
function setup(
  { huge = [], small = [] }: {
    readonly huge?: readonly number[];
    readonly small?: readonly (readonly [first: number, count: number])[];
  },
): FlatMockDomain {
  const owner = new Kernel({ memory: 2 * MIB }).mock;
  const domain = new FlatMockDomain({ owner, huge: true, dirtyTracking: true });
  domain.setDirtyTracking(true);
  for (const number of huge) domain.mapPages(number * MIB, 0, MIB, 1, 3);
  for (const [first, count] of small) {
    domain.mapPages(first * GRANULE, 0, GRANULE, count, 3);
  }
  return domain;
}

/** Marks entries. */
function mark(domain: FlatMockDomain, ...entries: readonly number[]): void {
  for (const entry of entries) {
    assertEquals(markAll(domain, entry, 1, new Uint8Array([1])), 1);
  }
}

/** Marks those of `count` entries from `first` on whose bit is set; returns how many. */
function markAll(
  domain: FlatMockDomain,
  first: number,
  count: number,
  bits: Uint8Array,
): number {
  const pageSize = BigInt(GRANULE);
  const iova = BigInt(first) * pageSize;
  return domain.markDirty({ iova, pageSize, count, bits });
}

/** What the entries from `first` up to `end` report. */
function collect(
  domain: FlatMockDomain,
  first: number,
  end: number,
  flags = 0,
): string[] {
  const notes = new Notes();
  const size = (end - first) * GRANULE;
  domain.readAndClearDirty(first * GRANULE, size, flags, notes);
  return notes.pages;
}

describe("a flat mock domain that tracks writes", () => {
  it("reports dirty entries once, or every time without clearing", () => {
    const domain = setup({ small: [[100, 20]] });
    mark(domain, 101, 102, 119);
    const expected = ["101+1", "102+1", "119+1"];
    const keep = IOMMU_DIRTY_NO_CLEAR;
    assertEquals(collect(domain, 0, 200, keep), expected);
    assertEquals(collect(domain, 0, 200, keep), expected);
    assertEquals(collect(domain, 0, 200), expected);
    assertEquals(collect(domain, 0, 200), []);
  });

  it("looks at the range only", () => {
    const domain = setup({ small: [[100, 2000]] });
    mark(domain, 499, 500, 999, 1000);
    assertEquals(collect(domain, 500, 1000), ["500+1", "999+1"]);
    assertEquals(collect(domain, 0, 3000), ["499+1", "1000+1"]);
  });

  it("keeps physical addresses, and forgets with the mapping", () => {
    const domain = setup({});
    domain.mapPages(0, 0x8000, GRANULE, 4, 3);
    mark(domain, 1);
    assertEquals(domain.iovaToPhys(GRANULE), 0x8800);
    assertEquals(collect(domain, 0, 4), ["1+1"]);
    assertEquals(domain.iovaToPhys(GRANULE), 0x8800);
    mark(domain, 1);
    domain.unmapPages(0, GRANULE, 4);
    domain.mapPages(0, 0x8000, GRANULE, 4, 3);
    assertEquals(collect(domain, 0, 4), []);
  });

  it("reports a 1 MiB page as a whole if one of its entries is dirty", () => {
    const domain = setup({ huge: [1, 2, 3] });
    mark(domain, 512 + 77, 512 + 99, 3 * 512);
    const expected = ["512+512", "1536+512"];
    const keep = IOMMU_DIRTY_NO_CLEAR;
    assertEquals(collect(domain, 0, 4 * 512, keep), expected);
    assertEquals(collect(domain, 0, 4 * 512), expected);
    assertEquals(collect(domain, 0, 4 * 512), []);
  });

  it("reports the wrong megabyte of a page whose middle it begins with", () => {
    const domain = setup({ huge: [0, 1], small: [[1024, 600]] });
    // The page before the middle is dirty; the report reaches past the range.
    mark(domain, 3);
    assertEquals(collect(domain, 256, 260), ["256+512"]);
    // The second page is stepped over where it begins, and looked at as a whole.
    mark(domain, 512, 1024, 1279, 1280);
    assertEquals(collect(domain, 256, 1624), ["768+512", "1280+1"]);
    assertEquals(collect(domain, 256, 1624), []);
    assertEquals(collect(domain, 1024, 1624), ["1024+1", "1279+1"]);
  });

  it("refuses to report while tracking is off, but clears", () => {
    const domain = setup({ small: [[0, 8]] });
    mark(domain, 1, 2);
    domain.setDirtyTracking(false);
    assertEquals(domain.tracksDirty, false);
    const notes = new Notes();
    const read = (to: DirtyBitmap) =>
      domain.readAndClearDirty(0, 8 * GRANULE, 0, to);
    assertStrictEquals(errnoOf(() => read(notes)), EINVAL);
    assertEquals(notes.pages, []);
    domain.setDirtyTracking(true);
    assertEquals(collect(domain, 0, 8, IOMMU_DIRTY_NO_CLEAR), ["1+1", "2+1"]);
    domain.setDirtyTracking(false);
    read(new Notes(false));
    domain.setDirtyTracking(true);
    assertEquals(collect(domain, 0, 8), []);
  });

  it("marks what is mapped only, counting what was dirty already", () => {
    const domain = setup({ small: [[10, 4], [1020, 8]] });
    const bits = new Uint8Array(256).fill(0xff);
    assertEquals(markAll(domain, 12, 1012, bits), 2 + 4);
    assertEquals(markAll(domain, 12, 1013, bits), 2 + 5);
    assertEquals(markAll(domain, 12, 1013, new Uint8Array(128)), 0);
    const marked = [12, 13, 1020, 1021, 1022, 1023, 1024];
    const pages = marked.map((entry) => `${entry}+1`);
    assertEquals(collect(domain, 0, 2000), pages);
  });

  it("takes no device that cannot track", () => {
    const { mock } = new Kernel({ revision: "6.12", memory: 2 * MIB });
    const incapable = mock.createDevice(MOCK_FLAGS_DEVICE_NO_DIRTY);
    const capable = mock.createDevice(MOCK_FLAGS_DEVICE_HUGE_IOVA);
    const tracking = new FlatMockDomain({ owner: mock, dirtyTracking: true });
    const plain = new FlatMockDomain({ owner: mock });
    const attach = (to: FlatMockDomain, dev: typeof capable) =>
      errnoOf(() => to.attachDev(dev, null));
    assertStrictEquals(attach(tracking, incapable), EINVAL);
    assertStrictEquals(attach(tracking, capable), undefined);
    assertStrictEquals(attach(plain, incapable), undefined);
  });

  it("cannot be one without being made so", () => {
    const { mock } = new Kernel({ memory: 2 * MIB });
    const plain = new FlatMockDomain({ owner: mock });
    assertStrictEquals(plain.dirtyOps, undefined);
    assertStrictEquals(errnoOf(() => plain.setDirtyTracking(true)), EINVAL);
    plain.setDirtyTracking(false);
  });
});

describe("collecting at random", () => {
  it("reports and clears what a walk over single entries does", () => {
    const leaves = 5;
    const kind = fc.constantFrom("none", "small", "huge", "part", "mixed");
    const shape = fc.record({
      kinds: fc.array(kind, { minLength: leaves, maxLength: leaves }),
      part: fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 112 })),
      bits: fc.uint8Array({ minLength: 320, maxLength: 320 }),
      sparse: fc.boolean(),
      ranges: fc.array(
        fc.tuple(fc.nat(leaves * 512 - 1), fc.nat(1500), fc.boolean()),
        { minLength: 1, maxLength: 5 },
      ),
    });
    fc.assert(
      fc.property(shape, ({ kinds, part, bits, sparse, ranges }) => {
        if (sparse) { for (let i = 0; i < 320; i++) if (i % 40) bits[i] = 0; }
        const numbers = [...kinds.keys()];
        // A mixed leaf has small pages mapped over a large one, with a warning.
        const isHuge = ["huge", "mixed"];
        const huge = numbers.filter((i) => isHuge.includes(kinds[i]!));
        const small = numbers.flatMap((i): [number, number][] =>
          kinds[i] === "small"
            ? [[i * 512, 512]]
            : kinds[i] === "part" || kinds[i] === "mixed"
            ? [[i * 512 + part[0], part[1]]]
            : []
        );
        const domain = setup({ huge, small });
        const naive = new Map<number, { huge: boolean; dirty: boolean }>();
        for (const i of huge) {
          for (let j = 0; j < 512; j++) {
            naive.set(i * 512 + j, { huge: true, dirty: false });
          }
        }
        for (const [first, count] of small) {
          for (let j = first; j < first + count; j++) {
            naive.set(j, { huge: false, dirty: false });
          }
        }
        let marked = 0;
        for (const [index, entry] of naive) {
          if (!((bits[index >> 3]! >> (index & 7)) & 1)) continue;
          entry.dirty = true;
          marked++;
        }
        assertEquals(markAll(domain, 0, 2560, bits), marked);
        for (const [first, length, keep] of ranges) {
          const end = first + length + 1;
          const flags = keep ? IOMMU_DIRTY_NO_CLEAR : 0;
          assertEquals(
            collect(domain, first, end, flags),
            naiveCollect(naive, first, end, !keep),
          );
        }
      }),
      { seed: 1, numRuns: 150 },
    );
  });
});

function naiveCollect(
  entries: Map<number, { huge: boolean; dirty: boolean }>,
  first: number,
  end: number,
  clears: boolean,
): string[] {
  const found: string[] = [];
  for (let index = first; index < end;) {
    const entry = entries.get(index);
    const size = entry?.huge ? 512 : 1;
    let dirty = false;
    const head = index - index % size;
    for (let i = head; i < head + size; i++) {
      const part = entries.get(i);
      if (!part?.dirty) continue;
      dirty = true;
      if (clears) part.dirty = false;
    }
    if (dirty) found.push(`${index}+${size}`);
    index += size;
  }
  return found;
}
