// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_names`: what the access that a file is opened with allows, the
 * paths of descriptors, and positions.
 *
 * @module
 */

import {
  EACCES,
  EBADF,
  EEXIST,
  EINVAL,
  ENOTDIR,
  ENXIO,
  EPERM,
  type Errno,
  ESPIPE,
} from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_GROW,
  MAP_PRIVATE,
  MAP_SHARED,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
  PROT_READ,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type TargetProcess,
} from "../harness/harness.ts";
import { mapFile, memfd, openPath, PUNCH, reopen, RW } from "./memory_files.ts";
import type { NamesFixture } from "./kit_names.ts";

const NEW = O_RDWR | O_CREAT | O_EXCL;
const BYTES = new Uint8Array([1, 2, 3, 4, 5]);

/** Adds the tests to the fixture. */
export function registerNamesAccess(f: NamesFixture): void {
  registerAccess(f);
  registerReopen(f);
  registerOthers(f);
  registerPositions(f);
}

/** What the access allows. */
function registerAccess(f: NamesFixture): void {
  f.table("access", {
    description: "A file that is open for one thing cannot be used for another",
    rules: ["U2.8"],
  }, (t) => {
    const byte = new Uint8Array(1);
    const deeds: [
      string,
      Errno | undefined,
      Errno | undefined,
      (
        process: TargetProcess,
        fd: number,
      ) => Promise<number>,
    ][] = [
      ["read", undefined, EBADF, (p, fd) => p.read(fd, byte)],
      ["pread", undefined, EBADF, (p, fd) => p.pread(fd, byte, 0)],
      ["write", EBADF, undefined, (p, fd) => p.write(fd, byte)],
      ["pwrite", EBADF, undefined, (p, fd) => p.pwrite(fd, byte, 0)],
      ["lseek", undefined, undefined, (p, fd) => p.lseek(fd, 1, SEEK_SET)],
      ["ftruncate", EINVAL, undefined, (p, fd) => p.ftruncate(fd, 9)],
      ["hole", EBADF, undefined, (p, fd) => p.fallocate(fd, PUNCH, 0, 1)],
      ["get seals", undefined, undefined, (p, fd) => p.fcntl(fd, F_GET_SEALS)],
      [
        "seal",
        EPERM,
        undefined,
        (p, fd) => p.fcntl(fd, F_ADD_SEALS, F_SEAL_GROW),
      ],
      [
        "map shared to write",
        EACCES,
        EACCES,
        (p, fd) => p.mmap(0, 1, RW, MAP_SHARED, fd),
      ],
      [
        "map shared to read",
        undefined,
        EACCES,
        (p, fd) => p.mmap(0, 1, PROT_READ, MAP_SHARED, fd),
      ],
      [
        "map private to write",
        undefined,
        EACCES,
        (p, fd) => p.mmap(0, 1, RW, MAP_PRIVATE, fd),
      ],
    ];
    const accesses = [[O_RDONLY, "to read"], [O_WRONLY, "to write"]] as const;
    for (const [access, how] of accesses) {
      for (const [what, reading, writing, deed] of deeds) {
        t.case(`${what}, open ${how}`, async ({ process }) => {
          const fd = await reopen(process, await memfd(process, 5), access);
          const errno = access === O_RDONLY ? reading : writing;
          const ret = await deed(process, fd);
          if (errno) assertErrno(ret, errno, what);
          else assertOk(ret, what);
        });
      }
    }
    t.case("mprotect to write, open to read", async ({ process, pageSize }) => {
      const fd = await reopen(process, await memfd(process, 5), O_RDONLY);
      const at = await mapFile(process, fd, pageSize, MAP_SHARED, PROT_READ);
      const ret = await process.mprotect(at, pageSize, RW);
      assertErrno(ret, EACCES, "mprotect");
    });
  });
}

/** The paths of descriptors. */
function registerReopen(f: NamesFixture): void {
  f.table("reopen", {
    description:
      "The path of a descriptor opens the same file anew; what is no file cannot be opened",
    rules: ["U2.10"],
  }, (t) => {
    t.case("a memory file", async ({ process }) => {
      const fd = await memfd(process, 0);
      const other = await reopen(process, fd);
      assertEq(await process.write(fd, BYTES), BYTES.length, "write");
      const seen = new Uint8Array(BYTES.length);
      assertEq(await process.read(other, seen), seen.length, "read");
      assertBytes(seen, BYTES, "bytes, from the beginning");
    });
    t.case("a device", async ({ process }) => {
      const fd = await reopen(process, await openPath(process, "/dev/null", 2));
      assertEq(await process.write(fd, BYTES), BYTES.length, "write");
      assertEq(await process.read(fd, new Uint8Array(3)), 0, "read");
    });
    t.case("a new file", async ({ process }) => {
      const fd = await memfd(process, 0);
      const ret = await process.open(`/proc/self/fd/${fd}`, NEW);
      assertErrno(ret, EEXIST, "open");
    });
    t.case("a directory", async ({ process }) => {
      const fd = await memfd(process, 0);
      const ret = await process.open(`/proc/self/fd/${fd}`, O_DIRECTORY);
      assertErrno(ret, ENOTDIR, "open");
    });
    t.case("a device that was opened so", async ({ process }) => {
      const fd = await openPath(process, "/dev/null", O_RDWR);
      await reopen(process, await reopen(process, fd));
    });
    t.case("an eventfd", async ({ process }) => {
      const fd = assertOk(await process.eventfd(0, 0), "eventfd");
      const ret = await process.open(`/proc/self/fd/${fd}`, O_RDWR);
      assertErrno(ret, ENXIO, "open");
    });
  });
}

