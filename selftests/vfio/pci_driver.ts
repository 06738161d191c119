// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `vfio_pci_driver_test`: a driver in user space has the device copy
 * memory and send messages, in every mode.
 *
 * @module
 */

import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertOk,
  type Context,
  type Fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { IgbDriver } from "../kit_vfio/igb_driver.ts";
import { IRQ } from "../kit_vfio/vfio_ioctls.ts";
import {
  type DmaRegion,
  IovaAllocator,
  needsOf,
  type TestIommu,
} from "./iommu.ts";
import {
  type DeviceSelf,
  MODE_VARIANTS,
  type ModeVariant,
  programFixture,
  setUpDevice,
  tearDownDevice,
} from "./programs.ts";

/** Bytes that are copied within, and bytes of the driver's own memory. */
const MEMORY = 2 ** 30;
const DRIVER_MEMORY = 2 ** 21;
/** Descriptors of a ring. */
const RING = 4096;
/** Bytes of a copy: four of the longest that the driver does at a time. */
const COPY = 4 * IgbDriver.MAX.size;
/** How often things are tried in turn. */
const ROUNDS = 10;

/** What the tests share. */
interface DriverSelf extends DeviceSelf {
  /** The driver; `init_remove` makes it anew. */
  driver: IgbDriver;
  readonly rings: DmaRegion;
  readonly memory: DmaRegion;
  /** Where nothing is mapped. */
  readonly unmapped: number;
}

/** Adds the fixture's tests to `registry`. */
export function registerVfioPciDriver(registry: Test[]): void {
  const f: Fixture<ModeVariant, DriverSelf> = programFixture(
    registry,
    "vfio_pci_driver_test",
    {
      program: "vfio_pci_driver_test",
      variants: MODE_VARIANTS,
      needs: ({ mode }) => ["memory_2g", ...needsOf(mode)],
      setup: (context, { mode }) => setUp(context, mode),
      teardown: tearDown,
    },
  );

  f.test("init_remove", {
    description: "A driver lets the device go and sets it up again",
    rules: ["X2.7"],
  }, async (self) => {
    for (let round = 0; round < ROUNDS; round++) {
      await removeDriver(self);
      self.driver = await initDriver(self);
    }
  });

  f.test("memcpy_success", {
    description: "The device copies memory, and sends no message",
    rules: ["X3.3"],
  }, async (self) => {
    await checkCopy(self);
    await assertMessages(self, 0);
  });

  f.test("memcpy_from_unmapped_iova", {
    description: "A copy from where nothing is mapped comes to an end",
    rules: ["X3.3"],
  }, async (self) => {
    await copy(self, self.unmapped, targetOf(self));
    await assertMessages(self, 0);
  });

  f.test("memcpy_to_unmapped_iova", {
    description: "A copy to where nothing is mapped comes to an end",
    rules: ["X3.3"],
  }, async (self) => {
    await copy(self, Number(self.memory.iova), self.unmapped);
    await assertMessages(self, 0);
  });

  f.test("send_msi", {
    description: "A message that the device sends counts once",
    rules: ["X3.4"],
  }, checkMessage);

  f.test("mix_and_match", {
    description: "Copies that work, that fail, and messages in turn",
    rules: ["X3.3", "X3.4"],
  }, async (self) => {
    for (let round = 0; round < ROUNDS; round++) {
      await checkCopy(self);
      await copy(self, self.unmapped, targetOf(self));
      await checkMessage(self);
    }
  });

  f.test("memcpy_storm", {
    description: "As many copies as the device takes are made at once",
    rules: ["X3.3"],
  }, async (self) => {
    const { size, count } = IgbDriver.MAX;
    const from = Number(self.memory.iova);
    await self.driver.startCopies(from, targetOf(self), size, count);
    assertEq(await self.driver.waitForCopies(), true, "all are done");
    await assertMessages(self, 0);
  });
}

async function setUp(
  context: Context,
  mode: ModeVariant["mode"],
): Promise<DriverSelf> {
  const self = await setUpDevice(context, mode);
  const { iommu } = self;
  const iovas = await IovaAllocator.of(iommu);
  const memory = await mapRegion(iommu, iovas, MEMORY);
  const rings = await mapRegion(iommu, iovas, DRIVER_MEMORY);
  const unmapped = Number(iovas.alloc(BigInt(MEMORY)));
  const driver = await initDriver({ ...self, rings });
  return { ...self, driver, rings, memory, unmapped };
}

async function tearDown(self: DriverSelf): Promise<void> {
  await removeDriver(self);
  const { iommu, memory, rings } = self;
  for (const region of [memory, rings]) {
    await iommu.unmap(region);
    const ret = await iommu.process.munmap(region.vaddr, Number(region.length));
    assertEq(ret, 0, "munmap");
  }
  await tearDownDevice(self);
}

/** Sets the device up, with an eventfd for its message. */
async function initDriver(
  { device, rings }: Pick<DriverSelf, "device" | "rings">,
): Promise<IgbDriver> {
  await device.enableIrqs(IRQ.MSIX, 1);
  const memory = { memory: rings.vaddr, iova: Number(rings.iova), ring: RING };
  return await IgbDriver.start(device.file, memory);
}

async function removeDriver({ driver, device }: DriverSelf): Promise<void> {
  await driver.stop();
  await device.disableIrqs(IRQ.MSIX);
}

/** Memory that is mapped for the device. */
async function mapRegion(
  iommu: TestIommu,
  iovas: IovaAllocator,
  length: number,
): Promise<DmaRegion> {
  const vaddr = await mapShared(iommu.process, length);
  const bytes = BigInt(length);
  const region = { vaddr, length: bytes, iova: iovas.alloc(bytes) };
  await iommu.map(region);
  return region;
}

async function mapShared(
  process: TargetProcess,
  length: number,
): Promise<number> {
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  return assertOk(await process.mmap(0, length, prot, flags), "mmap");
}

/** Where copies go: behind what is copied. */
function targetOf({ memory }: DriverSelf): number {
  return Number(memory.iova) + COPY;
}

/** Copies piece by piece, up to one that fails; then the device is set up again. Returns whether all were copied. */
async function copy(
  { driver, device }: DriverSelf,
  from: number,
  to: number,
): Promise<boolean> {
  const { size } = IgbDriver.MAX;
  for (let done = 0; done < COPY; done += size) {
    if (await driver.copy(from + done, to + done, size)) continue;
    await driver.recover(device.eventfds.get(0)!);
    return false;
  }
  return true;
}

/** Copies, and looks at what came. */
async function checkCopy(self: DriverSelf): Promise<void> {
  const { memory, device: { process } } = self;
  const [x, y] = ["x", "y"].map((text) =>
    new Uint8Array(COPY).fill(text.charCodeAt(0))
  );
  await process.poke(memory.vaddr, x!);
  await process.poke(memory.vaddr + COPY, y!);
  const done = await copy(self, Number(memory.iova), targetOf(self));
  assertEq(done, true, "the copy is done");
  const copied = await process.peek(memory.vaddr + COPY, COPY);
  assertBytes(copied, x!, "what was copied");
}

/** Has the device send a message. */
async function checkMessage(self: DriverSelf): Promise<void> {
  await self.driver.interrupt();
  await assertMessages(self, 1);
}

async function assertMessages(
  { device }: DriverSelf,
  count: number,
): Promise<void> {
  assertEq(await device.counted(0), count, "messages");
}
