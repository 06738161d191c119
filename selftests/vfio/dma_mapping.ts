// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixtures `vfio_dma_mapping_test` and `vfio_dma_map_limit_test` of
 * vfio_dma_mapping_test.c: memory is mapped for a device, in every mode.
 *
 * @module
 */

import { EOVERFLOW } from "../../impl/uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  type Fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import type { Need } from "../target/capabilities.ts";
import { type DmaRegion, IOMMU_MODES, IovaAllocator } from "./iommu.ts";
import {
  deviceFixture,
  type DeviceSelf,
  MODE_VARIANTS,
  type ModeVariant,
} from "./programs.ts";

/** Where flags of mmap have the logarithm of the size of a huge page. */
const MAP_HUGE_SHIFT = 26;
const PAGE = 4096;

/** Memory of a kind. */
interface Memory {
  /** Bytes. */
  readonly length: number;
  /** `MAP_*`, beside those that all have. */
  readonly flags: number;
  /** What it needs of the target. */
  readonly needs: readonly Need[];
}

/** A mode, and what is mapped. */
interface MappingVariant extends ModeVariant {
  readonly memory: Memory;
}

/** Kinds of memory by their names. */
const MEMORY: Readonly<Record<string, Memory>> = {
  anonymous: { length: PAGE, flags: 0, needs: [] },
  anonymous_hugetlb_2mb: hugePage(21, ["hugetlb"]),
  anonymous_hugetlb_1gb: hugePage(30, ["hugetlb_1g"]),
};

function hugePage(shift: number, needs: readonly Need[]): Memory {
  const flags = MAP_HUGETLB | shift << MAP_HUGE_SHIFT;
  return { length: 2 ** shift, flags, needs };
}

/** Adds the fixtures' tests to `registry`. */
export function registerVfioDmaMapping(registry: Test[]): void {
  const variants = Object.fromEntries(
    Object.entries(MEMORY).flatMap(([name, memory]) =>
      Object.entries(IOMMU_MODES).map((
        [mode, how],
      ) => [`${mode}_${name}`, { mode: how, memory }])
    ),
  );
  const f: Fixture<MappingVariant, DeviceSelf> = deviceFixture(
    registry,
    "vfio_dma_mapping_test",
    "vfio_dma_mapping_test",
    variants,
    ({ memory }) => memory.needs,
  );
  f.test("dma_map_unmap", {
    description: "Memory of each kind is mapped, and unmapped as long as it is",
    rules: ["X7.2"],
  }, async ({ iommu }, { memory: { length, flags } }) => {
    const { process } = iommu;
    const iovas = await IovaAllocator.of(iommu);
    const vaddr = await mapMemory(process, length, flags);
    const region = regionAt(vaddr, length, iovas.alloc(BigInt(length)));
    await iommu.map(region);
    assertEq(await iommu.unmap(region), region.length, "bytes unmapped");
    assertEq(await process.munmap(vaddr, length), 0, "munmap");
  });

  registerLimits(registry);
}

function registerLimits(registry: Test[]): void {
  const f: Fixture<ModeVariant, DeviceSelf> = deviceFixture(
    registry,
    "vfio_dma_map_limit_test",
    "vfio_dma_mapping_test",
    MODE_VARIANTS,
  );

  /** The last page that can be mapped, and memory for it. */
  async function withLastPage(
    { iommu }: DeviceSelf,
    body: (region: DmaRegion) => Promise<void>,
  ): Promise<void> {
    const { process } = iommu;
    const vaddr = await mapMemory(process, 2 * PAGE, 0);
    const { last } = (await iommu.ranges()).at(-1)!;
    await body(regionAt(vaddr, PAGE, last - last % BigInt(PAGE)));
    assertEq(await process.munmap(vaddr, 2 * PAGE), 0, "munmap");
  }

  f.test("unmap_range", {
    description: "The last page of IOVA is mapped, and unmapped",
    rules: ["X7.2"],
  }, (self) =>
    withLastPage(self, async (region) => {
      await self.iommu.map(region);
      assertEq(await self.iommu.unmap(region), region.length, "unmapped");
    }));

  f.test("unmap_all", {
    description: "The last page of IOVA is mapped, and unmapped with all",
    rules: ["X7.2"],
  }, (self) =>
    withLastPage(self, async (region) => {
      await self.iommu.map(region);
      assertEq(await self.iommu.unmapAll(), region.length, "unmapped");
    }));

  f.test("overflow", {
    description: "What ends beyond 2^64 is neither mapped nor unmapped",
    rules: ["X7.2"],
  }, (self) =>
    withLastPage(self, async ({ vaddr }) => {
      const iova = 2n ** 64n - BigInt(PAGE);
      const region = regionAt(vaddr, 2 * PAGE, iova);
      assertErrno(await self.iommu.tryMap(region), EOVERFLOW, "mapping");
      await self.iommu.unmap(region, EOVERFLOW);
    }));
}

/** Private memory. */
async function mapMemory(
  process: TargetProcess,
  length: number,
  flags: number,
): Promise<number> {
  const prot = PROT_READ | PROT_WRITE;
  const all = MAP_PRIVATE | MAP_ANONYMOUS | flags;
  return assertOk(await process.mmap(0, length, prot, all), "mmap");
}

function regionAt(vaddr: number, length: number, iova: bigint): DmaRegion {
  return { vaddr, length: BigInt(length), iova };
}
