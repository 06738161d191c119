// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelCore } from "../../kernel/core.ts";
import type { Frames } from "../../kernel/simulated/pages/frames.ts";
import type { Pfn } from "../../lib/brands.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { attachDevicePasid, attachGroupHandle } from "../attach.ts";
import { deviceClaimDmaOwner } from "../dma_owner.ts";
import type { Device } from "../device.ts";
import {
  Domain,
  type DomainOptions,
  type DomainType,
  IOMMU_READ,
  IOMMU_WRITE,
} from "../domain.ts";
import { AttachHandle } from "../group.ts";
import { probeDevice } from "../probe.ts";
import { TestDevice, TestOps } from "../testing/test_driver.ts";
import { Dma, DmaFault } from "./dma.ts";

const HALF = PAGE_SIZE / 2;
const PASID = 5;

/** A domain with a table: physical addresses by IOVA, of half a page each. It notes what it blocks. */
class HalfPages extends Domain {
  override readonly type: DomainType;
  readonly table = new Map<number, number>();
  readonly blockedAt: [string, number, number][] = [];

  constructor(options: DomainOptions, type: DomainType = "paging") {
    super({ pgsizeBitmap: BigInt(HALF), ...options });
    this.type = type;
  }

  override attachDev(): void {}

  override setDevPasid(): void {}

  override iovaToPhys(iova: number): number {
    return this.table.get(iova) ?? 0;
  }

  override blocked(dev: Device, { access, iova }: DmaFault): void {
    this.blockedAt.push([dev.name, access, iova]);
  }
}

/** A device that is attached to a domain; two pages of memory, the halves of which the domain has in another order, with a hole. */
class Bench {
  readonly ops = new TestOps(new KernelCore({ memory: 2 ** 22 }));
  readonly dev = new TestDevice(this.ops, "a");
  readonly domain = new HalfPages({ owner: this.ops });
  readonly pfns: readonly Pfn[];

  constructor() {
    const { dev, ops, domain } = this;
    dev.maxPasids = 8;
    probeDevice(dev);
    deviceClaimDmaOwner(dev, this);
    attachGroupHandle(domain, dev.group!, new AttachHandle());
    const frames = ops.iommu.kernel.frames as Frames;
    this.pfns = [frames.alloc() as Pfn, frames.alloc() as Pfn];
    const at = (half: number) =>
      this.pfns[half >> 1]! * PAGE_SIZE + half % 2 * HALF;
    [2, 1, 0].forEach((half, i) => domain.table.set(i * HALF, at(half)));
  }

  /** A byte of memory, counted over both pages. */
  readonly byte = (at: number): number => {
    const byte = new Uint8Array(1);
    const pfn = this.pfns[Math.floor(at / PAGE_SIZE)]!;
    this.ops.iommu.kernel.frames.read(pfn, at % PAGE_SIZE, byte);
    return byte[0]!;
  };
}

describe("the DMA of a device", () => {
  it("goes where its domain says, by pieces of the domain's smallest page", () => {
    const { dev, byte } = new Bench();
    const bytes = Uint8Array.from({ length: 2 * HALF }, (_, i) => i % 251);
    dev.dma.write(HALF - 1, bytes);
    assertEquals(byte(2 * HALF + HALF - 1), bytes[0], "the end of half 2");
    assertEquals(byte(HALF), bytes[1], "half 1");
    assertEquals(byte(0), bytes[1 + HALF], "half 0");
    const back = new Uint8Array(bytes.length);
    dev.dma.read(HALF - 1, back);
    assertEquals(back, bytes);
  });

  it("stops where it is blocked, tells what it did not reach, and the domain", () => {
    const { dev, domain, byte } = new Bench();
    const iova = 3 * HALF - 1;
    const fault = assertThrows(
      () => dev.dma.write(iova, Uint8Array.of(7, 8)),
      DmaFault,
      "The device cannot write IOVA 0x1800: the IOMMU blocks it",
    );
    assertEquals([fault.iova, fault.access], [3 * HALF, IOMMU_WRITE]);
    assertEquals(byte(HALF - 1), 7, "what comes before is done");
    assertEquals(domain.blockedAt, [["a", IOMMU_WRITE, 3 * HALF]]);
  });

  it("has a domain for each PASID", () => {
    const { dev, domain, ops } = new Bench();
    const other = new HalfPages({ owner: ops });
    other.table.set(0, domain.table.get(HALF)!);
    attachDevicePasid(other, dev, PASID, new AttachHandle());
    dev.dma.write(0, Uint8Array.of(1));
    dev.dma.write(0, Uint8Array.of(2), PASID);
    const seen = new Uint8Array(1);
    dev.dma.read(HALF, seen);
    assertEquals(seen[0], 2);
    assertThrows(() => dev.dma.read(0, seen, PASID + 1), DmaFault);
  });

  it("is blocked where a domain maps nothing, and what is nobody's in one of identity", () => {
    const { dev, ops, pfns } = new Bench();
    const address = pfns[0]! * PAGE_SIZE;
    for (const type of ["blocked", "nested", "identity"] as const) {
      const domain = new HalfPages({ owner: ops }, type);
      assertEquals(domain.translate(address, IOMMU_READ), undefined, type);
    }
    const { count } = ops.iommu.kernel.frames;
    const identity = new HalfPages({ owner: ops }, "identity");
    assertEquals(identity.translate(count * PAGE_SIZE, IOMMU_READ), undefined);
    assertEquals(dev.translation(PASID), undefined);
  });

  it("copies from one IOVA to another", () => {
    const { dev, byte } = new Bench();
    dev.dma.write(0, Uint8Array.of(1, 2, 3));
    dev.dma.copy(0, 2 * HALF, 3);
    assertEquals([0, 1, 2].map(byte), [1, 2, 3]);
  });
});

describe("what an IOMMU itself reads through a domain", () => {
  it("is found as a device's DMA is, and blocked without a word", () => {
    const { dev, domain } = new Bench();
    dev.dma.write(HALF, Uint8Array.of(9));
    const bytes = new Uint8Array(1);
    Dma.through(domain).read(HALF, bytes);
    assertEquals(bytes[0], 9);
    assertThrows(() => Dma.through(domain).read(8 * HALF, bytes), DmaFault);
    assertEquals(domain.blockedAt, []);
  });
});
