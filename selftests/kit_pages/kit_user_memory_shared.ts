// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_user_memory`: what a device sees of memory that the process
 * shares, keeps private, drops, cuts short or forks.
 *
 * @module
 */

import { EFAULT, EINVAL, ENOMEM } from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  MADV_DOFORK,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type TargetProcess,
} from "../harness/harness.ts";
import { assertResult, type Iommufd } from "../ioctls/ioctls.ts";
import type { MemoryFixture } from "./kit_user_memory.ts";

const IOVA = BigInt(MOCK_APERTURE_START);
const READ = IOMMU_IOAS_MAP_READABLE;
const WRITE = IOMMU_IOAS_MAP_WRITEABLE;
const RW = PROT_READ | PROT_WRITE;

/** Adds the tests to the fixture. */
export function registerSharing(f: MemoryFixture): void {
  registerRights(f);
  registerFork(f);
  registerFiles(f);
  registerAdvice(f);
  registerRanges(f);
}

/** Asserts the first byte of a page. */
async function assertByte(
  { process }: Iommufd,
  address: number,
  byte: number,
  what: string,
): Promise<void> {
  const expected = new Uint8Array([byte]);
  assertBytes(await process.peek(address, 1), expected, what);
}

/** Writes the first byte of a page. */
async function pokeByte(
  { process }: Iommufd,
  address: number,
  byte: number,
): Promise<void> {
  await process.poke(address, new Uint8Array([byte]));
}

/** What can be pinned. */
function registerRights(f: MemoryFixture): void {
  f.table("rights", {
    description:
      "Memory is pinned for what the map allows, and must allow that itself, touched or not",
    rules: ["U1.1"],
  }, (t, _variant, { pages }) => {
    const forced = pages.readPinsForceWrite;
    const rows: [string, number, number, boolean][] = [
      ["readable memory for reading", PROT_READ, READ, true],
      ["readable memory for writing", PROT_READ, READ | WRITE, false],
      ["memory without rights for reading", PROT_NONE, READ, forced],
      ["memory without rights for writing", PROT_NONE, WRITE, false],
      ["writable memory for reading", RW, READ, true],
      ["writable memory for writing", RW, READ | WRITE, true],
    ];
    for (const [what, prot, rights, good] of rows) {
      for (const touched of [false, true]) {
        const how = touched ? "touched" : "untouched";
        t.case(`${how} ${what}`, async ({ io, ioasId, hwptId }) => {
          const { page } = io;
          const memory = await io.mmap(page, MAP_PRIVATE);
          if (touched) await pokeByte(io, memory, 1);
          const { pageSize } = io.context;
          const ret = await io.process.mprotect(memory, pageSize, prot);
          assertEq(ret, 0, "mprotect");
          const errno = good ? undefined : EFAULT;
          await io.mapFixed(ioasId, memory, page, IOVA, errno, rights);
          const readable = (prot & PROT_READ) !== 0;
          if (good && readable) {
            await io.mock.checkMap(hwptId, IOVA, page, memory);
          }
          if (good) await io.unmap(ioasId, IOVA, page);
          await io.munmap(memory, page);
        });
      }
    }
  });
}

