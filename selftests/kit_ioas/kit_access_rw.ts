// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_access`: the bytes that an access reads and writes.
 *
 * @module
 */

import { EFAULT, ENOENT } from "../../impl/uapi/errno.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
} from "../../impl/uapi/selftest.ts";
import { MAP_SHARED, PROT_READ } from "../../impl/uapi/mman.ts";
import { assertBytes, assertEq } from "../harness/harness.ts";
import type { IoasSelf } from "../iommufd/iommufd_ioas.ts";
import type { AccessFixture } from "./kit_access.ts";
import { Random } from "../harness/random.ts";

const SLOW = MOCK_ACCESS_RW_SLOW_PATH;
const WRITE = MOCK_ACCESS_RW_WRITE;

/** Adds the tests to the fixture. */
export function registerReadWrite(f: AccessFixture): void {
  f.test("rw_across_areas", {
    description: "One read or write can cross areas that touch",
    reference: "device.c iommufd_access_rw; P13.7",
  }, checkAcrossAreas);

  f.test("rw_stops_at_gap", {
    description: "A write that runs into a gap has written what lies before",
    reference: "device.c iommufd_access_rw; P13.7",
  }, async ({ io, ioasId, baseIova }) => {
    const { page } = io;
    const size = io.context.pageSize;
    const iova = baseIova + page;
    await io.mapFixed(ioasId, io.buffer, page, iova);
    await io.process.poke(io.buffer, new Uint8Array(size).fill(1));
    await io.process.poke(io.scratch, new Uint8Array(size).fill(2));
    const access = await io.mock.createAccess(ioasId, false);
    const middle = iova + io.mockPage;
    const range = { iova: middle, length: page, uptr: io.scratch };
    await io.mock.accessRw(access, { ...range, flags: WRITE }, ENOENT);
    const expected = new Uint8Array(size).fill(1);
    expected.fill(2, size / 2);
    const actual = await io.process.peek(io.buffer, size);
    assertBytes(actual, expected, "memory before the gap");
    await io.mock.destroyAccess(access);
  });

  f.test("rw_read_only_memory", {
    description: "Memory that its owner cannot write cannot be written",
    reference: "pages.c iopt_pages_rw_access; P08.13",
  }, async ({ io, ioasId, stdevId, baseIova: iova }) => {
    // A domain would have to pin it for writing, which fails at the map.
    if (stdevId) return;
    const { page } = io;
    const buf = await io.mmap(2n * page, MAP_SHARED, PROT_READ);
    await io.mapFixed(ioasId, buf, 2n * page, iova);
    const access = await io.mock.createAccess(ioasId, false);
    for (const path of [0, SLOW]) {
      const one = { iova, length: 8, uptr: io.scratch, flags: path };
      await io.mock.accessRw(access, one);
      await io.mock.accessRw(access, { ...one, flags: path | WRITE }, EFAULT);
      const two = { ...one, iova: iova + page - 4n };
      await io.mock.accessRw(access, { ...two, flags: path | WRITE }, EFAULT);
    }
    await io.mock.destroyAccess(access);
  });

  f.test("rw_beside_pins", {
    description:
      "A copy over pages of which some are pinned leaves each pinned as it was",
    reference: "pages.c iopt_pages_rw_slow, pfn_reader_unpin; P08.14",
  }, checkBesidePins);

  f.test("rw_after_munmap", {
    description:
      "Where memory is gone, only the path over pinned pages still reads it",
    reference: "pages.c iopt_pages_rw_slow, iopt_pages_rw_page; P08.14",
  }, checkAfterMunmap);
}