/** What another user has open. */
function registerOthers(f: NamesFixture): void {
  f.test("reopen_others", {
    description:
      "The path of a descriptor opens no file of another user's, such as what has no path; a memfd is everybody's",
    rules: ["U2.10"],
    needs: () => ["setuid"],
  }, async ({ process }) => {
    const file = await openPath(process, "/dev/shm", O_TMPFILE | O_RDWR);
    const eventfd = assertOk(await process.eventfd(0, 0), "eventfd");
    const everybodys = await memfd(process, 0);
    assertEq(await process.setuid(1), 0, "setuid");
    for (const fd of [file, eventfd]) {
      const ret = await process.open(`/proc/self/fd/${fd}`, O_RDWR);
      assertErrno(ret, EACCES, "open");
    }
    await reopen(process, everybodys);
  });
}

/** pread, pwrite and lseek. */
function registerPositions(f: NamesFixture): void {
  f.table("lseek", {
    description: "A position is counted from somewhere, and is not negative",
    rules: ["U2.11"],
  }, (t) => {
    const rows: [string, number, number, number | Errno][] = [
      ["from the beginning", 7, SEEK_SET, 7],
      ["from the position", 4, SEEK_CUR, 6],
      ["back from the position", -2, SEEK_CUR, 0],
      ["from the end", 0, SEEK_END, 5],
      ["behind the end", 100, SEEK_END, 105],
      ["before the beginning", -1, SEEK_SET, EINVAL],
      ["too far back", -6, SEEK_END, EINVAL],
      ["from nowhere", 0, 9, EINVAL],
    ];
    for (const [what, offset, whence, result] of rows) {
      t.case(what, async ({ process }) => {
        const fd = await memfd(process, 5);
        assertEq(await process.lseek(fd, 2, SEEK_SET), 2, "first position");
        const ret = await process.lseek(fd, offset, whence);
        if (typeof result !== "number") assertErrno(ret, result, "lseek");
        else assertEq(ret, result, "lseek");
        const at = await process.lseek(fd, 0, SEEK_CUR);
        assertEq(at, typeof result === "number" ? result : 2, "position");
      });
    }
    t.case("a pipe", async ({ process }) => {
      const { readFd } = await process.pipe();
      const ret = await process.lseek(readFd, 0, SEEK_SET);
      assertErrno(ret, ESPIPE, "lseek");
      assertErrno(await process.lseek(readFd, 0, 9), EINVAL, "from nowhere");
    });
    t.case("/dev/null", async ({ process }) => {
      const fd = await openPath(process, "/dev/null", O_RDWR);
      assertEq(await process.lseek(fd, 5, SEEK_SET), 0, "lseek");
    });
    t.case("/dev/null, to read", async ({ process }) => {
      const fd = await openPath(process, "/dev/null", O_RDONLY);
      assertErrno(await process.write(fd, BYTES), EBADF, "write");
      assertErrno(await process.pwrite(fd, BYTES, 0), EBADF, "pwrite");
      assertEq(await process.read(fd, new Uint8Array(1)), 0, "read");
    });
    t.case("no file", async ({ process }) => {
      assertErrno(await process.lseek(999, 0, 0), EBADF, "lseek");
    });
  });

  f.table("offsets", {
    description: "pread and pwrite leave the position; a write makes a hole",
    rules: ["U2.11"],
  }, (t) => {
    t.case("a memory file", async ({ process }) => {
      const fd = await memfd(process, 0);
      assertEq(await process.pwrite(fd, BYTES, 10), BYTES.length, "pwrite");
      const seen = new Uint8Array(20).fill(9);
      assertEq(await process.pread(fd, seen, 8), 7, "pread");
      const expected = new Uint8Array([0, 0, ...BYTES]);
      assertBytes(seen.subarray(0, 7), expected, "bytes");
      assertEq(await process.pread(fd, seen, 15), 0, "pread at the end");
      assertEq(await process.lseek(fd, 0, SEEK_CUR), 0, "position");
      assertEq(await process.read(fd, seen), 15, "read");
    });
    t.case("a negative offset", async ({ process }) => {
      const fd = await memfd(process, 5);
      assertErrno(await process.pread(fd, BYTES, -1), EINVAL, "pread");
      assertErrno(await process.pwrite(fd, BYTES, -1), EINVAL, "pwrite");
    });
    t.case("a pipe", async ({ process }) => {
      const { readFd, writeFd } = await process.pipe();
      assertErrno(await process.pread(readFd, BYTES, 0), ESPIPE, "pread");
      assertErrno(await process.pwrite(writeFd, BYTES, 0), ESPIPE, "pwrite");
    });
    t.case("no file", async ({ process }) => {
      assertErrno(await process.pread(999, BYTES, 0), EBADF, "pread");
      assertErrno(await process.pwrite(999, BYTES, 0), EBADF, "pwrite");
    });
  });
}