/** Forks under pins. */
function registerFork(f: MemoryFixture): void {
  for (const huge of [false, true]) {
    f.test(huge ? "fork_huge" : "fork", {
      description:
        "After a fork the parent keeps the pages that a device sees, and the child has copies",
      rules: ["U1.2"],
      needs: () => huge ? ["fork", "hugetlb"] : ["fork"],
    }, async ({ io, ioasId, hwptId }) => {
      const { pageSize, hugePageSize } = io.context;
      const size = huge ? hugePageSize : pageSize;
      const flags = MAP_PRIVATE | (huge ? MAP_HUGETLB : 0);
      const memory = await io.mmap(size, flags);
      await pokeByte(io, memory, 1);
      await io.mapFixed(ioasId, memory, size, IOVA);
      const child = await io.process.fork();
      await pokeByte(io, memory, 2);
      await io.mock.checkMap(hwptId, IOVA, size, memory);
      const theirs = io.in(child);
      await assertByte(theirs, memory, 1, "the child's byte");
      await pokeByte(theirs, memory, 3);
      await assertByte(io, memory, 2, "the parent's byte");
      await child.exit();
      await io.munmap(memory, size);
    });
  }

  f.test("fork_unpinned", {
    description:
      "A page that a fork shares is copied before it is pinned, also for reading",
    rules: ["U1.2"],
    needs: () => ["fork"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page } = io;
    const memory = await io.mmap(page, MAP_PRIVATE);
    await pokeByte(io, memory, 1);
    const child = await io.process.fork();
    await io.mapFixed(ioasId, memory, page, IOVA, undefined, READ);
    await pokeByte(io, memory, 2);
    await io.mock.checkMap(hwptId, IOVA, page, memory);
    await assertByte(io.in(child), memory, 1, "the child's byte");
    await child.exit();
    await io.munmap(memory, page);
  });

  f.test("fork_shared", {
    description:
      "Shared memory is the same in parent and child, and in a device",
    rules: ["U1.2"],
    needs: () => ["fork"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page, buffer } = io;
    const child = await io.process.fork();
    const theirs = io.in(child);
    await theirs.mapFixed(ioasId, buffer, page, IOVA);
    await pokeByte(theirs, buffer, 7);
    await assertByte(io, buffer, 7, "the parent's byte");
    await io.mock.checkMap(hwptId, IOVA, page, buffer);
    await child.exit();
  });
}

