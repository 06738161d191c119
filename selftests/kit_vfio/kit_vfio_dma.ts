// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_dma`: a device does DMA through what it is attached to,
 * and sends interrupts.
 *
 * @module
 */

import { EAGAIN } from "../../impl/uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "../../impl/uapi/iommufd.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type Test,
} from "../harness/harness.ts";
import { hwptAlloc } from "../ioctls/hwpt_ioctls.ts";
import { IRQ, SET, VFIO } from "./vfio_ioctls.ts";
import { IgbDriver } from "./igb_driver.ts";
import { vfioFixture, type VfioSelf } from "./kit_vfio_device.ts";

/** Pages of memory: two of rings, two to copy from and to. */
const PAGES = 4;
/** Descriptors of a ring, which is a page. */
const RING = 256;
/** Where they are mapped. */
const IOVA = 0x100000;
const [SOURCE, TARGET] = [IOVA + 0x2000, IOVA + 0x3000];
/** Where one of them is mapped once more. */
const AGAIN = 0x200000;
/** Nothing is mapped there. */
const NOWHERE = 0x900000;

/** The driver at work: its memory, and an eventfd of vector 0. */
interface Bench extends VfioSelf {
  readonly driver: IgbDriver;
  readonly memory: number;
  readonly eventfd: number;
}

/** Puts the driver to work, and ends it. */
async function withDriver(
  self: VfioSelf,
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  const { io, device, ioasId } = self;
  const prot = PROT_READ | PROT_WRITE;
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  const length = PAGES * 4096;
  const memory = assertOk(
    await io.process.mmap(0, length, prot, flags),
    "mmap",
  );
  await device.attach(ioasId);
  await io.mapFixed(ioasId, memory, length, BigInt(IOVA));
  const eventfd = assertOk(await io.process.eventfd(0, 0x800), "eventfd");
  const connect = { flags: SET.EVENTFD | SET.TRIGGER, index: IRQ.MSIX };
  await device.setIrqs({ ...connect, count: 1 }, [eventfd]);
  const driver = await IgbDriver.start(device, {
    memory,
    iova: IOVA,
    ring: RING,
  });
  await body({ ...self, driver, memory, eventfd });
  await driver.stop();
  await device.setIrqs({ flags: SET.NONE | SET.TRIGGER, index: IRQ.MSIX });
  await device.detach();
  assertEq(await io.process.munmap(memory, length), 0, "munmap");
}

/** What the eventfd counted. */
async function counted({ io, eventfd }: Bench): Promise<number> {
  const bytes = new Uint8Array(8);
  const ret = await io.process.read(eventfd, bytes);
  if (ret === 8) return bytes[0]!;
  assertErrno(ret, EAGAIN, "read of an eventfd");
  return 0;
}

/** Asserts that bytes are not those of a pattern. */
function assertUnlike(
  actual: Uint8Array,
  unwanted: Uint8Array,
  what: string,
): void {
  const same = actual.every((byte, i) => byte === unwanted[i]);
  assertEq(same, false, `${what} is what may not be read`);
}

/** Bytes that are unlike others. */
function pattern(seed: number): Uint8Array {
  return Uint8Array.from({ length: 1024 }, (_, i) => i * 7 + seed);
}

