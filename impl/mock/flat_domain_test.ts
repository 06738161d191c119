// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { Iommu } from "../iommu/iommu.ts";
import { iommuMap, iommuUnmap } from "../iommu/testing/numbers.ts";
import { errnoOf } from "../iommu/testing/test_driver.ts";
import { KernelCore } from "../kernel/core.ts";
import type { Iova } from "../lib/brands.ts";
import { ENOENT } from "../uapi/errno.ts";
import {
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
  REVISIONS,
} from "../uapi/revision.ts";
import { MockIommuOps } from "./mock_device.ts";
import { FlatMockDomain } from "./flat_domain.ts";

/** A kernel with a switch where it has fault injection. */
class TestKernel extends KernelCore {
  failing = false;

  override fails(): boolean {
    return this.failing;
  }
}

const BASE = 0x1000000;
const MIB = 2 ** 20;

function setup(options: { revision?: RevisionName; huge?: boolean } = {}): {
  domain: FlatMockDomain;
  kernel: TestKernel;
  warnings: readonly string[];
} {
  const { revision = NEWEST, huge = false } = options;
  const kernel = new TestKernel({ revision, memory: 2 * MIB });
  const owner = new MockIommuOps(new Iommu(kernel));
  const domain = new FlatMockDomain({ owner, huge });
  return { domain, kernel, warnings: kernel.warnings.list };
}

describe("a flat mock domain", () => {
  it("translates each 2 KiB that is mapped", () => {
    const { domain, warnings } = setup();
    iommuMap(domain, BASE, 0x5800, 3 * 2048, 3);
    assertEquals(
      [0, 2048, 4096].map((at) => domain.iovaToPhys(BASE + at)),
      [0x5800, 0x6000, 0x6800],
    );
    assertEquals(domain.entries, 3);
    assertEquals(iommuUnmap(domain, BASE, 3 * 2048), 3 * 2048);
    assertEquals(domain.entries, 0);
    domain.free();
    assertEquals(warnings, []);
  });

  it("can be looked into without a warning", () => {
    const { domain, warnings } = setup();
    iommuMap(domain, BASE, 0x5800, 2048, 3);
    assertEquals(domain.lookup(BASE), 0x5800);
    assertEquals(domain.lookup(BASE + 2048), undefined);
    assertEquals(warnings, []);
  });

  it("maps physical address 0 and the top of memory as well", () => {
    const { domain } = setup();
    const top = 2 ** 38 - 2048;
    iommuMap(domain, BASE, 0, 2048, 3);
    iommuMap(domain, BASE + 2048, top, 2048, 3);
    assertEquals(domain.iovaToPhys(BASE), 0);
    assertEquals(domain.iovaToPhys(BASE + 2048), top);
    assertEquals(domain.entries, 2);
  });

  it("fails to map where fault injection says so, with nothing mapped", () => {
    const { domain, kernel } = setup();
    kernel.failing = true;
    assertStrictEquals(
      errnoOf(() => iommuMap(domain, BASE, 0, 4096, 3)),
      ENOENT,
    );
    assertEquals(domain.entries, 0);
    kernel.failing = false;
    iommuMap(domain, BASE, 0, 4096, 3);
    assertEquals(domain.entries, 2);
  });

  it("warns of addresses that are not multiples of 2 KiB", () => {
    const { domain, warnings } = setup();
    domain.mapPages(BASE + 1024, 0, 2048, 1, 3);
    assertEquals(warnings.length, 1);
    domain.iovaToPhys(BASE + 1);
    assertEquals(warnings.length, 2);
    domain.unmapPages(BASE + 1, 2048, 1);
    assertEquals(warnings.length, 3);
  });

  it("warns of a map over a map", () => {
    const { domain, warnings } = setup();
    iommuMap(domain, BASE, 0, 4096, 3);
    iommuMap(domain, BASE + 4096, 0, 4096, 3);
    assertEquals(warnings, []);
    iommuMap(domain, BASE + 2048, 0, 4096, 3);
    assertEquals(warnings, [
      "Mock IOVA 0x1000800 is mapped over 2 entries",
    ]);
    assertEquals(domain.entries, 4);
    const runs = { pfns: Int32Array.of(1, 5), npfns: Int32Array.of(1, 1) };
    domain.mapRuns(BASE + 4096 as Iova, runs, 0, 2, 3);
    assertEquals(warnings.slice(1), [
      "Mock IOVA 0x1001000 is mapped over 2 entries",
    ]);
    assertEquals(domain.entries, 6);
  });

  it("warns of an unmap that begins or ends within a map", () => {
    for (
      const [from, size, warned] of [
        [0, 4 * 2048, 0],
        [0, 8 * 2048, 0],
        [4, 4 * 2048, 0],
        [1, 3 * 2048, 1],
        [0, 3 * 2048, 1],
        [1, 6 * 2048, 1],
      ] as const
    ) {
      const { domain, warnings } = setup();
      iommuMap(domain, BASE, 0, 4 * 2048, 3);
      iommuMap(domain, BASE + 4 * 2048, 0, 4 * 2048, 3);
      iommuUnmap(domain, BASE + from * 2048, size);
      assertEquals(warnings.length, warned, `${from}, ${size}`);
    }
  });

  it("does not mind where an unmap begins once it has 1 MiB pages", () => {
    const { domain, warnings } = setup({ huge: true });
    iommuMap(domain, BASE, 0, 2 * MIB + 8192, 3);
    iommuUnmap(domain, BASE + 2048, 4096);
    assertEquals(warnings, []);
    iommuUnmap(domain, BASE, 4 * MIB);
    assertEquals(domain.entries, 0);
    assertEquals(warnings, []);
  });

  it("tolerates unmapping nothing, or warns", () => {
    for (const revision of REVISION_NAMES) {
      const { unmapToleratesMissing } = REVISIONS[revision].mock;
      const warned = unmapToleratesMissing ? 0 : 2;
      const { domain, warnings } = setup({ revision });
      iommuMap(domain, BASE, 0, 4096, 3);
      assertEquals(iommuUnmap(domain, BASE, 8192), 8192);
      assertEquals(warnings.length, warned);
      assertEquals(domain.entries, 0);
    }
  });

  it("warns when something is looked up that is not mapped", () => {
    const { domain, warnings } = setup();
    assertEquals(domain.iovaToPhys(BASE), 0);
    assertEquals(warnings.length, 1);
  });

  it("warns when it is freed with something mapped", () => {
    const { domain, warnings } = setup();
    iommuMap(domain, BASE, 0, 4096, 3);
    domain.free();
    assertEquals(warnings, ["A mock domain is freed with 2 entries"]);
  });
});

