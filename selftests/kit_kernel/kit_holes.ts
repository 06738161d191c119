// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_holes`: parts of a memory file that are allocated and dropped,
 * under mappings and under pins.
 *
 * @module
 */

import {
  EBADF,
  EFBIG,
  EINVAL,
  ENODEV,
  EOPNOTSUPP,
  type Errno,
  ESPIPE,
} from "../../impl/uapi/errno.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MADV_REMOVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_HUGETLB,
  O_RDONLY,
  O_WRONLY,
  SEEK_END,
} from "../../impl/uapi/mman.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Random } from "../harness/random.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { registerAdvice } from "./kit_holes_advice.ts";
import {
  assertDone,
  assertFaults,
  assertFile,
  mapFile,
  memfd,
  PUNCH,
  reopen,
  RW,
} from "./memory_files.ts";

type HolesFixture = Fixture<undefined, Context>;

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerKitHoles(registry: Test[]): void {
  const f: HolesFixture = fixture(registry, "kit_holes", {
    upstream: false,
    needs: () => ["files"],
    setup: (context) => Promise.resolve(context),
  });
  registerErrnos(f);
  registerBytes(f);
  registerPrivate(f);
  registerHuge(f);
  registerGigantic(f);
  registerAdvice(f);
  registerPinned(f);
}

/** fallocate. */
function registerErrnos(f: HolesFixture): void {
  f.table("errno", {
    description: "fallocate checks its arguments, the access and the file",
    rules: ["U2.5"],
  }, (t) => {
    const max = 2 ** 63 - 1024;
    const rows: [string, number, number, number, Errno | undefined][] = [
      ["a hole", PUNCH, 0, 1, undefined],
      ["a hole beyond the end", PUNCH, 1 << 20, 1, undefined],
      ["a negative offset, an unknown mode", 0x100, -1, 1, EINVAL],
      ["no bytes", PUNCH, 0, 0, EINVAL],
      ["less than no bytes", PUNCH, 0, -1, EINVAL],
      ["an unknown mode", 0x100, 0, 1, EOPNOTSUPP],
      ["a hole that may cut it", FALLOC_FL_PUNCH_HOLE, 0, 1, EOPNOTSUPP],
      ["beyond the longest file", PUNCH, max, max, EFBIG],
    ];
    for (const [what, mode, offset, length, errno] of rows) {
      t.case(what, async ({ process, pageSize }) => {
        const fd = await memfd(process, pageSize);
        const ret = await process.fallocate(fd, mode, offset, length);
        assertDone(ret, errno, "fallocate");
      });
    }
    t.case("no file, no bytes", async ({ process }) => {
      assertErrno(await process.fallocate(999, 0, 0, 0), EBADF, "fallocate");
    });
    t.case("for reading only, an unknown mode", async ({ process }) => {
      const fd = await reopen(process, await memfd(process, 9), O_RDONLY);
      const mode = await process.fallocate(fd, 0x100, 0, 1);
      assertErrno(mode, EOPNOTSUPP, "fallocate with an unknown mode");
      assertErrno(await process.fallocate(fd, PUNCH, 0, 1), EBADF, "fallocate");
    });
    t.case("for writing only", async ({ process }) => {
      const fd = await reopen(process, await memfd(process, 9), O_WRONLY);
      assertEq(await process.fallocate(fd, PUNCH, 0, 1), 0, "fallocate");
    });
    t.case("a pipe", async ({ process }) => {
      const { readFd, writeFd } = await process.pipe();
      const ends = [readFd, writeFd];
      const rets = [];
      for (const fd of ends) rets.push(await process.fallocate(fd, 0, 0, 1));
      assertErrno(rets[0]!, EBADF, "fallocate of the end for reading");
      assertErrno(rets[1]!, ESPIPE, "fallocate of the end for writing");
    });
    t.case("/dev/null", async ({ process }) => {
      const fd = await process.open("/dev/null");
      assertErrno(await process.fallocate(fd, 0, 0, 1), ENODEV, "fallocate");
    });
  });

  f.table("length", {
    description: "To allocate makes a file longer, unless its length is kept",
    rules: ["U2.5"],
  }, (t) => {
    const rows: [string, number, number, number, number][] = [
      ["within", 0, 10, 20, 100],
      ["beyond", 0, 90, 20, 110],
      ["behind", 0, 9000, 1, 9001],
      ["beyond, kept", FALLOC_FL_KEEP_SIZE, 90, 5000, 100],
      ["a hole beyond", PUNCH, 90, 5000, 100],
    ];
    for (const [what, mode, offset, length, size] of rows) {
      t.case(what, async ({ process }) => {
        const fd = await memfd(process, 100);
        await process.pwrite(fd, new Uint8Array(100).fill(3), 0);
        const ret = await process.fallocate(fd, mode, offset, length);
        assertEq(ret, 0, "fallocate");
        assertEq(await process.lseek(fd, 0, SEEK_END), size, "length");
        const seen = new Uint8Array(90);
        assertEq(await process.pread(fd, seen, 0), 90, "read");
        assertBytes(seen, new Uint8Array(90).fill(3), "bytes before");
      });
    }
  });
}

