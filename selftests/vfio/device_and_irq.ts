// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixtures `vfio_pci_device_test` and `vfio_pci_irq_test` of
 * vfio_pci_device_test.c, and `vfio_pci_device_init_perf_test`, whose program
 * takes the time of what every test begins with.
 *
 * @module
 */

import {
  assertEq,
  assertTrue,
  type Fixture,
  type Test,
} from "../harness/harness.ts";
import { IRQ } from "../kit_vfio/vfio_ioctls.ts";
import { IOMMU_MODES } from "./iommu.ts";
import {
  deviceFixture,
  type DeviceSelf,
  MODE_VARIANTS,
  type ModeVariant,
  programFixture,
  setUpDevice,
  tearDownDevice,
} from "./programs.ts";

/** Configuration space: the command register, and its bit for DMA. */
const PCI_COMMAND = 4;
const PCI_COMMAND_MASTER = 4;
/** Flags of GET_INFO and GET_REGION_INFO. */
const CAN_RESET = 1;
const REGION_MMAP = 4;
/** An 82576, which is what the target says that there is. */
const IDS = 0x10c98086;
/** The most vectors that are tried. */
const MAX_VECTORS = 16;

/** Which interrupts a variant is about. */
interface IrqVariant {
  readonly index: typeof IRQ.MSI | typeof IRQ.MSIX;
}

/** Adds the fixtures' tests to `registry`. */
export function registerVfioPciDevice(registry: Test[]): void {
  const program = "vfio_pci_device_test";
  const shared = {
    program,
    setup: (context: DeviceSelf["context"]) =>
      setUpDevice(context, IOMMU_MODES.iommufd!),
    teardown: tearDownDevice,
  } as const;
  const f: Fixture<undefined, DeviceSelf> = programFixture(
    registry,
    "vfio_pci_device_test",
    shared,
  );

  f.test("config_space_read_write", {
    description:
      "Configuration space has the ids, and the bit for DMA can be changed",
    rules: ["X2.5"],
  }, async ({ device: { file } }) => {
    assertEq(await file.config(0, 4), IDS, "ids");
    const command = await file.config(PCI_COMMAND, 2);
    assertEq(command & PCI_COMMAND_MASTER, 0, "no DMA at first");
    for (const value of [PCI_COMMAND_MASTER, 0]) {
      const rest = command & ~PCI_COMMAND_MASTER;
      await file.setConfig(PCI_COMMAND, 2, rest | value);
      const now = await file.config(PCI_COMMAND, 2);
      assertEq(now & PCI_COMMAND_MASTER, value, "as it was written");
    }
  });

  f.test("validate_bars", {
    description: "BARs that can be mapped were",
    rules: ["X2.2"],
  }, ({ device: { bars } }) => {
    for (const [index, { info, vaddr }] of bars.entries()) {
      const can = (info.flags & REGION_MMAP) !== 0;
      assertEq(vaddr !== undefined, can, `BAR ${index} is mapped`);
      assertTrue(!can || info.length > 0n, `BAR ${index} has a size`);
    }
    return Promise.resolve();
  });

  f.test("reset", {
    description: "A device can be reset",
    rules: ["X2.7"],
  }, async ({ device }) => {
    assertEq(device.flags & CAN_RESET, CAN_RESET, "flag RESET");
    await device.reset();
  });

  const variants = { msi: { index: IRQ.MSI }, msix: { index: IRQ.MSIX } };
  const irqs: Fixture<IrqVariant, DeviceSelf> = programFixture(
    registry,
    "vfio_pci_irq_test",
    { ...shared, variants },
  );
  irqs.test("enable_trigger_disable", {
    description: "Each vector counts what it is triggered",
    rules: ["X3.1"],
  }, async ({ device }, { index }) => {
    const count = Math.min(device.vectors[index], MAX_VECTORS);
    assertTrue(count > 0, "there is a vector");
    await device.enableIrqs(index, count);
    for (let vector = 0; vector < count; vector++) {
      assertEq(await device.counted(vector), 0, "nothing yet");
      await device.triggerIrq(index, vector);
      assertEq(await device.counted(vector), 1, "one interrupt");
    }
    await device.disableIrqs(index);
  });
}

/** Adds the fixture's tests to `registry`. */
export function registerVfioInitPerf(registry: Test[]): void {
  const f: Fixture<ModeVariant, DeviceSelf> = deviceFixture(
    registry,
    "vfio_pci_device_init_perf_test",
    "vfio_pci_device_init_perf_test",
    MODE_VARIANTS,
  );
  f.test("init", {
    description: "A device is opened, and its BARs are mapped, in every mode",
    rules: ["X1.2", "X2.2"],
  }, async () => {});
}
