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
import type { IoasSelf } from "../iommufd_ioas/iommufd_ioas.ts";
import type { AccessFixture } from "./kit_access.ts";
import { Random } from "../harness/random.ts";

const SLOW = MOCK_ACCESS_RW_SLOW_PATH;
const WRITE = MOCK_ACCESS_RW_WRITE;

/** The two ways of copying. */
const PATHS: readonly (readonly [how: string, flags: number])[] = [
  ["the plain way", 0],
  ["the slow way", SLOW],
];

/** Adds the tests to the fixture. */
export function registerReadWrite(f: AccessFixture): void {
  registerAcrossAreas(f);

  f.test("rw_stops_at_gap", {
    description: "A write that runs into a gap has written what lies before",
    rules: ["P13.7"],
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

  f.table("rw_read_only_memory", {
    description: "Memory that its owner cannot write cannot be written",
    rules: ["P08.13"],
    async prepare({ io, baseIova: iova }) {
      // A domain would have to pin it for writing, which fails at the map.
      const ioasId = await io.ioasAlloc();
      const buf = await io.mmap(2n * io.page, MAP_SHARED, PROT_READ);
      await io.mapFixed(ioasId, buf, 2n * io.page, iova);
      const access = await io.mock.createAccess(ioasId, false);
      return { io, iova, access };
    },
    finish: ({ io, access }) => io.mock.destroyAccess(access),
  }, (t) => {
    for (const [how, path] of PATHS) {
      t.case(`reads, ${how}`, ({ io, iova, access }) => {
        const range = { iova, length: 8, uptr: io.scratch, flags: path };
        return io.mock.accessRw(access, range);
      });
      for (const pages of [1, 2]) {
        t.case(`writes to ${pages} pages, ${how}`, ({ io, iova, access }) => {
          const at = pages === 1 ? iova : iova + io.page - 4n;
          const flags = path | WRITE;
          const range = { iova: at, length: 8, uptr: io.scratch, flags };
          return io.mock.accessRw(access, range, EFAULT);
        });
      }
    }
  });

  f.test("rw_beside_pins", {
    description:
      "A copy over pages of which some are pinned leaves each pinned as it was",
    rules: ["P08.14"],
  }, checkBesidePins);

  f.test("rw_after_munmap", {
    description:
      "Where memory is gone, only the path over pinned pages still reads it",
    rules: ["P08.14"],
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

/** Pages 5, 1 and 3 of the buffer stand next to each other. */
const ORDER = [5, 1, 3];

/** Copies across areas. */
function registerAcrossAreas(f: AccessFixture): void {
  f.table("rw_across_areas", {
    description: "One read or write can cross areas that touch",
    rules: ["P13.7"],
    async prepare(self) {
      const { io, ioasId, baseIova } = self;
      const iova = baseIova + io.page;
      for (const [index, from] of ORDER.entries()) {
        const userVa = io.buffer + from * io.context.pageSize;
        const at = iova + BigInt(index) * io.page;
        await io.mapFixed(ioasId, userVa, io.page, at);
      }
      const access = await io.mock.createAccess(ioasId, false);
      return { ...self, iova, access };
    },
    finish: ({ io, access }) => io.mock.destroyAccess(access),
  }, (t) => {
    for (const [how, path] of PATHS) {
      t.case(how, async (state) => {
        const { io, iova, access } = state;
        const random = new Random(7);
        await io.process.poke(io.buffer, random.bytes(io.memory.bufferSize));
        const start = 100;
        const length = 3 * io.context.pageSize - 200;
        const range = { iova: iova + BigInt(start), length, uptr: io.scratch };
        await io.mock.accessRw(access, { ...range, flags: path });
        const read = await io.process.peek(io.scratch, length);
        const mapped = await joinPages(state, ORDER);
        const part = mapped.subarray(start, start + length);
        assertBytes(read, part, "bytes read");

        const bytes = random.bytes(length);
        await io.process.poke(io.scratch, bytes);
        await io.mock.accessRw(access, { ...range, flags: path | WRITE });
        const written = await joinPages(state, ORDER);
        mapped.set(bytes, start);
        assertBytes(written, mapped, "bytes written");
      });
    }
  });
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
