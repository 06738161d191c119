// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_map_file`: seals, holes and names of the files that are mapped,
 * and whose descriptors count.
 *
 * @module
 */

import { EBADF, EBUSY, EINVAL } from "../../impl/uapi/errno.ts";
import {
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import {
  F_ADD_SEALS,
  F_SEAL_GROW,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAP_HUGETLB,
  MFD_ALLOW_SEALING,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
} from "../harness/harness.ts";
import { Random } from "../harness/random.ts";
import { mapFile, mapFileFixed, memfdMmap } from "../ioctls/file_ioctls.ts";
import type { Iommufd } from "../ioctls/ioctls.ts";
import { FILE_PAGES, type MapFileFixture, mapPages } from "./kit_map_file.ts";

/** Where a mock domain can map. */
const IOVA = BigInt(MOCK_APERTURE_START);

/** A hole in a file. */
const PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/** Adds the tests to the fixture. */
export function registerFileKinds(f: MapFileFixture): void {
  registerSeals(f);
  registerHoles(f);
  registerNames(f);
  registerDescriptors(f);
}

/** A memory file that takes seals. */
async function sealable({ process }: Iommufd, size: number): Promise<number> {
  const fd = await process.memfdCreate("sealed", MFD_ALLOW_SEALING);
  assertEq(await process.ftruncate(fd, size), 0, "ftruncate");
  return fd;
}

/** Seals. */
function registerSeals(f: MapFileFixture): void {
  f.test("sealed_file", {
    description: "A file that is sealed against writes is mapped to be written",
    rules: ["F1.3"],
    needs: () => ["files"],
  }, async ({ io, ioasId, hwptId }) => {
    const fd = await sealable(io, 2 * io.context.pageSize);
    const seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    assertEq(await io.process.fcntl(fd, F_ADD_SEALS, seals), 0, "add seals");
    const iova = await mapFile(io, ioasId, fd, 0, 2n * io.page);
    const errno = hwptId ? EINVAL : undefined;
    await mapFile(io, ioasId, fd, 2n * io.page, io.page, errno);
    await io.unmap(ioasId, iova, 2n * io.page);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("sealed_while_pinned", {
    description: "A file cannot be sealed against writes while it is pinned",
    rules: ["F1.11"],
    needs: () => ["files"],
  }, async ({ io, ioasId, stdevId }) => {
    const fd = await sealable(io, 2 * io.context.pageSize);
    const seal = (seals: number) => io.process.fcntl(fd, F_ADD_SEALS, seals);
    const iova = await mapFile(io, ioasId, fd, 0, io.page);
    assertEq(await seal(F_SEAL_SHRINK), 0, "seal against shrinking");
    const ret = await seal(F_SEAL_WRITE);
    if (stdevId) assertErrno(ret, EBUSY, "seal against writes");
    else assertEq(ret, 0, "seal against writes");
    await io.unmap(ioasId, iova, io.page);
    assertEq(await seal(F_SEAL_WRITE), 0, "seal what is not pinned");
    assertEq(await io.process.close(fd), 0, "close");
  });
}

/** Holes. */
function registerHoles(f: MapFileFixture): void {
  f.test("hole_while_pinned", {
    description: "A pinned page stays what it was when a hole is made there",
    rules: ["F1.10"],
    needs: () => ["files"],
  }, async (self) => {
    const { io, ioasId, file, address, hwptId } = self;
    const size = io.context.pageSize;
    const bytes = new Random(4).bytes(3 * size);
    await io.process.poke(address, bytes);
    const iova = await mapPages(self, 0, 3);
    const access = await io.mock.createAccess(ioasId, true);
    const range = { iova, length: 3n * io.page, uptr: address };
    const item = await io.mock.accessPages(access, range);
    assertEq(await io.process.fallocate(file, PUNCH, size, size), 0, "punch");
    const hole = await io.process.peek(address + size, size);
    assertBytes(hole, new Uint8Array(size), "the hole");
    if (hwptId) {
      await io.mock.checkMap(hwptId, iova, size, address);
      const at = address + size;
      await io.mock.checkMap(hwptId, iova + io.page, size, at, EINVAL);
    }
    const copy = { iova, length: 3 * size, uptr: io.scratch };
    await io.mock.accessRw(access, copy);
    const seen = await io.process.peek(io.scratch, 3 * size);
    assertBytes(seen, bytes, "what is pinned");
    // Another map finds the file as it is now.
    const fresh = await mapPages(self, 1, 1);
    await io.mock.accessRw(access, { ...copy, iova: fresh, length: size });
    const page = await io.process.peek(io.scratch, size);
    assertBytes(page, new Uint8Array(size), "the hole, mapped");
    if (hwptId) await io.mock.checkMap(hwptId, fresh, size, address + size);
    await io.mock.destroyAccessPages(access, item);
    await io.mock.destroyAccess(access);
  });

  f.test("hole_before_pins", {
    description: "A hole is filled with zeroes by a pin",
    rules: ["F1.9"],
    needs: () => ["files"],
  }, async (self) => {
    const { io, file, address } = self;
    const size = io.context.pageSize;
    await io.process.poke(address, new Uint8Array(2 * size).fill(0xaa));
    const ioasId = await io.ioasAlloc();
    await mapFileFixed(io, ioasId, file, 0, 2n * io.page, IOVA);
    assertEq(await io.process.fallocate(file, PUNCH, 0, size), 0, "punch");
    const { hwptId } = await io.mock.domain(ioasId);
    await io.mock.checkMap(hwptId, IOVA, 2 * size, address);
    const seen = await io.process.peek(address, 2 * size);
    assertBytes(seen.subarray(0, size), new Uint8Array(size), "the hole");
    assertEq(seen[size]!, 0xaa, "first byte behind it");
  });

  f.test("allocated_before_pins", {
    description:
      "What fallocate made is zero for a device, and keeps what that writes",
    rules: ["F1.9"],
    needs: () => ["files"],
    knownBug: () => "pins_unwritten_memory",
  }, async (self) => {
    const { io, ioasId, file, address } = self;
    const size = io.context.pageSize;
    assertEq(await io.process.fallocate(file, 0, 0, 2 * size), 0, "fallocate");
    const iova = await mapPages(self, 0, 2);
    const access = await io.mock.createAccess(ioasId, false);
    const page = { uptr: io.scratch, length: size };
    await io.process.poke(io.scratch, new Uint8Array(size).fill(0xaa));
    await io.mock.accessRw(access, { ...page, iova });
    const seen = await io.process.peek(io.scratch, size);
    assertBytes(seen, new Uint8Array(size), "what the device reads");
    const bytes = new Random(5).bytes(size);
    await io.process.poke(io.scratch, bytes);
    const flags = MOCK_ACCESS_RW_WRITE;
    await io.mock.accessRw(access, { ...page, iova: iova + io.page, flags });
    const kept = await io.process.peek(address + size, size);
    assertBytes(kept, bytes, "what the device wrote");
    await io.mock.destroyAccess(access);
  });

  f.test("huge_hole", {
    description: "A hole in a file of huge pages leaves what is pinned of it",
    rules: ["F1.10"],
    needs: () => ["files", "hugetlb"],
  }, async ({ io, ioasId, stdevId }) => {
    const huge = io.context.hugePageSize;
    const { fd, address } = await memfdMmap(io, huge, MAP_HUGETLB);
    await io.process.poke(address, Uint8Array.of(7));
    const iova = await mapFile(io, ioasId, fd, 0, io.page);
    assertEq(await io.process.fallocate(fd, PUNCH, 0, huge), 0, "punch");
    const access = await io.mock.createAccess(ioasId, false);
    await io.mock.accessRw(access, { iova, length: 1, uptr: io.scratch });
    const [byte] = await io.process.peek(io.scratch, 1);
    assertEq(byte!, stdevId ? 7 : 0, "first byte");
    await io.mock.destroyAccess(access);
    await io.unmap(ioasId, iova, io.page);
    await io.munmap(address, huge);
    assertEq(await io.process.close(fd), 0, "close");
  });
}

/** Files with names. */
function registerNames(f: MapFileFixture): void {
  f.test("file_of_a_tmpfs", {
    description: "A file of a tmpfs can be mapped, also without its name",
    rules: ["F1.2"],
    needs: () => ["files"],
  }, async ({ io, ioasId, hwptId }) => {
    const path = "/dev/shm/kit_map_file";
    const { process } = io;
    const flags = O_RDWR | O_CREAT | O_EXCL;
    const fd = assertOk(await process.open(path, flags), "open");
    const size = 2 * io.context.pageSize;
    const bytes = new Random(5).bytes(size);
    assertEq(await process.write(fd, bytes), size, "write");
    const reader = assertOk(await process.open(path, O_RDONLY), "open again");
    assertEq(await process.unlink(path), 0, "unlink");
    const iova = await mapFile(io, ioasId, reader, 0, size);
    await mapFile(io, ioasId, fd, size, size, hwptId ? EINVAL : undefined);
    assertEq(await process.close(fd), 0, "close");
    assertEq(await process.close(reader), 0, "close the reader");
    const access = await io.mock.createAccess(ioasId, false);
    await io.mock.accessRw(access, { iova, length: size, uptr: io.scratch });
    assertBytes(await process.peek(io.scratch, size), bytes, "the file");
    await io.mock.destroyAccess(access);
  });
}

/** Descriptors. */
function registerDescriptors(f: MapFileFixture): void {
  f.test("descriptors_of_caller", {
    description: "The descriptor is looked up where the caller has its own",
    rules: ["F1.3"],
    needs: () => ["fork"],
  }, async (self) => {
    const { io, ioasId, file } = self;
    const child = await io.process.fork();
    const other = io.in(child);
    assertEq(await child.close(file), 0, "close in the child");
    await mapFile(other, ioasId, file, 0, io.page, EBADF);
    await mapFile(io, ioasId, file, 0, io.page);
    // Another, shorter file under the same number.
    const fd = assertOk(await child.memfdCreate("", 0), "memfd");
    assertEq(fd, file, "descriptor in the child");
    const errno = self.stdevId ? EINVAL : undefined;
    await mapFile(other, ioasId, fd, 0, io.page, errno);
    const pages = BigInt(FILE_PAGES) * io.page;
    await mapFile(io, ioasId, file, 0, pages);
    await child.exit();
  });
}