/** Memory files. */
function registerFiles(f: MemoryFixture): void {
  f.test("file_shared", {
    description:
      "Shared mappings of a file are the file's pages: for the process, for read and write, for a device",
    rules: ["U1.3"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page } = io;
    const fd = await memoryFile(io, 2);
    const [one, two] = [await mapFile(io, fd), await mapFile(io, fd)];
    await io.mapFixed(ioasId, one, 2n * page, IOVA);
    await io.mock.checkMap(hwptId, IOVA, 2n * page, two);
    await pokeByte(io, one, 5);
    await assertByte(io, two, 5, "the byte in the other mapping");
    const ret = await io.process.write(fd, new Uint8Array([6]));
    assertEq(ret, 1, "write");
    await assertByte(io, one, 6, "the byte that was written");
    await io.mock.checkMap(hwptId, IOVA, 2n * page, two);
    assertEq(await io.process.close(fd), 0, "close");
    await io.mock.checkMap(hwptId, IOVA, 2n * page, two);
  });

  f.test("file_write_later", {
    description:
      "A shared mapping that was for reading only can be made writable, and then a device may write",
    rules: ["U1.3"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page } = io;
    const { pageSize } = io.context;
    const fd = await memoryFile(io, 2);
    const memory = await mapFile(io, fd, MAP_SHARED, PROT_READ);
    await io.mapFixed(ioasId, memory, page, IOVA, EFAULT);
    assertEq(await io.process.mprotect(memory, pageSize, RW), 0, "mprotect");
    await io.mapFixed(ioasId, memory, page, IOVA);
    await pokeByte(io, memory, 3);
    await io.mock.checkMap(hwptId, IOVA, page, memory);
    await io.mapFixed(ioasId, memory, 2n * page, IOVA + page, EFAULT);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("file_private", {
    description:
      "A private mapping of a file has pages of its own once they are written or pinned",
    rules: ["U1.3"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page } = io;
    const fd = await memoryFile(io, 2);
    const shared = await mapFile(io, fd);
    const own = await mapFile(io, fd, MAP_PRIVATE);
    await pokeByte(io, shared, 5);
    await assertByte(io, own, 5, "the file's byte");
    await io.mapFixed(ioasId, own, 2n * page, IOVA, undefined, READ);
    await io.mock.checkMap(hwptId, IOVA, 2n * page, own);
    await io.mock.checkMap(hwptId, IOVA, page, shared, EINVAL);
    await pokeByte(io, own, 6);
    await assertByte(io, shared, 5, "the file's byte");
    await pokeByte(io, shared, 7);
    await assertByte(io, own, 6, "the private byte");
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("file_length", {
    description:
      "What is beyond the end of a file cannot be pinned; ftruncate moves the end",
    rules: ["U1.3"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page } = io;
    const { pageSize } = io.context;
    const fd = await memoryFile(io, 1);
    const memory = await mapFile(io, fd);
    await io.mapFixed(ioasId, memory, 2n * page, IOVA, EFAULT);
    await io.mock.checkRefs(memory, page, 0);
    assertEq(await io.process.ftruncate(fd, 2 * pageSize), 0, "ftruncate");
    await io.mapFixed(ioasId, memory, 2n * page, IOVA);
    await pokeByte(io, memory, 1);
    await pokeByte(io, memory + pageSize, 2);

    // The device keeps the page that the file no longer has.
    assertEq(await io.process.ftruncate(fd, pageSize), 0, "ftruncate");
    await io.mock.checkMap(hwptId, IOVA, page, memory);
    assertEq(await io.process.ftruncate(fd, 2 * pageSize), 0, "ftruncate");
    await assertByte(io, memory + pageSize, 0, "the byte of a new page");
    const next = memory + pageSize;
    await io.mock.checkMap(hwptId, IOVA + page, page, next, EINVAL);
    await io.unmap(ioasId, IOVA, 2n * page);
    await io.mapFixed(ioasId, memory, 2n * page, IOVA);
    await io.mock.checkMap(hwptId, IOVA, 2n * page, memory);
    assertEq(await io.process.close(fd), 0, "close");
  });
}

/** A memory file of some pages; returns its descriptor. */
async function memoryFile(io: Iommufd, pages: number): Promise<number> {
  const fd = assertOk(await io.process.memfdCreate("kit", 0), "memfd");
  const length = pages * io.context.pageSize;
  assertEq(await io.process.ftruncate(fd, length), 0, "ftruncate");
  return fd;
}

/** Maps the first two pages of a file, wherever it ends; returns the address. */
async function mapFile(
  io: Iommufd,
  fd: number,
  flags = MAP_SHARED,
  prot = RW,
): Promise<number> {
  const length = 2 * io.context.pageSize;
  return assertOk(await io.process.mmap(0, length, prot, flags, fd), "mmap");
}

/** madvise. */
function registerAdvice(f: MemoryFixture): void {
  f.test("dont_need", {
    description:
      "MADV_DONTNEED gives the process new pages of zeros; a device keeps the old ones",
    rules: ["U1.5"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page } = io;
    const memory = await io.mmap(2n * page, MAP_PRIVATE);
    const next = memory + Number(page);
    await pokeByte(io, memory, 5);
    await pokeByte(io, next, 6);
    await io.mapFixed(ioasId, memory, 2n * page, IOVA);
    await advise(io, memory, MADV_DONTNEED);
    await assertByte(io, memory, 0, "the byte that was dropped");
    await assertByte(io, next, 6, "the byte behind");
    await io.mock.checkMap(hwptId, IOVA, page, memory, EINVAL);
    await io.mock.checkMap(hwptId, IOVA + page, page, next);
    await io.unmap(ioasId, IOVA, 2n * page);
    await io.mapFixed(ioasId, memory, 2n * page, IOVA);
    await io.mock.checkMap(hwptId, IOVA, 2n * page, memory);
    await io.munmap(memory, 2n * page);
  });

  f.test("dont_need_shared", {
    description: "MADV_DONTNEED leaves shared memory as it is",
    rules: ["U1.5"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page, buffer } = io;
    await pokeByte(io, buffer, 5);
    await io.mapFixed(ioasId, buffer, page, IOVA);
    await advise(io, buffer, MADV_DONTNEED);
    await assertByte(io, buffer, 5, "the byte");
    await io.mock.checkMap(hwptId, IOVA, page, buffer);
  });

  f.test("dont_need_file", {
    description:
      "MADV_DONTNEED gives a private mapping of a file the file's pages again",
    rules: ["U1.5"],
  }, async ({ io, ioasId, hwptId }) => {
    const { page } = io;
    const fd = await memoryFile(io, 2);
    const shared = await mapFile(io, fd);
    const own = await mapFile(io, fd, MAP_PRIVATE);
    await pokeByte(io, shared, 5);
    await pokeByte(io, own, 6);
    await io.mapFixed(ioasId, own, page, IOVA);
    await advise(io, own, MADV_DONTNEED);
    await assertByte(io, own, 5, "the file's byte");
    await io.mock.checkMap(hwptId, IOVA, page, own, EINVAL);
    await pokeByte(io, shared, 7);
    await assertByte(io, own, 7, "the file's byte, shared");
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("dont_fork", {
    description:
      "What MADV_DONTFORK names the child does not have, and so cannot map, until MADV_DOFORK",
    rules: ["U1.7"],
    needs: () => ["fork"],
  }, async ({ io, ioasId }) => {
    const { page, buffer } = io;
    for (const advice of [MADV_DONTFORK, MADV_DOFORK]) {
      await advise(io, buffer, advice);
      const child = await io.process.fork();
      const errno = advice === MADV_DONTFORK ? EFAULT : undefined;
      await io.in(child).mapFixed(ioasId, buffer, page, IOVA, errno);
      await child.exit();
    }
  });

  f.test("huge_do_fork", {
    description: "MADV_DOFORK takes huge pages before Linux 6.17",
    rules: ["U1.7"],
    needs: () => ["hugetlb"],
  }, async ({ io }) => {
    const { hugePageSize } = io.context;
    const memory = await io.mmap(hugePageSize, MAP_PRIVATE | MAP_HUGETLB);
    const { hugePagesDoFork } = io.revision.pages;
    const rows = [
      [MADV_DONTFORK, undefined],
      [MADV_DOFORK, hugePagesDoFork ? undefined : EINVAL],
    ] as const;
    for (const [advice, errno] of rows) {
      const ret = await io.process.madvise(memory, hugePageSize, advice);
      assertResult(ret, errno, `madvise ${advice}`);
    }
    await io.munmap(memory, BigInt(hugePageSize));
  });

  f.test("reading_cuts", {
    description:
      "Advice about how memory will be read cuts its mapping where that changes it, which a huge page cannot be",
    rules: ["U1.8"],
    needs: () => ["hugetlb"],
  }, async ({ io }) => {
    const { process, context: { pageSize, hugePageSize } } = io;
    const memory = await io.mmap(hugePageSize, MAP_PRIVATE | MAP_HUGETLB);
    const rows = [
      [pageSize, MADV_NORMAL, undefined],
      [pageSize, MADV_RANDOM, EINVAL],
      [pageSize, MADV_SEQUENTIAL, EINVAL],
      [hugePageSize, MADV_RANDOM, undefined],
      [pageSize, MADV_RANDOM, undefined],
      [pageSize, MADV_NORMAL, EINVAL],
    ] as const;
    for (const [length, advice, errno] of rows) {
      const ret = await process.madvise(memory, length, advice);
      assertResult(ret, errno, `madvise ${advice} of ${length} bytes`);
    }
    await io.munmap(memory, BigInt(hugePageSize));
  });
}

/** Gives advice about a page, which must succeed. */
async function advise(
  { process, context }: Iommufd,
  address: number,
  advice: number,
): Promise<void> {
  const ret = await process.madvise(address, context.pageSize, advice);
  assertEq(ret, 0, "madvise");
}

/** Ranges of calls about memory. */
function registerRanges(f: MemoryFixture): void {
  f.table("range_alignment", {
    description: "Calls about memory want addresses of pages",
    rules: ["U1.9"],
  }, (t) => {
    type Call = (process: TargetProcess, at: number) => Promise<number>;
    const calls: [string, Call][] = [
      ["mprotect", (process, at) => process.mprotect(at, 4096, PROT_READ)],
      ["munmap", (process, at) => process.munmap(at, 4096)],
      ["madvise", (process, at) => process.madvise(at, 4096, MADV_DONTNEED)],
    ];
    for (const [what, call] of calls) {
      t.case(what, async ({ io }) => {
        const memory = await io.mmap(2n * io.page, MAP_PRIVATE);
        await pokeByte(io, memory, 1);
        assertErrno(await call(io.process, memory + 1), EINVAL, what);
        await assertByte(io, memory, 1, "the byte");
        await io.munmap(memory, 2n * io.page);
      });
    }
  });

  f.table("range_holes", {
    description:
      "Over a hole munmap goes on; mprotect stops there, and MADV_DONTNEED tells of it in the end",
    rules: ["U1.9"],
  }, (t) => {
    type Call = (
      process: TargetProcess,
      at: number,
      length: number,
    ) => Promise<number>;
    const rows: [
      string,
      Call,
      errno: boolean,
      first: boolean,
      last: boolean,
    ][] = [
      [
        "mprotect",
        (process, at, length) => process.mprotect(at, length, PROT_NONE),
        true,
        true,
        false,
      ],
      [
        "munmap",
        (process, at, length) => process.munmap(at, length),
        false,
        true,
        true,
      ],
      [
        "madvise",
        (process, at, length) => process.madvise(at, length, MADV_DONTNEED),
        true,
        false,
        false,
      ],
    ];
    for (const [what, call, fails, first, last] of rows) {
      t.case(what, async ({ io, ioasId }) => {
        const { page, process } = io;
        const { pageSize } = io.context;
        const memory = await io.mmap(3n * page, MAP_PRIVATE);
        await io.munmap(memory + pageSize, page);
        const ret = await call(process, memory, 3 * pageSize);
        if (fails) assertErrno(ret, ENOMEM, what);
        else assertEq(ret, 0, what);
        // What can no longer be pinned was reached.
        for (const [at, gone] of [[0, first], [2, last]] as const) {
          const errno = gone ? EFAULT : undefined;
          await io.mapFixed(ioasId, memory + at * pageSize, page, IOVA, errno);
          if (!gone) await io.unmap(ioasId, IOVA, page);
        }
        await io.munmap(memory, 3n * page);
      });
    }
  });

  f.test("munmap_part", {
    description: "What is unmapped is gone, and what lies beside it is not",
    rules: ["U1.9"],
  }, async ({ io, ioasId, hwptId }) => {
    const huge = io.context.hugePageSize;
    const { pageSize } = io.context;
    const memory = await io.mmap(32 * huge, MAP_PRIVATE);
    const [from, to] = [memory + 2 * huge, memory + 30 * huge];
    await pokeByte(io, from - pageSize, 2);
    await pokeByte(io, to, 3);
    await io.munmap(from, to - from);
    await assertByte(io, from - pageSize, 2, "the byte before");
    await assertByte(io, to, 3, "the byte behind");
    const before = from - pageSize;
    await io.mapFixed(ioasId, before, 2 * pageSize, IOVA, EFAULT);
    await io.mapFixed(ioasId, to - pageSize, 2 * pageSize, IOVA, EFAULT);
    await io.mapFixed(ioasId, before, pageSize, IOVA);
    await io.mapFixed(ioasId, to, pageSize, IOVA + io.page);
    await io.mock.checkMap(hwptId, IOVA, io.page, before);
    await io.mock.checkMap(hwptId, IOVA + io.page, io.page, to);
    await io.munmap(memory, 2 * huge);
    await io.munmap(to, 2 * huge);
  });
}