/** What is in a file afterwards. */
function registerBytes(f: HolesFixture): void {
  f.test("bytes", {
    description:
      "A hole, a new end and what is written change the bytes that they are about, for mappings too",
    rules: ["U2.6"],
  }, async ({ process, pageSize }) => {
    const size = 6 * pageSize;
    const fd = await memfd(process, size);
    const at = await mapFile(process, fd, size, MAP_SHARED);
    const random = new Random(31);
    let expected = random.bytes(size);
    await process.poke(at, expected);
    for (let round = 0; round < 40; round++) {
      const first = random.below(expected.length);
      const length = 1 + random.below(expected.length - first);
      if (round % 5 === 4) {
        const longer = new Uint8Array(size);
        longer.set(expected.subarray(0, first));
        expected = longer;
        assertEq(await process.ftruncate(fd, first), 0, "ftruncate to less");
        assertEq(await process.ftruncate(fd, size), 0, "ftruncate back");
        const bytes = random.bytes(length);
        expected.set(bytes, first);
        await process.poke(at + first, bytes);
      } else {
        expected.fill(0, first, first + length);
        const ret = await process.fallocate(fd, PUNCH, first, length);
        assertEq(ret, 0, "a hole");
      }
      await assertFile(process, fd, expected, `in round ${round}`);
      const mapped = await process.peek(at, size);
      assertBytes(mapped, expected, `mapped bytes in round ${round}`);
    }
  });

  f.test("behind_the_end", {
    description:
      "Mapped memory behind the end of a file is not there, until the file is longer",
    rules: ["U2.5"],
  }, async ({ process, pageSize }) => {
    const fd = await memfd(process, 1);
    const at = await mapFile(process, fd, 2 * pageSize, MAP_SHARED);
    assertEq((await process.peek(at, pageSize)).length, pageSize, "one page");
    await assertFaults(process, at + pageSize);
    const kept = await process.fallocate(
      fd,
      FALLOC_FL_KEEP_SIZE,
      0,
      2 * pageSize,
    );
    assertEq(kept, 0, "fallocate that keeps the length");
    await assertFaults(process, at + pageSize);
    assertEq(await process.ftruncate(fd, pageSize + 1), 0, "ftruncate");
    await process.poke(at + pageSize, new Uint8Array([1]));
    assertEq(await process.ftruncate(fd, 0), 0, "ftruncate to 0");
    await assertFaults(process, at);
  });
}

/** Copies of a private mapping. */
function registerPrivate(f: HolesFixture): void {
  for (const huge of [false, true]) {
    const left = huge ? 0 : 9;
    f.test(huge ? "private_huge" : "private", {
      description: huge
        ? "A hole drops the private copies of huge pages, and so does a new end"
        : "A hole leaves private copies of pages, a new end does not",
      rules: ["U2.6"],
      needs: () => huge ? ["hugetlb"] : [],
    }, async (context) => {
      const { process } = context;
      const page = huge ? context.hugePageSize : context.pageSize;
      const fd = await memfd(process, 2 * page, huge ? MFD_HUGETLB : 0);
      const at = await mapFile(process, fd, 2 * page, MAP_PRIVATE);
      await process.poke(at, new Uint8Array([9]));
      assertEq(await process.fallocate(fd, PUNCH, 0, page), 0, "a hole");
      assertEq((await process.peek(at, 1))[0]!, left, "byte of the copy");
      assertEq(await process.ftruncate(fd, 0), 0, "ftruncate");
      await assertFaults(process, at);
      assertEq(await process.ftruncate(fd, page), 0, "ftruncate back");
      assertEq((await process.peek(at, 1))[0]!, 0, "byte of a new page");
      assertEq(await process.munmap(at, 2 * page), 0, "munmap");
    });
  }
}