/** Test `rw_beside_pins`. */
async function checkBesidePins(self: IoasSelf): Promise<void> {
  const { io, ioasId, stdevId, baseIova: iova } = self;
  const { page } = io;
  const buffer = BigInt(io.buffer);
  const idle = stdevId ? 1 : 0;
  const contents = new Random(5).bytes(io.memory.bufferSize);
  await io.process.poke(io.buffer, contents);
  await io.mapFixed(ioasId, buffer, io.bufferSize, iova);
  const access = await io.mock.createAccess(ioasId, true);
  for (const first of [0n, 6n]) {
    const at = first * page;
    const pin = { iova: iova + at, length: 3n * page, uptr: buffer + at };
    await io.mock.accessPages(access, pin);
  }
  const range = { iova, length: io.bufferSize, uptr: io.scratch };
  await io.mock.accessRw(access, { ...range, flags: SLOW });
  const read = await io.process.peek(io.scratch, io.memory.bufferSize);
  assertBytes(read, contents, "bytes read");
  for (let n = 0n; n < 16n; n++) {
    const isPinned = n < 3n || (n >= 6n && n < 9n);
    const refs = isPinned ? 1 : idle;
    await io.mock.checkRefs(buffer + n * page, page, refs);
  }
  await io.mock.destroyAccess(access);
}

/** Test `rw_across_areas`. */
async function checkAcrossAreas(self: IoasSelf): Promise<void> {
  const { io, ioasId, baseIova } = self;
  const { pageSize } = io.context;
  const page = io.page;
  const iova = baseIova + page;
  // Pages 5, 1 and 3 of the buffer stand next to each other.
  const order = [5, 1, 3];
  for (const [index, from] of order.entries()) {
    const userVa = io.buffer + from * pageSize;
    await io.mapFixed(ioasId, userVa, page, iova + BigInt(index) * page);
  }
  const random = new Random(7);
  const access = await io.mock.createAccess(ioasId, false);
  for (const path of [0, SLOW]) {
    await io.process.poke(io.buffer, random.bytes(io.memory.bufferSize));
    const start = 100;
    const length = 3 * pageSize - 200;
    const range = { iova: iova + BigInt(start), length, uptr: io.scratch };
    await io.mock.accessRw(access, { ...range, flags: path });
    const read = await io.process.peek(io.scratch, length);
    const mapped = await joinPages(self, order);
    assertBytes(read, mapped.subarray(start, start + length), "bytes read");

    const bytes = random.bytes(length);
    await io.process.poke(io.scratch, bytes);
    await io.mock.accessRw(access, { ...range, flags: path | WRITE });
    const written = await joinPages(self, order);
    mapped.set(bytes, start);
    assertBytes(written, mapped, "bytes written");
  }
  await io.mock.destroyAccess(access);
}

/** The contents of some pages of the buffer in a row. */
async function joinPages(
  { io }: IoasSelf,
  order: readonly number[],
): Promise<Uint8Array> {
  const { pageSize } = io.context;
  const joined = new Uint8Array(order.length * pageSize);
  for (const [index, from] of order.entries()) {
    const at = io.buffer + from * pageSize;
    joined.set(await io.process.peek(at, pageSize), index * pageSize);
  }
  return joined;
}

/** Test `rw_after_munmap`. */
async function checkAfterMunmap(self: IoasSelf): Promise<void> {
  const { io, ioasId, stdevId, baseIova: iova } = self;
  const { pageSize } = io.context;
  const size = 4 * pageSize;
  const buf = await io.mmap(size, MAP_SHARED);
  const contents = new Random(3).bytes(size);
  await io.process.poke(buf, contents);
  await io.mapFixed(ioasId, buf, size, iova);
  const access = await io.mock.createAccess(ioasId, false);
  await io.munmap(buf, size);

  const one = { iova, length: 16, uptr: io.scratch };
  const all = { ...one, length: size };
  await io.mock.accessRw(access, one, EFAULT);
  await io.mock.accessRw(access, all, EFAULT);
  // Within one page the slow path, too, pins the memory itself.
  await io.mock.accessRw(access, { ...one, flags: SLOW }, EFAULT);
  const slow = { ...all, flags: SLOW };
  await io.mock.accessRw(access, slow, stdevId ? undefined : EFAULT);
  if (stdevId) {
    const read = await io.process.peek(io.scratch, size);
    assertBytes(read, contents, "bytes of the domain's pages");
  }
  assertEq(await io.unmap(ioasId, iova, size), BigInt(size), "unmapped");
  await io.mock.destroyAccess(access);
}
