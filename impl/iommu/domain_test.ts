// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelBug } from "../kernel/warn.ts";
import { EEXIST, EINVAL, ENODEV } from "../uapi/errno.ts";
import { Domain, type DomainOptions, IOMMU_READ } from "./domain.ts";
import { toIova } from "../lib/brands.ts";
import { iommuMap, iommuUnmap } from "./testing/numbers.ts";
import { errnoOf, SMALL, TestDomain, TestOps } from "./testing/test_driver.ts";

/** The least that a driver can write. */
class BareDomain extends Domain {
  override readonly type = "paging";
  override attachDev(): void {}
}

function bare(options: Partial<DomainOptions> = {}): BareDomain {
  return new BareDomain({ owner: new TestOps(), ...options });
}

describe("a domain", () => {
  it("spans all IOVA unless its driver says less", () => {
    assertEquals(bare().apertureStart, 0n);
    assertEquals(bare().apertureEnd, 2n ** 64n - 1n);
    const small = bare({ apertureStart: 5n, apertureEnd: 9n });
    assertEquals([small.apertureStart, small.apertureEnd], [5n, 9n]);
  });

  it("has its page sizes as numbers too, smallest first", () => {
    const bitmap = 2n ** 12n | 2n ** 21n | 2n ** 39n;
    assertEquals(bare({ pgsizeBitmap: bitmap }).pageSizes, [
      2 ** 12,
      2 ** 21,
      2 ** 39,
    ]);
    assertEquals(bare().pageSizes, []);
  });

  it("cannot have a smallest page whose addresses a number cannot hold", () => {
    assertThrows(() => bare({ pgsizeBitmap: 2n ** 10n }), KernelBug);
    assertThrows(() => bare({ pgsizeBitmap: 2n ** 31n }), KernelBug);
    assertEquals(bare({ pgsizeBitmap: 2n ** 11n }).pageSizes, [2048]);
  });

  it("that does not implement mapping warns and is ENODEV", () => {
    const domain = bare({ pgsizeBitmap: BigInt(SMALL) });
    assertStrictEquals(
      errnoOf(() => iommuMap(domain, 0, 0, SMALL, IOMMU_READ)),
      ENODEV,
    );
    assertEquals(iommuUnmap(domain, 0, SMALL), 0);
    assertEquals(domain.iovaToPhys(toIova(0n)), 0);
    assertEquals(domain.enforceCacheCoherency(), false);
    assertEquals(domain.owner.iommu.kernel.warnings.list.length, 2);
  });

  it("that does not tell what was written warns and is ENODEV", () => {
    const plain = bare({ pgsizeBitmap: BigInt(SMALL) });
    assertStrictEquals(plain.dirtyOps, undefined);
    const pgsizeBitmap = BigInt(SMALL);
    const domain = bare({ pgsizeBitmap, dirtyTracking: true });
    const { dirtyOps } = domain;
    dirtyOps!.setDirtyTracking(true);
    assertEquals(dirtyOps!.tracksDirty, true);
    const nobody = { isRecording: false, record() {} };
    const read = () => dirtyOps!.readAndClearDirty(0, SMALL, 0, nobody);
    assertStrictEquals(errnoOf(read), ENODEV);
    assertEquals(domain.owner.iommu.kernel.warnings.list.length, 1);
  });

  it("reads back frame numbers through iovaToPhys unless overridden", () => {
    const options = { owner: new TestOps(), pgsizeBitmap: BigInt(SMALL) };
    const domain = new TestDomain(options, "paging");
    iommuMap(domain, 0x10000, 7 * SMALL, 2 * SMALL, IOMMU_READ);
    iommuMap(domain, 0x12000, 3 * SMALL, SMALL, IOMMU_READ);
    const out = new Int32Array(5).fill(-1);
    domain.readPfns(toIova(0x10000n), 3, out, 1);
    assertEquals([...out], [-1, 7, 8, 3, -1]);
  });
});

describe("an MSI cookie", () => {
  it("can be had once, by the user of an unmanaged domain", () => {
    const domain = bare();
    domain.getMsiCookie(0x8000000n);
    assertEquals(domain.cookie, {
      kind: "msi",
      base: 0x8000000n,
      doorbells: new Map(),
    });
    assertStrictEquals(errnoOf(() => domain.getMsiCookie(0n)), EEXIST);
    assertStrictEquals(errnoOf(() => domain.getDmaCookie()), EEXIST);
    assertEquals(domain.isDmaDomain, false);
  });

  it("is EINVAL for the DMA API's domains and those that do not page", () => {
    const domain = bare();
    domain.getDmaCookie();
    assertEquals(domain.isDmaDomain, true);
    assertStrictEquals(errnoOf(() => domain.getMsiCookie(0n)), EINVAL);
    const { blockedDomain } = new TestOps();
    assertStrictEquals(errnoOf(() => blockedDomain!.getMsiCookie(0n)), EINVAL);
  });
});
