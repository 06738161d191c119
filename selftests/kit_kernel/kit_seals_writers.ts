// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_seals`: who keeps a file from being sealed against writes.
 *
 * @module
 */

import { EBUSY } from "../../impl/uapi/errno.ts";
import {
  F_GET_SEALS,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDONLY,
  O_RDWR,
  PROT_READ,
} from "../../impl/uapi/mman.ts";
import { IOMMU_IOAS_MAP_READABLE } from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { assertEq, assertOk } from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import type { SealsFixture } from "./kit_seals.ts";
import {
  assertSeals,
  mapFile,
  memfd,
  PUNCH,
  reopen,
  RW,
  seal,
} from "./memory_files.ts";

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the tests to the fixture. */
export function registerSealWriters(f: SealsFixture): void {
  registerWriters(f);
  registerPins(f);
}

/** Who keeps a file from being sealed against writes. */
function registerWriters(f: SealsFixture): void {
  f.table("writers", {
    description:
      "A file is not sealed against writes while a shared mapping may write it, now or later",
    rules: ["U2.3"],
  }, (t) => {
    const rows: [string, number, number, number, boolean][] = [
      ["to write", O_RDWR, MAP_SHARED, RW, true],
      ["to read", O_RDWR, MAP_SHARED, PROT_READ, true],
      ["of a descriptor to read", O_RDONLY, MAP_SHARED, PROT_READ, false],
      ["private", O_RDWR, MAP_PRIVATE, RW, false],
    ];
    for (const [what, access, flags, prot, writes] of rows) {
      t.case(what, async ({ process, pageSize }) => {
        const fd = await memfd(process, 3 * pageSize);
        const from = await reopen(process, fd, access);
        const length = 3 * pageSize;
        const at = await mapFile(process, from, length, flags, prot);
        assertEq(await process.close(from), 0, "close");
        await process.peek(at, length);
        await seal(process, fd, F_SEAL_GROW);
        if (writes) {
          await seal(process, fd, F_SEAL_WRITE, EBUSY);
          const middle = await process.munmap(at + pageSize, pageSize);
          assertEq(middle, 0, "munmap of the middle");
          await seal(process, fd, F_SEAL_WRITE | F_SEAL_SHRINK, EBUSY);
          const first = await process.munmap(at, pageSize);
          assertEq(first, 0, "munmap of the beginning");
          await seal(process, fd, F_SEAL_WRITE, EBUSY);
          assertEq(await process.munmap(at, length), 0, "munmap of all");
          await assertSeals(process, fd, F_SEAL_GROW);
        }
        await seal(process, fd, F_SEAL_WRITE);
      });
    }
  });

  f.test("writers_child", {
    description: "A child's mapping is one more that may write",
    rules: ["U2.3"],
    needs: () => ["fork"],
  }, async ({ process, pageSize }) => {
    const fd = await memfd(process, pageSize);
    const at = await mapFile(process, fd, pageSize, MAP_SHARED);
    const child = await process.fork();
    assertEq(await process.munmap(at, pageSize), 0, "munmap");
    await seal(process, fd, F_SEAL_WRITE, EBUSY);
    await child.exit();
    await seal(process, fd, F_SEAL_WRITE);
  });
}

/** Pins that outlive the mapping. */
function registerPins(f: SealsFixture): void {
  f.test("pins", {
    description:
      "A file is not sealed against writes while a device may write its pages",
    rules: ["U2.3"],
  }, async (context) => {
    const { process, pageSize } = context;
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    const fd = await memfd(process, 2 * pageSize);
    const at = await mapFile(process, fd, 2 * pageSize, MAP_SHARED);
    await io.mapFixed(ioasId, at, pageSize, IOVA);
    assertEq(await process.munmap(at, 2 * pageSize), 0, "munmap");
    await seal(process, fd, F_SEAL_WRITE, EBUSY);
    await seal(process, fd, F_SEAL_FUTURE_WRITE);
    await io.unmap(ioasId, IOVA, pageSize);
    await seal(process, fd, F_SEAL_WRITE);
    await io.teardown();
  });

  f.test("pins_to_read", {
    description: "Pins count whether a device may write the page or not",
    rules: ["U2.3"],
    since: "6.2",
  }, async (context) => {
    const { process, pageSize } = context;
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    const fd = await memfd(process, pageSize);
    const from = await reopen(process, fd, O_RDONLY);
    const at = await mapFile(process, from, pageSize, MAP_SHARED, PROT_READ);
    const read = IOMMU_IOAS_MAP_READABLE;
    await io.mapFixed(ioasId, at, pageSize, IOVA, undefined, read);
    await seal(process, fd, F_SEAL_WRITE, EBUSY);
    await io.unmap(ioasId, IOVA, pageSize);
    await seal(process, fd, F_SEAL_WRITE);
    await io.mapFixed(ioasId, at, pageSize, IOVA, undefined, read);
    await io.teardown();
  });

  f.test("pins_of_dropped_pages", {
    description: "A page that the file does not have any more does not count",
    rules: ["U2.3"],
  }, async (context) => {
    const { process, pageSize } = context;
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    const fd = await memfd(process, 2 * pageSize);
    const at = await mapFile(process, fd, 2 * pageSize, MAP_SHARED);
    await io.mapFixed(ioasId, at, pageSize, IOVA);
    assertEq(await process.munmap(at, 2 * pageSize), 0, "munmap");
    const hole = await process.fallocate(fd, PUNCH, 0, pageSize);
    assertEq(hole, 0, "a hole");
    await seal(process, fd, F_SEAL_WRITE);
    assertOk(await process.fcntl(fd, F_GET_SEALS), "seals");
    await io.unmap(ioasId, IOVA, pageSize);
    await io.teardown();
  });
}