/** Maps a page of memory once more, for one access, at {@link AGAIN}. */
async function mapAgain(
  { io, ioasId }: Bench,
  memory: number,
  access: number,
): Promise<void> {
  await io.mapFixed(ioasId, memory, 4096, BigInt(AGAIN), undefined, access);
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioDma(registry: Test[]): void {
  const f = vfioFixture(registry, "kit_vfio_dma");

  f.test("copy", {
    description: "A device reads and writes memory through its IOAS",
    reference: "vfio_pci_driver_test.c memcpy_success",
    rules: ["X3.3"],
  }, (self) =>
    withDriver(self, async ({ io, driver, memory }) => {
      for (let round = 0; round < 3; round++) {
        const bytes = pattern(round);
        await io.process.poke(memory + 0x2000, bytes);
        assertEq(await driver.copy(SOURCE, TARGET, 1024), true, "done");
        const copied = await io.process.peek(memory + 0x3000, 1024);
        assertBytes(copied, bytes, `round ${round}`);
      }
    }));

  f.test("blocked", {
    description: "DMA from and to what is not mapped does nothing",
    reference: "vfio_pci_driver_test.c memcpy_from_unmapped_iova",
    rules: ["X3.3"],
  }, (self) =>
    withDriver(self, async ({ io, driver, memory }) => {
      const bytes = pattern(9);
      await io.process.poke(memory + 0x2000, bytes);
      // Whether it says that it is done is up to the device: QEMU's does.
      await driver.copy(NOWHERE, TARGET, 1024);
      const target = await io.process.peek(memory + 0x3000, 1024);
      assertUnlike(target, bytes, "what came");
    }));

  f.test("unmapped", {
    description: "What was mapped is not reached after the unmap",
    rules: ["X3.3"],
  }, (self) =>
    withDriver(self, async ({ io, driver, memory, ioasId }) => {
      const flags = MAP_SHARED | MAP_ANONYMOUS;
      const prot = PROT_READ | PROT_WRITE;
      const other = assertOk(await io.process.mmap(0, 4096, prot, flags), "");
      const at = BigInt(NOWHERE);
      await io.mapFixed(ioasId, other, 4096, at);
      await io.process.poke(memory + 0x2000, pattern(1));
      assertEq(await driver.copy(SOURCE, NOWHERE, 1024), true, "mapped");
      assertBytes(await io.process.peek(other, 1024), pattern(1), "copied");
      await io.unmap(ioasId, at, 4096);
      await io.process.poke(memory + 0x2000, pattern(2));
      await driver.copy(SOURCE, NOWHERE, 1024);
      assertBytes(await io.process.peek(other, 1024), pattern(1), "as it was");
      assertEq(await io.process.munmap(other, 4096), 0, "munmap");
    }));

  f.test("read_only", {
    description: "Memory that is mapped for reading is not written",
    rules: ["X3.3"],
  }, (self) =>
    withDriver(self, async (bench) => {
      const { io, driver, memory } = bench;
      const [from, to] = [memory + 0x2000, memory + 0x3000];
      await mapAgain(bench, to, IOMMU_IOAS_MAP_READABLE);
      await io.process.poke(from, pattern(3));
      await driver.copy(SOURCE, AGAIN, 1024);
      assertBytes(await io.process.peek(to, 1024), new Uint8Array(1024), "");
    }));

  f.test("write_only", {
    description: "Memory that is mapped for writing is not read",
    // Before it, Intel's driver let a device read all that it may write.
    since: "7.3",
    rules: ["X3.3"],
  }, (self) =>
    withDriver(self, async (bench) => {
      const { io, driver, memory } = bench;
      const [from, to] = [memory + 0x2000, memory + 0x3000];
      await mapAgain(bench, from, IOMMU_IOAS_MAP_WRITEABLE);
      await io.process.poke(from, pattern(3));
      await driver.copy(AGAIN, TARGET, 1024);
      assertUnlike(await io.process.peek(to, 1024), pattern(3), "no read");
    }));

  f.test("message", {
    description: "A message of the device counts once, and copies none",
    rules: ["X3.4"],
  }, (self) =>
    withDriver(self, async (bench) => {
      const { driver } = bench;
      assertEq(await driver.copy(SOURCE, TARGET, 64), true, "a copy");
      assertEq(await counted(bench), 0, "is silent");
      await driver.interrupt();
      assertEq(await counted(bench), 1, "one message");
    }));

  f.test(
    "detached",
    {
      description: "A device that is detached reaches nothing",
      rules: ["X3.3"],
    },
    (self) =>
      withDriver(
        self,
        async ({ io, device, devId, driver, memory, ioasId }) => {
          await io.process.poke(memory + 0x2000, pattern(5));
          const hwptId = await hwptAlloc(io, { devId, ptId: ioasId });
          await device.attach(hwptId);
          assertEq(await driver.copy(SOURCE, TARGET, 1024), true, "attached");
          await device.detach();
          assertEq(await driver.copy(SOURCE, TARGET, 1024), false, "blocked");
          await device.attach(ioasId);
          await io.destroy(hwptId);
        },
      ),
  );

  f.test("reset", {
    description: "A reset device does no DMA until it is set up again",
    rules: ["X3.3"],
  }, (self) =>
    withDriver(self, async ({ io, device, driver }) => {
      const ret = await io.process.ioctlArg(device.fd, VFIO.RESET, 0);
      assertEq(ret, 0, "RESET");
      assertEq(await driver.copy(SOURCE, TARGET, 1024), false, "not set up");
    }));
}
