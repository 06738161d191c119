// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_remap`: mappings that change their length and their place, with
 * what devices have of them.
 *
 * @module
 */

import {
  EBUSY,
  EFAULT,
  EINVAL,
  ENOMEM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_SEAL_WRITE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
} from "../../impl/uapi/mman.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { IOMMU_HWPT_ALLOC_NEST_PARENT } from "../../impl/uapi/hwpt.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Random } from "../harness/random.ts";
import { hwptAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { mmapRegion, viommuAllocWithData } from "../ioctls/viommu_ioctls.ts";
import { assertFaults, mapFile, memfd, RW } from "./memory_files.ts";

type RemapFixture = Fixture<undefined, Context>;

const IOVA = BigInt(MOCK_APERTURE_START);
const MOVES = MREMAP_MAYMOVE | MREMAP_FIXED;
const BYTES = new Uint8Array([1, 2, 3]);

/** Adds the fixture's tests to `registry`. */
export function registerKitRemap(registry: Test[]): void {
  const f: RemapFixture = fixture(registry, "kit_remap", {
    upstream: false,
    needs: () => ["mremap", "files"],
    setup: (context) => Promise.resolve(context),
  });
  registerErrnos(f);
  registerLengths(f);
  registerMoves(f);
  registerDevices(f);
}

/** Private memory of so many bytes, with as much behind it that nobody may touch. */
async function memory(
  process: TargetProcess,
  length: number,
): Promise<number> {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const mapped = await process.mmap(0, 2 * length, RW, flags);
  const addr = assertOk(mapped, "mmap");
  const locked = await process.mprotect(addr + length, length, PROT_NONE);
  assertEq(locked, 0, "mprotect");
  return addr;
}

/** mremap. */
function registerErrnos(f: RemapFixture): void {
  f.table("errno", {
    description: "mremap checks its arguments, and what is mapped",
    rules: ["U3.6"],
  }, (t) => {
    // In pages: from where to where, how long, and with which flags.
    const rows: [string, readonly number[], number, Errno | undefined][] = [
      ["the same", [0, 2, 2, 0], 0, undefined],
      ["an odd address", [0.5, 1, 1, 0], 0, EINVAL],
      ["an unknown flag", [0, 1, 1, 0], 0x100, EINVAL],
      ["to nothing", [0, 1, 0, 0], 0, EINVAL],
      ["to more than there can be", [0, 1, 2 ** 40, 8], MOVES, EINVAL],
      ["to a place, not moved", [0, 1, 1, 8], MREMAP_FIXED, EINVAL],
      ["to an odd place", [0, 1, 1, 8.5], MOVES, EINVAL],
      ["over itself", [0, 2, 2, 1], MOVES, EINVAL],
      ["over its beginning", [1, 2, 2, 0], MOVES, EINVAL],
      ["next to itself", [0, 2, 2, 2], MOVES, undefined],
      ["nothing of private memory", [0, 0, 1, 0], MREMAP_MAYMOVE, EINVAL],
      ["more than is mapped alike", [0, 5, 6, 0], MREMAP_MAYMOVE, EFAULT],
      ["more, without room", [0, 4, 5, 0], 0, ENOMEM],
      ["more, moved", [0, 4, 5, 0], MREMAP_MAYMOVE, undefined],
      ["more of its middle, without room", [1, 2, 3, 0], 0, ENOMEM],
      ["less", [0, 4, 1, 0], 0, undefined],
      ["less than two mappings", [0, 6, 1, 0], 0, undefined],
    ];
    for (const [what, [from, old, length, to], flags, errno] of rows) {
      t.case(what, async ({ process, pageSize }) => {
        const at = await memory(process, 4 * pageSize);
        const ret = await process.mremap(
          at + from! * pageSize,
          old! * pageSize,
          length! * pageSize,
          flags,
          at + to! * pageSize,
        );
        if (errno !== undefined) assertErrno(ret, errno, "mremap");
        else assertOk(ret, "mremap");
      });
    }
    t.case("what is not mapped", async ({ process, pageSize }) => {
      const at = await memory(process, 4 * pageSize);
      assertEq(await process.munmap(at, 8 * pageSize), 0, "munmap");
      const ret = await process.mremap(at, pageSize, 2 * pageSize, 1);
      assertErrno(ret, EFAULT, "mremap");
    });
  });
}

/** Lengths. */
function registerLengths(f: RemapFixture): void {
  f.test("less", {
    description: "A mapping that is cut off loses what is behind",
    rules: ["U3.6"],
  }, async ({ process, pageSize }) => {
    const at = await memory(process, 4 * pageSize);
    const ret = await process.mremap(at, 4 * pageSize, pageSize + 1, 0);
    assertEq(ret, at, "mremap");
    await process.poke(at + pageSize, BYTES);
    await assertFaults(process, at + 2 * pageSize);
  });

  f.test("more", {
    description: "A mapping grows where there is room, and is empty there",
    rules: ["U3.6"],
  }, async ({ process, pageSize }) => {
    const at = await memory(process, 4 * pageSize);
    await process.poke(at, BYTES);
    const behind = at + 2 * pageSize;
    assertEq(await process.munmap(behind, 6 * pageSize), 0, "munmap");
    const ret = await process.mremap(at, 2 * pageSize, 4 * pageSize, 0);
    assertEq(ret, at, "mremap");
    assertBytes(await process.peek(at, 3), BYTES, "what was there");
    const fresh = await process.peek(behind, 2 * pageSize);
    assertBytes(fresh, new Uint8Array(2 * pageSize), "what is new");
    await assertFaults(process, at + 4 * pageSize);
  });
}

/** Places. */
function registerMoves(f: RemapFixture): void {
  f.test("private", {
    description:
      "Private memory moves with what is in it; what it covers is gone",
    rules: ["U3.6"],
  }, async ({ process, pageSize }) => {
    const at = await memory(process, 4 * pageSize);
    await process.poke(at + pageSize, BYTES);
    const to = await memory(process, 4 * pageSize);
    await process.poke(to, new Uint8Array(pageSize).fill(9));
    const from = at + pageSize;
    const ret = await process.mremap(from, pageSize, 2 * pageSize, MOVES, to);
    assertEq(ret, to, "mremap");
    await assertFaults(process, from);
    const expected = new Uint8Array(2 * pageSize);
    expected.set(BYTES);
    const moved = await process.peek(to, expected.length);
    assertBytes(moved, expected, "what was moved, and what is new");
    await process.poke(at, BYTES);
    await process.poke(at + 2 * pageSize, BYTES);
  });

  f.test("file", {
    description:
      "A mapping of a file moves with its place in the file, and may write it still",
    rules: ["U3.7"],
  }, async ({ process, pageSize }) => {
    const fd = await memfd(process, 4 * pageSize);
    const at = await mapFile(process, fd, 4 * pageSize, MAP_SHARED);
    for (let page = 0; page < 4; page++) {
      await process.poke(at + page * pageSize, new Uint8Array([page]));
    }
    const to = await memory(process, 2 * pageSize);
    const from = at + pageSize;
    const length = 2 * pageSize;
    const ret = await process.mremap(from, length, length, MOVES, to);
    assertEq(ret, to, "mremap");
    for (const page of [0, 1]) {
      const [byte] = await process.peek(to + page * pageSize, 1);
      assertEq(byte!, page + 1, `byte of page ${page}`);
    }
    for (const [start, pages] of [[at, 1], [at + 3 * pageSize, 1]] as const) {
      const gone = await process.munmap(start, pages * pageSize);
      assertEq(gone, 0, "munmap of the rest");
    }
    const seal = await process.fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
    assertErrno(seal, EBUSY, "F_SEAL_WRITE");
    assertEq(await process.munmap(to, length), 0, "munmap");
    const sealed = await process.fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
    assertEq(sealed, 0, "F_SEAL_WRITE without mappings");
  });

  f.test("twice", {
    description: "Of no bytes of a shared mapping another one is made",
    rules: ["U3.7"],
  }, async ({ process, pageSize }) => {
    const fd = await memfd(process, 2 * pageSize);
    const at = await mapFile(process, fd, 2 * pageSize, MAP_SHARED);
    const flags = MREMAP_MAYMOVE;
    const ret = await process.mremap(at + pageSize, 0, pageSize, flags);
    const other = assertOk(ret, "mremap");
    await process.poke(at + pageSize, BYTES);
    assertBytes(await process.peek(other, 3), BYTES, "bytes of the other");
  });

  f.test("huge", {
    description: "Huge pages move and go whole, and do not grow",
    rules: ["U3.7"],
    needs: () => ["hugetlb"],
  }, async ({ process, pageSize, hugePageSize: huge }) => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    const mapped = await process.mmap(0, 2 * huge, RW, flags);
    const at = assertOk(mapped, "mmap");
    const target = await process.mmap(0, 2 * huge, RW, flags);
    const to = assertOk(target, "mmap of the target");
    const from = at + huge;
    await process.poke(from, BYTES);
    const more = await process.mremap(at, 2 * huge, 2 * huge + 1, 1);
    assertErrno(more, EINVAL, "mremap to more");
    const within = await process.mremap(at + pageSize, huge, huge, 0);
    assertErrno(within, EINVAL, "mremap from within a huge page");
    const unused = await process.mremap(at, huge, huge, 0, pageSize);
    assertErrno(unused, EINVAL, "mremap with an address that does not count");
    const into = await process.mremap(from, huge, huge, MOVES, to + pageSize);
    assertErrno(into, EINVAL, "mremap to within a huge page");
    const ret = await process.mremap(from, pageSize, pageSize, MOVES, to);
    assertEq(ret, to, "mremap");
    assertBytes(await process.peek(to, 3), BYTES, "what was moved");
    await assertFaults(process, from);
    await process.poke(to + huge, BYTES);
    assertEq(await process.mremap(to, 2 * huge, 1, 0), to, "mremap to less");
    await assertFaults(process, to + huge);
    for (const each of [at, to]) {
      assertEq(await process.munmap(each, huge), 0, "munmap");
    }
  });

  f.test("much", {
    description: "Memory of many pages moves, by any distance",
    rules: ["U3.6"],
  }, async ({ process, pageSize }) => {
    const length = 1000 * pageSize;
    const bytes = new Random(37).bytes(length);
    for (const distance of [1, 3, 511, 700]) {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS;
      const mapped = await process.mmap(0, 3 * length, RW, flags);
      const at = assertOk(mapped, "mmap");
      await process.poke(at, bytes);
      const to = at + length + distance * pageSize;
      const ret = await process.mremap(at, length, length, MOVES, to);
      assertEq(ret, to, "mremap");
      const what = `bytes by ${distance} pages`;
      assertBytes(await process.peek(to, length), bytes, what);
      const before = await process.peek(to - pageSize, pageSize);
      assertBytes(before, new Uint8Array(pageSize), "the page before");
      await assertFaults(process, at + length - 1);
      assertEq(await process.munmap(at, 3 * length), 0, "munmap");
    }
  });

  f.test("fork", {
    description: "A child that moves its memory leaves its parent's",
    rules: ["U3.6"],
    needs: () => ["fork"],
  }, async ({ process, pageSize }) => {
    const at = await memory(process, 2 * pageSize);
    await process.poke(at, BYTES);
    const child = await process.fork();
    const to = at + 3 * pageSize;
    const ret = await child.mremap(at, pageSize, pageSize, MOVES, to);
    assertEq(ret, to, "mremap");
    assertBytes(await child.peek(to, 3), BYTES, "bytes of the child");
    await child.poke(to, new Uint8Array([9]));
    assertBytes(await process.peek(at, 3), BYTES, "bytes of the parent");
    await child.exit();
  });
}

