// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { KernelBug } from "../kernel/warn.ts";
import { type Iova, toIova } from "../lib/brands.ts";
import { EINVAL, ENODEV, ENOMEM, ENOSPC } from "../uapi/errno.ts";
import { IOMMU_READ } from "./domain.ts";
import { iommuIovaToPhys } from "./map.ts";
import { iommuMap, iommuUnmap } from "./testing/numbers.ts";
import {
  errnoOf,
  LARGE,
  SMALL,
  TestDomain,
  TestOps,
} from "./testing/test_driver.ts";

function newDomain(): TestDomain {
  const options = {
    owner: new TestOps(),
    pgsizeBitmap: BigInt(SMALL | LARGE),
  };
  return new TestDomain(options, "paging");
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** What is asked for, and the driver calls that it must become. */
const SPLITS: readonly (readonly [number, number, number, string[]])[] = [
  [0x1000, 0x5000, 3 * SMALL, ["map 0x1000 0x5000 0x1000x3"]],
  [0x200000, 0x400000, 2 * LARGE, ["map 0x200000 0x400000 0x200000x2"]],
  // Small pages up to the boundary, large ones, small ones for the rest.
  [0x1ff000, 0x3ff000, SMALL + LARGE + SMALL, [
    "map 0x1ff000 0x3ff000 0x1000x1",
    "map 0x200000 0x400000 0x200000x1",
    "map 0x400000 0x600000 0x1000x1",
  ]],
  // Not offset alike within a large page: small ones all the way, in one call.
  [0x200000, 0x401000, 2 * LARGE, ["map 0x200000 0x401000 0x1000x1024"]],
  // The boundary is reached but no whole large page is left behind it.
  [0x1ff000, 0x3ff000, LARGE, ["map 0x1ff000 0x3ff000 0x1000x512"]],
  // Both aligned but too short.
  [0x200000, 0x400000, SMALL, ["map 0x200000 0x400000 0x1000x1"]],
  // Address 0 is aligned to everything.
  [0, 0, LARGE, ["map 0x0 0x0 0x200000x1"]],
  // The last pages of the address space, exact in spite of their size.
  [0xffffffffffffe000, 0x7000, 2 * SMALL, [
    "map 0xffffffffffffe000 0x7000 0x1000x2",
  ]],
  [0xffffffffffe00000, 3 * GIB, LARGE, [
    "map 0xffffffffffe00000 0xc0000000 0x200000x1",
  ]],
  [0x1000, 0x1000, 0, []],
];

/** A domain whose page table splits ranges itself, in entries of 64 KiB at most. */
class RangeDomain extends TestDomain {
  readonly #entry = 0x10000;

  override mapRange(iova: Iova, paddr: number, size: number): void {
    this.calls.push(`range ${iova} ${paddr} ${size}`);
    if (paddr === 0) throw ENOSPC;
  }

  override unmapRange(iova: Iova, size: number): number {
    this.calls.push(`unrange ${iova} ${size}`);
    return Math.ceil(size / this.#entry) * this.#entry;
  }
}

describe("a page table that splits ranges itself", () => {
  const options = { owner: new TestOps(), pgsizeBitmap: BigInt(SMALL | LARGE) };

  it("is asked once, whatever the sizes of its pages", () => {
    const domain = new RangeDomain(options, "paging");
    iommuMap(domain, 0x1ff000, 0x3ff001, LARGE + SMALL + 7, IOMMU_READ);
    // It may unmap more than it was asked to: all of an entry.
    assertEquals(iommuUnmap(domain, 0x1ff000, 0x18000), 0x20000);
    assertEquals(domain.calls, [
      `range ${0x1ff000} ${0x3ff001} ${LARGE + SMALL + 7}`,
      `unrange ${0x1ff000} ${0x18000}`,
    ]);
  });

  it("takes back itself what it mapped before it fails", () => {
    const domain = new RangeDomain(options, "paging");
    const map = () => iommuMap(domain, 0, 0, SMALL, IOMMU_READ);
    assertStrictEquals(errnoOf(map), ENOSPC);
    assertEquals(domain.calls.length, 1);
  });

  it("is not asked if it does not page", () => {
    const domain = new RangeDomain(options, "nested");
    const map = () => iommuMap(domain, 0, SMALL, SMALL, IOMMU_READ);
    assertStrictEquals(errnoOf(map), EINVAL);
    assertEquals(iommuUnmap(domain, 0, SMALL), 0);
    assertEquals(domain.calls, []);
  });
});

describe("iommuMap", () => {
  for (const [iova, paddr, size, calls] of SPLITS) {
    it(`of 0x${size.toString(16)} bytes at 0x${iova.toString(16)}: ${calls.length} calls`, () => {
      const domain = newDomain();
      iommuMap(domain, iova, paddr, size, IOMMU_READ);
      assertEquals(domain.calls, calls);
      const unmap = calls.map((call) =>
        call.replace(/map (\S+) \S+ /, "unmap $1 ")
      );
      domain.calls.length = 0;
      assertEquals(iommuUnmap(domain, iova, size), size);
      if ((iova - paddr) % LARGE === 0) {
        assertEquals(domain.calls, unmap);
      }
      assertEquals(domain.pages.size, 0);
    });
  }

  it("asks again for what a driver did not map", () => {
    const domain = newDomain();
    domain.pagesPerCall = 2;
    iommuMap(domain, 0x1000, 0x1000, 5 * SMALL, IOMMU_READ);
    assertEquals(domain.calls, [
      "map 0x1000 0x1000 0x1000x5",
      "map 0x3000 0x3000 0x1000x3",
      "map 0x5000 0x5000 0x1000x1",
    ]);
  });

  it("unwinds all pieces when the driver fails half-way", () => {
    const domain = newDomain();
    for (const failAt of [0x1ff000, 0x200000, 0x600000, 0x601000]) {
      domain.failAt = { iova: failAt, errno: ENOMEM };
      const errno = errnoOf(() =>
        iommuMap(domain, 0x1ff000, 0x3ff000, 2 * LARGE + 3 * SMALL, IOMMU_READ)
      );
      assertStrictEquals(errno, ENOMEM);
      assertEquals(domain.pages.size, 0, `failing at 0x${failAt.toString(16)}`);
    }
    // The control: without a failure the pages are there.
    domain.failAt = undefined;
    iommuMap(domain, 0x1ff000, 0x3ff000, 2 * LARGE + 3 * SMALL, IOMMU_READ);
    assertEquals(domain.pages.size, 5);
  });

  it("page by page makes a call for each CPU page, and unwinds them", () => {
    const domain = newDomain();
    domain.mapSmall(toIova(0x200000n), LARGE, 3 * SMALL, IOMMU_READ);
    assertEquals(domain.calls, [
      "map 0x200000 0x200000 0x1000x1",
      "map 0x201000 0x201000 0x1000x1",
      "map 0x202000 0x202000 0x1000x1",
    ]);
    domain.pages.clear();
    domain.failAt = { iova: 0x202000, errno: ENOMEM };
    const map = () =>
      domain.mapSmall(toIova(0x200000n), LARGE, 3 * SMALL, IOMMU_READ);
    assertStrictEquals(errnoOf(map), ENOMEM);
    assertEquals(domain.pages.size, 0);
    assertEquals(domain.calls.slice(-1), ["unmap 0x200000 0x1000x2"]);
  });

  it("is EINVAL for what is not aligned to the smallest page", () => {
    const domain = newDomain();
    for (
      const [iova, paddr, size] of [
        [0x800, 0, SMALL],
        [2 ** 64 - 2048, 0, SMALL],
        [0, 0x800, SMALL],
        [0, 0, SMALL + 1],
      ] as const
    ) {
      assertStrictEquals(
        errnoOf(() => iommuMap(domain, iova, paddr, size, IOMMU_READ)),
        EINVAL,
      );
    }
    assertEquals(domain.calls, []);
  });

  it("is EINVAL for a domain that does not page", () => {
    const { blockedDomain } = new TestOps();
    assertStrictEquals(
      errnoOf(() => iommuMap(blockedDomain!, 0, 0, SMALL, IOMMU_READ)),
      EINVAL,
    );
    assertEquals(iommuUnmap(blockedDomain!, 0, SMALL), 0);
    assertEquals(blockedDomain!.owner.iommu.kernel.warnings.list, []);
  });

  it("warns and is ENODEV when the driver gave no page sizes", () => {
    const owner = new TestOps();
    const domain = new TestDomain({ owner }, "paging");
    assertStrictEquals(
      errnoOf(() => iommuMap(domain, 0, 0, SMALL, IOMMU_READ)),
      ENODEV,
    );
    assertEquals(iommuUnmap(domain, 0, SMALL), 0);
    assertEquals(owner.iommu.kernel.warnings.list.length, 2);
  });

  it("calls a driver that maps nothing a bug", () => {
    const domain = newDomain();
    domain.pagesPerCall = 0;
    assertThrows(
      () => iommuMap(domain, 0, 0, SMALL, IOMMU_READ),
      KernelBug,
    );
  });
});

describe("iommuUnmap", () => {
  it("stops at what is not mapped and says how far it got", () => {
    const domain = newDomain();
    iommuMap(domain, 0x1000, 0x1000, 2 * SMALL, IOMMU_READ);
    assertEquals(iommuUnmap(domain, 0x1000, 4 * SMALL), 2 * SMALL);
    assertEquals(iommuUnmap(domain, 0x1000, 4 * SMALL), 0);
    assertEquals(iommuUnmap(domain, 0x1001, SMALL), 0);
    assertEquals(iommuUnmap(domain, 0x1000, SMALL + 1), 0);
  });
});

describe("iommuIovaToPhys", () => {
  it("asks the domain only if it translates", () => {
    const owner = new TestOps();
    const domain = newDomain();
    iommuMap(domain, 0x1000, 0x7000, SMALL, IOMMU_READ);
    assertEquals(iommuIovaToPhys(domain, 0x1004n), 0x7004);
    assertEquals(iommuIovaToPhys(domain, 0x2000n), 0);
    const identity = new TestDomain({ owner }, "identity");
    assertEquals(iommuIovaToPhys(identity, 0x1004n), 0x1004);
    assertEquals(iommuIovaToPhys(owner.blockedDomain!, 0x1004n), 0);
  });

  it("answers for every byte of a 64-bit IOVA, and takes no number for one", () => {
    const domain = newDomain();
    const last = 2n ** 64n - BigInt(SMALL);
    iommuMap(domain, Number(last), 0x7000, SMALL, IOMMU_READ);
    for (let offset = 0; offset < SMALL; offset++) {
      const paddr = iommuIovaToPhys(domain, last + BigInt(offset));
      assertEquals(paddr, 0x7000 + offset);
    }
    // @ts-expect-error A number, which is rounded, is refused.
    assertThrows(() => iommuIovaToPhys(domain, Number(last + 16n)), TypeError);
  });
});

/** Linux's iommu_pgsize on bigints, as a second opinion. */
function naivePieces(
  sizes: readonly bigint[],
  iova: bigint,
  paddr: bigint,
  size: bigint,
): string[] {
  const calls: string[] = [];
  while (size > 0n) {
    const both = iova | paddr;
    const usable = sizes.filter((s) => s <= size && both % s === 0n);
    const pgsize = usable.at(-1)!;
    const next = sizes.find((s) => s > pgsize);
    let part = size;
    if (next !== undefined && ((iova ^ paddr) & (next - 1n)) === 0n) {
      const offset = next - (both & (next - 1n));
      if (offset + next <= size) part = offset;
    }
    const count = part / pgsize;
    calls.push(
      `map 0x${iova.toString(16)} 0x${paddr.toString(16)} 0x${
        pgsize.toString(16)
      }x${count}`,
    );
    iova += count * pgsize;
    paddr += count * pgsize;
    size -= count * pgsize;
  }
  return calls;
}

describe("splitting into pages", () => {
  it("agrees with Linux's algorithm for any sizes and addresses", () => {
    const shifts = fc.uniqueArray(fc.integer({ min: 11, max: 22 }), {
      minLength: 1,
      maxLength: 4,
    });
    const page = fc.integer({ min: 0, max: 6000 });
    fc.assert(
      fc.property(shifts, page, page, page, (bits, at, from, length) => {
        const sizes = bits.toSorted((a, b) => a - b).map((b) =>
          1n << BigInt(b)
        );
        const smallest = sizes[0]!;
        const domain = new TestDomain({
          owner: new TestOps(),
          pgsizeBitmap: sizes.reduce((all, size) => all | size, 0n),
        }, "paging");
        const iova = 2n ** 63n + BigInt(at) * smallest;
        const paddr = BigInt(from) * smallest;
        const size = BigInt(length) * smallest;
        iommuMap(
          domain,
          Number(iova),
          Number(paddr),
          Number(size),
          IOMMU_READ,
        );
        assertEquals(domain.calls, naivePieces(sizes, iova, paddr, size));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it("makes the fewest calls for a large range", () => {
    const domain = newDomain();
    iommuMap(domain, 0x1000, 0x1000, 64 * MIB, IOMMU_READ);
    assertEquals(domain.calls.length, 3);
  });
});
