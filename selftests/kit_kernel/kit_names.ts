// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_names`: files of memory with names, how they are opened, and
 * what the access that they are opened with allows.
 *
 * @module
 */

import {
  EACCES,
  EBADF,
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
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
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  MAP_PRIVATE,
  MAP_SHARED,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
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
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import {
  assertDone,
  mapFile,
  memfd,
  PUNCH,
  reopen,
  RW,
} from "./memory_files.ts";

type NamesFixture = Fixture<undefined, Context>;

const FOLDER = "/dev/shm";
/** A file that the tests make and take away again. */
const PATH = `${FOLDER}/iommufd-kit-names`;
const NEW = O_RDWR | O_CREAT | O_EXCL;
const BYTES = new Uint8Array([1, 2, 3, 4, 5]);

/** Adds the fixture's tests to `registry`. */
export function registerKitNames(registry: Test[]): void {
  const f: NamesFixture = fixture(registry, "kit_names", {
    upstream: false,
    needs: () => ["files"],
    setup: (context) => Promise.resolve(context),
  });
  registerOpen(f);
  registerUnlink(f);
  registerAccess(f);
  registerReopen(f);
  registerPositions(f);
}

/** Opens a path, which must work. */
async function open(
  process: TargetProcess,
  path: string,
  flags: number,
): Promise<number> {
  return assertOk(await process.open(path, flags), `open ${path}`);
}

/** Makes the file with {@link BYTES} in it. */
async function make(process: TargetProcess): Promise<number> {
  const fd = await open(process, PATH, NEW);
  assertEq(await process.write(fd, BYTES), BYTES.length, "write");
  return fd;
}

/** Takes the file away. */
async function remove(process: TargetProcess): Promise<void> {
  assertEq(await process.unlink(PATH), 0, "unlink");
}

/** open. */
function registerOpen(f: NamesFixture): void {
  f.table("open", {
    description: "Flags of open say whether the file must be there or not",
    reference: "fs/namei.c do_open, lookup_open; fs/open.c build_open_flags",
  }, (t) => {
    const rows: [string, string, number, Errno | undefined][] = [
      ["a file", PATH, O_RDWR, undefined],
      ["a file, made if need be", PATH, O_RDWR | O_CREAT, undefined],
      ["a new file that is there", PATH, NEW, EEXIST],
      ["a file as a directory", PATH, O_DIRECTORY, ENOTDIR],
      ["no file", `${PATH}-none`, O_RDWR, ENOENT],
      ["no file, truncated", `${PATH}-none`, O_RDWR | O_TRUNC, ENOENT],
      ["no folder", `${PATH}-none/x`, NEW, ENOENT],
      ["no descriptor", "/proc/self/fd/999", O_RDWR, ENOENT],
      ["a device, made if need be", "/dev/null", O_RDWR | O_CREAT, undefined],
      ["a new device", "/dev/null", NEW, EEXIST],
      ["a device as a directory", "/dev/null", O_DIRECTORY, ENOTDIR],
      ["a device, truncated", "/dev/null", O_RDWR | O_TRUNC, undefined],
      ["a new directory", PATH, O_RDWR | O_CREAT | O_DIRECTORY, EINVAL],
      ["a directory to write", FOLDER, O_RDWR, EISDIR],
      ["a file without a name", FOLDER, O_TMPFILE | O_RDWR, undefined],
      [
        "a file without a name, to write",
        FOLDER,
        O_TMPFILE | O_WRONLY,
        undefined,
      ],
      ["a file without a name, to read", FOLDER, O_TMPFILE, EINVAL],
      ["a file without a name, made", FOLDER, O_TMPFILE | NEW, EINVAL],
      ["a file without a name in a file", PATH, O_TMPFILE | O_RDWR, ENOTDIR],
    ];
    for (const [what, path, flags, errno] of rows) {
      t.case(what, async ({ process }) => {
        const made = await make(process);
        const ret = await process.open(path, flags);
        if (errno !== undefined) assertErrno(ret, errno, "open");
        else assertEq(await process.close(assertOk(ret, "open")), 0, "close");
        assertEq(await process.close(made), 0, "close");
        await remove(process);
      });
    }
  });

  f.table("truncate", {
    description: "O_TRUNC cuts a file off, to read it or to write it",
    reference: "fs/namei.c handle_truncate",
  }, (t) => {
    const rows: [string, number, number][] = [
      ["to read, not cut", O_RDONLY, 5],
      ["to read", O_RDONLY | O_TRUNC, 0],
      ["to write", O_WRONLY | O_TRUNC, 0],
      ["made if need be", O_RDWR | O_CREAT | O_TRUNC, 0],
    ];
    for (const [what, flags, length] of rows) {
      t.case(what, async ({ process }) => {
        const made = await make(process);
        const fd = await open(process, PATH, flags);
        assertEq(await process.lseek(made, 0, SEEK_END), length, "length");
        for (const each of [made, fd]) await process.close(each);
        await remove(process);
      });
    }
    t.case("sealed", async ({ process }) => {
      const fd = await memfd(process, 5);
      const seal = await process.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
      assertEq(seal, 0, "F_ADD_SEALS");
      const ret = await process.open(`/proc/self/fd/${fd}`, O_RDWR | O_TRUNC);
      assertErrno(ret, EPERM, "open");
    });
  });

  f.test("seals", {
    description: "A file with a name has seals, but none can be added",
    reference: "mm/shmem.c __shmem_get_inode",
  }, async ({ process }) => {
    const fds = [
      await make(process),
      await open(process, FOLDER, O_TMPFILE | O_RDWR),
    ];
    for (const fd of fds) {
      assertEq(await process.fcntl(fd, F_GET_SEALS), F_SEAL_SEAL, "seals");
      const ret = await process.fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
      assertErrno(ret, EPERM, "F_ADD_SEALS");
      assertEq(await process.close(fd), 0, "close");
    }
    await remove(process);
  });
}

/** unlink. */
function registerUnlink(f: NamesFixture): void {
  f.test("unlink", {
    description:
      "A file that lost its name is there for who has it open or mapped; the name is free",
    reference: "mm/shmem.c shmem_unlink",
  }, async ({ process, pageSize }) => {
    const old = await make(process);
    await remove(process);
    assertErrno(await process.open(PATH), ENOENT, "open");
    assertErrno(await process.unlink(PATH), ENOENT, "unlink");
    assertErrno(await process.unlink(FOLDER), EISDIR, "unlink of the folder");
    const other = await open(process, PATH, NEW);
    const at = await mapFile(process, old, pageSize, MAP_SHARED);
    assertEq(await process.read(other, new Uint8Array(9)), 0, "read the new");
    const again = await reopen(process, old);
    assertEq(await process.close(old), 0, "close");
    const seen = new Uint8Array(BYTES.length);
    assertEq(await process.read(again, seen), seen.length, "read the old");
    assertBytes(seen, BYTES, "bytes of the old");
    assertEq(await process.close(again), 0, "close");
    assertBytes(await process.peek(at, seen.length), BYTES, "mapped bytes");
    assertEq(await process.munmap(at, pageSize), 0, "munmap");
    assertEq(await process.close(other), 0, "close");
    await remove(process);
  });

  f.test("name_keeps", {
    description: "A file that nobody has open keeps its bytes by its name",
    reference: "mm/shmem.c",
  }, async ({ process }) => {
    assertEq(await process.close(await make(process)), 0, "close");
    const fd = await open(process, PATH, O_RDONLY);
    const seen = new Uint8Array(9);
    assertEq(await process.read(fd, seen), BYTES.length, "read");
    assertBytes(seen.subarray(0, BYTES.length), BYTES, "bytes");
    assertEq(await process.close(fd), 0, "close");
    await remove(process);
  });

  f.test("others", {
    description: "Another user can neither open the file nor take it away",
    reference: "fs/namei.c may_open, may_delete",
    needs: () => ["fork", "setuid"],
  }, async ({ process }) => {
    const fd = await make(process);
    const child = await process.fork();
    assertEq(await child.setuid(1000), 0, "setuid");
    assertErrno(await child.open(PATH, O_RDONLY), EACCES, "open");
    assertErrno(await child.open(PATH, NEW), EEXIST, "open of a new file");
    assertErrno(await child.unlink(PATH), EPERM, "unlink");
    assertErrno(await child.unlink(`${PATH}-none`), ENOENT, "unlink of none");
    const own = `${PATH}-own`;
    assertEq(await child.close(await open(child, own, NEW)), 0, "close");
    assertEq(await process.unlink(own), 0, "unlink by root");
    await child.exit();
    assertEq(await process.close(fd), 0, "close");
    await remove(process);
  });
}

/** What the access allows. */
function registerAccess(f: NamesFixture): void {
  f.table("access", {
    description: "A file that is open for one thing cannot be used for another",
    reference: "fs/read_write.c; fs/open.c do_ftruncate; mm/mmap.c do_mmap",
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
    reference: "fs/proc/fd.c; fs/inode.c no_open",
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
      const fd = await reopen(process, await open(process, "/dev/null", 2));
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
    t.case("an eventfd", async ({ process }) => {
      const fd = assertOk(await process.eventfd(0, 0), "eventfd");
      const ret = await process.open(`/proc/self/fd/${fd}`, O_RDWR);
      assertErrno(ret, ENXIO, "open");
    });
  });
}

/** pread, pwrite and lseek. */
function registerPositions(f: NamesFixture): void {
  f.table("lseek", {
    description: "A position is counted from somewhere, and is not negative",
    reference: "fs/read_write.c generic_file_llseek_size",
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
      const fd = await open(process, "/dev/null", O_RDWR);
      assertEq(await process.lseek(fd, 5, SEEK_SET), 0, "lseek");
    });
    t.case("no file", async ({ process }) => {
      assertErrno(await process.lseek(999, 0, 0), EBADF, "lseek");
    });
  });

  f.table("offsets", {
    description: "pread and pwrite leave the position; a write makes a hole",
    reference: "fs/read_write.c ksys_pread64, ksys_pwrite64",
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
      assertDone(await process.unlink(`${PATH}-none`), ENOENT, "unlink");
    });
  });
}