/** Files of huge pages. */
function registerHuge(f: HolesFixture): void {
  f.test("huge", {
    description: "Of a hole in huge pages whole ones are dropped, parts zeroed",
    rules: ["U2.6"],
    needs: () => ["hugetlb"],
  }, async ({ process, pageSize, hugePageSize: huge }) => {
    const fd = await memfd(process, 3 * huge, MFD_HUGETLB);
    const at = await mapFile(process, fd, 3 * huge, MAP_SHARED);
    for (const each of [0, pageSize, huge, 2 * huge, 3 * huge - 1]) {
      await process.poke(at + each, new Uint8Array([7]));
    }
    const hole = await process.fallocate(fd, PUNCH, pageSize, 2 * huge);
    assertEq(hole, 0, "a hole");
    const rows: [number, number][] = [
      [0, 7],
      [pageSize, 0],
      [huge, 0],
      [2 * huge, 0],
      [3 * huge - 1, 7],
    ];
    for (const [offset, byte] of rows) {
      const what = `byte 0x${offset.toString(16)}`;
      assertEq((await process.peek(at + offset, 1))[0]!, byte, what);
    }
    assertErrno(await process.ftruncate(fd, huge + 1), EINVAL, "ftruncate");
    assertEq(await process.fallocate(fd, 0, 0, 4 * huge), 0, "fallocate");
    assertEq(await process.lseek(fd, 0, SEEK_END), 4 * huge, "length");
    assertEq(await process.munmap(at, 3 * huge), 0, "munmap");
  });
}

/** memfd_create: pages of 1 GiB. */
const MFD_HUGE_1GB = 30 << 26;

/** Files of pages of 1 GiB. */
function registerGigantic(f: HolesFixture): void {
  f.test("huge_1g", {
    description:
      "A file of pages of 1 GiB is mapped by whole ones; a part that becomes a hole is zeroed where a device has it",
    rules: ["U2.6"],
    needs: () => ["hugetlb_1g"],
  }, async (context) => {
    const { process, pageSize: page, hugePageSize: huge } = context;
    const gib = 2 ** 30;
    const fd = await memfd(process, gib, MFD_HUGETLB | MFD_HUGE_1GB);
    assertErrno(await process.ftruncate(fd, huge), EINVAL, "ftruncate");
    const within = await process.mmap(0, huge, RW, MAP_SHARED, fd, huge);
    assertErrno(within, EINVAL, "mmap from within a page");
    const at = await mapFile(process, fd, huge, MAP_SHARED);
    assertEq(at % gib, 0, "place within a page");
    const part = at + huge;
    for (const each of [at, part]) await process.poke(each, Uint8Array.of(7));
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    const { hwptId } = await io.mock.domain(ioasId);
    const iova = await io.map(ioasId, part, page);
    const hole = await process.fallocate(fd, PUNCH, huge, huge);
    assertEq(hole, 0, "a hole in a part of a page");
    assertEq((await process.peek(at, 1))[0]!, 7, "byte before it");
    assertEq((await process.peek(part, 1))[0]!, 0, "byte of it");
    await io.mock.checkMap(hwptId, iova, page, part);
    assertErrno(await process.munmap(at, huge), EINVAL, "munmap of a part");
    assertEq(await process.munmap(at, gib), 0, "munmap");
    await io.teardown();
  });
}

/** Pages that a device has. */
function registerPinned(f: HolesFixture): void {
  const deeds: [
    string,
    (
      process: TargetProcess,
      fd: number,
      size: number,
      at: number,
    ) => Promise<void>,
  ][] = [
    ["hole", async (process, fd, size) => {
      assertEq(await process.fallocate(fd, PUNCH, 0, size), 0, "a hole");
    }],
    ["truncate", async (process, fd, size) => {
      assertEq(await process.ftruncate(fd, 0), 0, "ftruncate to 0");
      assertEq(await process.ftruncate(fd, size), 0, "ftruncate back");
    }],
    ["remove", async (process, _fd, size, at) => {
      const ret = await process.madvise(at, size, MADV_REMOVE);
      assertEq(ret, 0, "MADV_REMOVE");
    }],
  ];
  for (const [name, deed] of deeds) {
    for (const huge of [false, true]) {
      f.test(`pinned_${name}${huge ? "_huge" : ""}`, {
        description:
          "A device keeps the pages that a file drops; the process gets new ones",
        rules: ["U2.7"],
        needs: () => huge ? ["hugetlb"] : [],
      }, async (context) => {
        const { process } = context;
        const size = huge ? context.hugePageSize : 2 * context.pageSize;
        const io = await Iommufd.open(context);
        const ioasId = await io.ioasAlloc();
        const { hwptId } = await io.mock.domain(ioasId);
        const fd = await memfd(process, size, huge ? MFD_HUGETLB : 0);
        const at = await mapFile(process, fd, size, MAP_SHARED);
        await process.poke(at, new Uint8Array([5]));
        await io.mapFixed(ioasId, at, size, IOVA);
        await io.mock.checkMap(hwptId, IOVA, size, at);
        await deed(process, fd, size, at);
        assertEq((await process.peek(at, 1))[0]!, 0, "byte of a new page");
        await io.mock.checkMap(hwptId, IOVA, size, at, EINVAL);
        await io.unmap(ioasId, IOVA, size);
        await io.mapFixed(ioasId, at, size, IOVA);
        await io.mock.checkMap(hwptId, IOVA, size, at);
        await io.teardown();
      });
    }
  }
}
