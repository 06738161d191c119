// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `vfio_dma_mapping_mmio_test`: a BAR is mapped for a device, which
 * VFIO's own container does, and iommufd does not.
 *
 * @module
 */

import { EFAULT } from "../../impl/uapi/errno.ts";
import {
  assertEq,
  assertErrno,
  assertTrue,
  type Fixture,
  type Test,
} from "../harness/harness.ts";
import { IovaAllocator } from "./iommu.ts";
import { mapRegion, type TestBar } from "./pci_device.ts";
import {
  deviceFixture,
  type DeviceSelf,
  MODE_VARIANTS,
  type ModeVariant,
} from "./programs.ts";

/** The longest part of a BAR that is mapped for a test, and what its address is no multiple of. */
const GIB = 2 ** 30;
const PAGE = 4096;
/** Flags of a region: it can be read and written. */
const READ_WRITE = 3;

/** Adds the fixture's tests to `registry`. */
export function registerVfioDmaMappingMmio(registry: Test[]): void {
  const f: Fixture<ModeVariant, DeviceSelf> = deviceFixture(
    registry,
    "vfio_dma_mapping_mmio_test",
    "vfio_dma_mapping_mmio_test",
    MODE_VARIANTS,
  );

  f.test("map_full_bar", {
    description: "A whole BAR is mapped for DMA by VFIO's own container alone",
    rules: ["X7.5"],
  }, async (self) => {
    const { info, vaddr } = largestBar(self);
    await checkMap(self, vaddr!, Number(info.length));
  });

  f.test("map_partial_bar", {
    description: "A page of a BAR is mapped by VFIO's own container alone",
    rules: ["X7.5"],
  }, async (self) => {
    const { info, vaddr } = largestBar(self);
    assertTrue(Number(info.length) >= 2 * PAGE, "the BAR has several pages");
    await checkMap(self, vaddr!, PAGE);
  });

  f.test("map_bar_misaligned", {
    description:
      "A BAR at an address between huge pages is mapped by VFIO's own container alone",
    rules: ["X7.5"],
  }, async (self) => {
    const { file, process } = self.device;
    const { info } = largestBar(self);
    const length = Math.min(Number(info.length), GIB);
    const place = { length, align: GIB, offset: PAGE };
    const vaddr = await mapRegion(file, info, place);
    await checkMap(self, vaddr, length);
    assertEq(await process.munmap(vaddr, length), 0, "munmap");
  });
}

/** The largest BAR that is mapped, and can be read and written. */
function largestBar({ device }: DeviceSelf): TestBar {
  const [largest] = device.bars
    .filter(({ info, vaddr }) =>
      vaddr !== undefined && (info.flags & READ_WRITE) === READ_WRITE
    )
    .toSorted((a, b) => Number(b.info.length - a.info.length));
  assertTrue(largest !== undefined, "a BAR can be mapped");
  return largest!;
}

/**
 * VFIO's own container maps a BAR. iommufd refuses it, also in that one's
 * place, where Linux's program fails for it.
 */
async function checkMap(
  { iommu, context }: DeviceSelf,
  vaddr: number,
  bytes: number,
): Promise<void> {
  const iovas = await IovaAllocator.of(iommu);
  const length = BigInt(bytes);
  const region = { vaddr, length, iova: iovas.alloc(length) };
  const ret = await iommu.tryMap(region);
  if (iommu.mode.container !== "/dev/vfio/vfio") {
    assertTrue(ret < 0, "mapping of a BAR fails");
    return;
  }
  if (context.info.capabilities.includes("type1_container")) {
    assertEq(ret, 0, "mapping of a BAR");
    await iommu.unmap(region);
    return;
  }
  assertErrno(ret, EFAULT, "mapping of a BAR by an iommufd");
  context.note("/dev/vfio/vfio is an iommufd: Linux's program fails there");
}
