// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_rom`: the expansion ROM of a device.
 *
 * @module
 */

import { EINVAL, EIO, ENOMEM } from "../../impl/uapi/errno.ts";
import { MAP_SHARED, O_RDWR, PROT_READ } from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type Test,
} from "../harness/harness.ts";
import { REGION, VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import { engineFixture } from "./copy_engine.ts";

/** Bytes of the ROM, and of its image. */
const [SIZE, IMAGE] = [4096, 1536];
const ROM_ADDRESS = 0x30;

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioRom(registry: Test[]): void {
  const f = engineFixture(registry, "kit_vfio_rom", ["vfio_rom"]);

  f.test("info", {
    description: "A ROM with an image is a region that can be read",
    rules: ["X2.4"],
  }, async ({ device }) => {
    const { flags, length, offset } = await device.region(REGION.ROM);
    assertEq(flags, 1, "flags");
    assertEq(length, BigInt(SIZE), "length");
    assertEq(offset, 6n << 40n, "offset");
    await device.region(REGION.VGA, EINVAL);
  });

  f.test("read", {
    description: "Its image is read, and ones behind it",
    rules: ["X2.4"],
  }, async ({ device }) => {
    const bytes = new Uint8Array(SIZE);
    assertEq(await device.pread(REGION.ROM, 0, bytes), SIZE, "all");
    assertBytes(
      bytes.subarray(0, 4),
      Uint8Array.of(0x55, 0xaa, 2, 3),
      "where it begins",
    );
    const end = bytes.subarray(IMAGE - 2, IMAGE + 2);
    assertBytes(end, Uint8Array.of(0xfe, 0xff, 0xff, 0xff), "where it ends");
    assertEq(bytes[IMAGE + 100]!, 0xff, "behind it");
    assertEq(await device.pread(REGION.ROM, SIZE - 3, bytes), 3, "the end");
    const beyond = await device.pread(REGION.ROM, SIZE, bytes);
    assertErrno(beyond, EINVAL, "beyond the end");
    const write = await device.pwrite(REGION.ROM, 0, bytes);
    assertErrno(write, EINVAL, "write");
  });

  f.test("not_mapped", {
    description: "A ROM cannot be mapped",
    rules: ["X2.4"],
  }, async ({ device, process }) => {
    const at = 6 * 2 ** 40;
    const ret = await process.mmap(
      0,
      SIZE,
      PROT_READ,
      MAP_SHARED,
      device.fd,
      at,
    );
    assertErrno(ret, EINVAL, "mmap");
  });

  f.test("memory_off", {
    description: "Its image is read while memory answers",
    rules: ["X2.4"],
  }, async ({ device }) => {
    await device.setConfig(4, 2, 0);
    const bytes = new Uint8Array(4);
    assertErrno(await device.pread(REGION.ROM, 0, bytes), EIO, "image");
    assertEq(await device.pread(REGION.ROM, IMAGE, bytes), 4, "behind it");
    await device.setConfig(4, 2, 2);
    assertEq(await device.pread(REGION.ROM, 0, bytes), 4, "image");
  });

  f.test("address", {
    description: "Its address tells how long it is, and a bit can be set",
    rules: ["X2.4"],
  }, async ({ device }) => {
    await device.setConfig(ROM_ADDRESS, 4, 0xffffffff);
    const ones = await device.config(ROM_ADDRESS, 4);
    assertEq(ones, 0xfffff001, "all ones");
    await device.setConfig(ROM_ADDRESS, 4, 0x12345678);
    assertEq(await device.config(ROM_ADDRESS, 4), 0x12345000, "an address");
  });

  f.test("no_image", {
    description: "A ROM without an image is no region",
    rules: ["X2.4"],
  }, async ({ io, process }) => {
    const path = "/dev/vfio/devices/vfio1";
    const fd = assertOk(await process.open(path, O_RDWR), path);
    const device = new VfioFile(process, fd);
    await device.bind(io.fd);
    const { flags, length } = await device.region(REGION.ROM);
    assertEq(flags, 0, "flags");
    assertEq(length, 0n, "length");
    const ret = await device.pread(REGION.ROM, 0, new Uint8Array(4));
    assertErrno(ret, ENOMEM, "read");
    await device.setConfig(ROM_ADDRESS, 4, 0xffffffff);
    assertEq(await device.config(ROM_ADDRESS, 4), 0xfffff801, "all ones");
    await device.close();
  });
}
