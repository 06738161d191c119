// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_region`: regions by pread, pwrite and mmap, and what is
 * left of them while the device's memory is off.
 *
 * @module
 */

import { EINVAL, EIO, ENOMEM, ESPIPE } from "../../impl/uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
  type Table,
  type Test,
} from "../harness/harness.ts";
import { REGION, type VfioFile } from "./vfio_ioctls.ts";
import { vfioFixture, type VfioSelf } from "./kit_vfio_device.ts";

/** Bytes of BAR 0. */
const BAR0 = 0x20000;
/** A register that always reads the same: STATUS. */
const STATUS = 8;
/** The command register, and its bit for memory. */
const COMMAND = 4;

/** Maps a part of a region; returns the result. */
function map(
  { process, fd }: VfioFile,
  index: number,
  length: number,
  offset = 0,
  flags: number = MAP_SHARED,
): Promise<number> {
  const prot = PROT_READ | PROT_WRITE;
  return process.mmap(0, length, prot, flags, fd, index * 2 ** 40 + offset);
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioRegion(registry: Test[]): void {
  const f = vfioFixture(registry, "kit_vfio_region");

  f.table("access", {
    description: "pread and pwrite of a region end with it",
    rules: ["X2.1"],
  }, access);

  f.test("position", {
    description: "read goes on from where the last one ended; no seek",
    rules: ["X2.1"],
  }, async ({ device }) => {
    const { process, fd } = device;
    const all = new Uint8Array(16);
    assertEq(await device.pread(REGION.BAR0, 0, all), 16, "pread");
    const part = new Uint8Array(8);
    for (const at of [0, 8]) {
      assertEq(await process.read(fd, part), 8, "read");
      assertBytes(part, all.subarray(at, at + 8), `bytes from ${at} on`);
    }
    assertErrno(await process.lseek(fd, 0, 0), ESPIPE, "lseek");
  });

  f.table("mmap", {
    description: "BARs with memory can be mapped, as a whole or in part",
    rules: ["X2.2"],
  }, mappings);

  f.test("mmap_is_the_bar", {
    description: "A mapping and pread show the same",
    rules: ["X2.2"],
  }, async ({ device }) => {
    const address = assertOk(await map(device, REGION.BAR0, BAR0), "mmap");
    const loaded = await device.process.peek(address + STATUS, 4);
    const value = new DataView(loaded.buffer).getUint32(0, true);
    assertEq(value, await device.load(REGION.BAR0, STATUS, 4), "STATUS");
    // GPIE, which nothing else looks at while it is alone.
    await device.process.poke(address + 0x1514, Uint8Array.of(0x10, 0, 0, 0));
    assertEq(await device.load(REGION.BAR0, 0x1514, 4), 0x10, "a store");
    assertEq(await device.process.munmap(address, BAR0), 0, "munmap");
  });

  f.test("memory_off", {
    description: "While memory is off there is none, and the same after",
    rules: ["X2.3"],
  }, async ({ device }) => {
    const { process } = device;
    const address = assertOk(await map(device, REGION.BAR0, 4096), "mmap");
    const before = await process.peek(address + STATUS, 4);
    await device.setConfig(COMMAND, 2, 1);
    await device.noAccess(REGION.BAR0, STATUS, 4, EIO);
    await device.load(2, 0, 4);
    await assertNoMemory(device, address + STATUS);
    const other = assertOk(await map(device, REGION.BAR0, 4096), "mmap");
    await assertNoMemory(device, other + STATUS);
    await device.setConfig(COMMAND, 2, 0);
    await device.load(2, 0, 4);
    await device.setConfig(COMMAND, 2, 3);
    assertBytes(await process.peek(address + STATUS, 4), before, "as before");
    assertBytes(await process.peek(other + STATUS, 4), before, "there too");
    for (const each of [address, other]) {
      assertEq(await process.munmap(each, 4096), 0, "munmap");
    }
  });

  f.test("power_off", {
    description: "In the power state D3hot memory is off",
    rules: ["X2.3"],
  }, async ({ device }) => {
    const at = await device.capability(1) + 4;
    await device.setConfig(at, 2, 3);
    assertEq(await device.config(at, 2) & 3, 3, "D3hot");
    await device.noAccess(REGION.BAR0, STATUS, 4, EIO);
    await device.setConfig(at, 2, 0);
    assertEq(await device.config(at, 2) & 3, 0, "D0");
    await device.load(REGION.BAR0, STATUS, 4);
  });
}

/** A load there is a bus error. */
async function assertNoMemory(
  { process }: VfioFile,
  address: number,
): Promise<void> {
  const error = await process.peek(address, 4).then(
    () => undefined,
    (error: unknown) => error,
  );
  assertTrue(error !== undefined, "a load of what is not there fails");
}

function access(t: Table<VfioSelf>): void {
  const reads: [string, number, number, number, number][] = [
    ["4 bytes", REGION.BAR0, 8, 4, 4],
    ["8 bytes", REGION.BAR0, 8, 8, 8],
    ["across the end", REGION.BAR0, BAR0 - 4, 8, 4],
    ["ports", 2, 0, 4, 4],
    ["nothing of nothing", 9, 0, 0, 0],
  ];
  for (const [what, index, at, count, ret] of reads) {
    t.case(what, async ({ device }) => {
      const bytes = new Uint8Array(count);
      assertEq(await device.pread(index, at, bytes), ret, "pread");
    });
  }
  const refused: [string, number, number][] = [
    ["at the end", REGION.BAR0, BAR0],
    ["no BAR", 4, 0],
    ["no ROM", REGION.ROM, 0],
    ["no VGA", REGION.VGA, 0],
    ["no region", 9, 0],
  ];
  for (const [what, index, at] of refused) {
    t.case(what, ({ device }) => device.noAccess(index, at, 4, EINVAL));
  }
  t.case("the table of MSI-X is hidden", async ({ device }) => {
    await device.store(3, 0, 4, 0x12345678);
    assertEq(await device.load(3, 0, 4), 0xffffffff, "ones");
    const bytes = new Uint8Array(32);
    assertEq(await device.pread(3, 10 * 16 - 16, bytes), 32, "across its end");
    assertBytes(bytes.subarray(0, 16), new Uint8Array(16).fill(0xff), "ones");
    assertBytes(bytes.subarray(16), new Uint8Array(16), "behind it");
  });
}

function mappings(t: Table<VfioSelf>): void {
  const allowed: [string, number, number, number][] = [
    ["BAR 0", REGION.BAR0, BAR0, 0],
    ["its last page", REGION.BAR0, 4096, BAR0 - 4096],
    ["that of MSI-X", 3, 0x4000, 0],
  ];
  for (const [what, index, length, offset] of allowed) {
    t.case(what, async ({ device }) => {
      const ret = await map(device, index, length, offset);
      const address = assertOk(ret, "mmap");
      assertEq(await device.process.munmap(address, length), 0, "munmap");
    });
  }
  const refused: [string, number, number, number][] = [
    ["too long", REGION.BAR0, BAR0 + 4096, 0],
    ["too far", REGION.BAR0, BAR0, 4096],
    ["ports", 2, 4096, 0],
    ["no BAR", 4, 4096, 0],
    ["no ROM", REGION.ROM, 4096, 0],
    ["configuration space", REGION.CONFIG, 4096, 0],
    ["no VGA", REGION.VGA, 4096, 0],
    ["no region", 9, 4096, 0],
  ];
  for (const [what, index, length, offset] of refused) {
    t.case(what, async ({ device }) => {
      assertErrno(await map(device, index, length, offset), EINVAL, "mmap");
    });
  }
  t.case("private", async ({ device }) => {
    const ret = await map(device, REGION.BAR0, 4096, 0, MAP_PRIVATE);
    assertErrno(ret, EINVAL, "mmap");
  });
  t.case("in the place of memory, which is gone", async ({ device }) => {
    const { process, fd } = device;
    const prot = PROT_READ | PROT_WRITE;
    const anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    const at = assertOk(
      await process.mmap(0, 4096, prot, anonymous, -1, 0),
      "mmap of memory",
    );
    const shared = MAP_SHARED | MAP_FIXED;
    const rom = REGION.ROM * 2 ** 40;
    const ret = await process.mmap(at, 4096, prot, shared, fd, rom);
    assertErrno(ret, EINVAL, "mmap");
    const gone = await process.mprotect(at, 4096, prot);
    assertErrno(gone, ENOMEM, "mprotect");
  });
}