/** What devices have of it. */
function registerDevices(f: RemapFixture): void {
  for (const shared of [false, true]) {
    f.test(shared ? "pinned_shared" : "pinned", {
      description: "Pages that a device has move with their mapping",
      rules: ["U3.8"],
    }, async (context) => {
      const { process, pageSize } = context;
      const io = await Iommufd.open(context);
      const ioasId = await io.ioasAlloc();
      const { hwptId } = await io.mock.domain(ioasId);
      const flags = shared ? MAP_SHARED : MAP_PRIVATE;
      const at = await io.mmap(2 * pageSize, flags);
      await process.poke(at, BYTES);
      await io.mapFixed(ioasId, at, 2n * io.page, IOVA);
      const to = await memory(process, 2 * pageSize);
      const ret = await process.mremap(at, pageSize, pageSize, MOVES, to);
      assertEq(ret, to, "mremap");
      await io.mock.checkMap(hwptId, IOVA, pageSize, to);
      await io.unmap(ioasId, IOVA, 2n * io.page);
      await io.mapFixed(ioasId, at, pageSize, IOVA, EFAULT);
      await io.teardown();
    });
  }

  f.test("region", {
    description:
      "Memory of a device that is moved keeps its owner, and cannot grow",
    rules: ["U3.8"],
    since: "7.3",
    needs: () => ["viommu"],
  }, async (context) => {
    const { process, pageSize } = context;
    const io = await Iommufd.open(context);
    const ptId = await io.ioasAlloc();
    const { idevId: devId } = await io.mock.domain(ptId);
    const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
    const hwptId = await hwptAlloc(io, { devId, ptId, flags });
    const made = await viommuAllocWithData(io, devId, hwptId, 0x1234);
    const { viommuId, outMmapOffset, outMmapLength } = made;
    const length = Number(outMmapLength);
    const at = await mmapRegion(io, length, outMmapOffset);
    const more = length + pageSize;
    const grown = await process.mremap(at, length, more, MREMAP_MAYMOVE);
    assertErrno(grown, EFAULT, "mremap to more");
    const to = await memory(process, length);
    assertEq(await process.mremap(at, length, length, MOVES, to), to, "mremap");
    const word = await process.peek(to, 2);
    assertBytes(word, new Uint8Array([0x34, 0x12]), "what is in it");
    await assertFaults(process, at);
    await io.destroy(viommuId, EBUSY);
    const less = await process.mremap(to, length, pageSize, 0);
    assertEq(less, to, "mremap to less");
    await io.destroy(viommuId, EBUSY);
    assertEq(await process.munmap(to, pageSize), 0, "munmap");
    await io.destroy(viommuId);
    await io.teardown();
  });
}