describe("reading back frames", () => {
  it("gives one per CPU page, also from half a page off", () => {
    const { domain, warnings } = setup();
    iommuMap(domain, BASE + 2048, 7 * 4096, 3 * 4096, 3);
    const out = new Int32Array(5).fill(-1);
    domain.readPfns(BASE + 2048, 3, out, 1);
    assertEquals([...out], [-1, 7, 8, 9, -1]);
    assertEquals(warnings, []);
  });

  it("warns of pages that are not mapped, with or without a leaf", () => {
    const { domain, warnings } = setup();
    iommuMap(domain, BASE, 7 * 4096, 4096, 3);
    const out = new Int32Array(600).fill(-1);
    domain.readPfns(BASE, 600, out, 0);
    assertEquals(out[0], 7);
    assertEquals(out[599], 0);
    assertEquals(warnings, [
      "Mock IOVA 0x1000000 is read with 599 pages missing",
    ]);
  });

  it("is the same as asking for each page, whatever is mapped where", () => {
    const runs = fc.array(
      fc.tuple(
        fc.integer({ min: 0, max: 1500 }),
        fc.integer({ min: 0, max: 2 ** 26 - 700 }),
        fc.integer({ min: 1, max: 700 }),
      ),
      { maxLength: 10 },
    );
    const offset = fc.constantFrom(0, 1);
    fc.assert(
      fc.property(runs, offset, fc.boolean(), (list, shift, huge) => {
        const { domain } = setup({ huge });
        const frames = new Map<number, number>();
        for (const [page, frame, npages] of list) {
          const free = Array.from({ length: npages }, (_, i) => page + i);
          if (free.some((p) => frames.has(p))) continue;
          for (const [i, p] of free.entries()) frames.set(p, frame + i);
          const iova = BASE + page * 4096 + shift * 2048;
          iommuMap(domain, iova, frame * 4096, npages * 4096, 3);
        }
        assertEquals(domain.entries, frames.size * 2);
        const out = new Int32Array(2300);
        domain.readPfns(BASE + shift * 2048, 2300, out, 0);
        const expected = out.map((_, page) => frames.get(page) ?? 0);
        assertEquals(out, expected);
        for (const [page, frame] of [...frames].slice(0, 20)) {
          const iova = BASE + page * 4096 + shift * 2048;
          assertEquals(domain.iovaToPhys(iova + 2048), frame * 4096 + 2048);
        }
      }),
      { seed: 1, numRuns: 100 },
    );
  });
});

describe("mapping and unmapping at random", () => {
  it("warns exactly when a naive page table would", () => {
    const step = fc.tuple(
      fc.boolean(),
      fc.integer({ min: 500, max: 530 }),
      fc.integer({ min: 1, max: 12 }),
    );
    const run = fc.array(step, { maxLength: 40 });
    const revision = fc.constantFrom(...REVISION_NAMES);
    fc.assert(
      fc.property(run, revision, (steps, name) => {
        const { domain, warnings } = setup({ revision: name });
        const naive = new Map<number, boolean>();
        let seen = 0;
        for (const [maps, first, count] of steps) {
          const iova = BASE + first * 2048;
          const last = first + count - 1;
          const all = Array.from({ length: count }, (_, i) => first + i);
          const present = all.filter((i) => naive.has(i)).length;
          let warned: number;
          if (maps) {
            iommuMap(domain, iova, first * 2048, count * 2048, 3);
            warned = present > 0 ? 1 : 0;
            for (const i of all) naive.set(i, i === first || i === last);
          } else {
            iommuUnmap(domain, iova, count * 2048);
            const missing = REVISIONS[name].mock.unmapToleratesMissing;
            const bounded = (naive.get(first) ?? missing) &&
              (naive.get(last) ?? missing);
            warned = (bounded ? 0 : 1) +
              (!missing && present < count ? 1 : 0);
            for (const i of all) naive.delete(i);
          }
          assertEquals(warnings.length - seen, warned);
          seen = warnings.length;
          assertEquals(domain.entries, naive.size);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
