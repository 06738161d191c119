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
  ENODEV,
  ENOENT,
  ENOTDIR,
  EPERM,
  type Errno,
  ETXTBSY,
} from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  MAP_SHARED,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
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
import { mapFile, memfd, openPath, reopen } from "./memory_files.ts";
import { registerNamesAccess } from "./kit_names_access.ts";

/** The fixture as the files of its tests see it. */
export type NamesFixture = Fixture<undefined, Context>;

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
  registerDirectory(f);
  registerUnlink(f);
  registerNamesAccess(f);
}

/** Makes the file with {@link BYTES} in it. */
async function make(process: TargetProcess): Promise<number> {
  const fd = await openPath(process, PATH, NEW);
  assertEq(await process.write(fd, BYTES), BYTES.length, "write");
  return fd;
}

/** Takes the file away. */
async function remove(process: TargetProcess): Promise<void> {
  assertEq(await process.unlink(PATH), 0, "unlink");
}

/** What calls say of a directory. */
function registerDirectory(f: NamesFixture): void {
  f.test("directory", {
    description: "A directory can be opened, and is no memory",
    rules: ["U2.13"],
  }, async ({ process, pageSize }) => {
    const fd = await openPath(process, FOLDER, O_RDONLY);
    const into = new Uint8Array(1);
    assertErrno(await process.read(fd, into), EISDIR, "read");
    assertErrno(await process.pread(fd, into, 0), EISDIR, "pread");
    assertErrno(await process.write(fd, into), EBADF, "write");
    assertErrno(await process.ftruncate(fd, 0), EINVAL, "ftruncate");
    assertErrno(await process.fallocate(fd, 0, 0, 1), EBADF, "fallocate");
    assertErrno(await process.fcntl(fd, F_GET_SEALS), EINVAL, "F_GET_SEALS");
    const map = await process.mmap(0, pageSize, 1, MAP_SHARED, fd, 0);
    assertErrno(map, ENODEV, "mmap");
    assertEq(await process.lseek(fd, 5, SEEK_SET), 5, "SEEK_SET");
    assertEq(await process.lseek(fd, 2, SEEK_CUR), 7, "SEEK_CUR");
    assertErrno(await process.lseek(fd, -8, SEEK_CUR), EINVAL, "before it");
    assertErrno(await process.lseek(fd, 0, SEEK_END), EINVAL, "SEEK_END");
    assertEq(
      await process.close(await reopen(process, fd, O_RDONLY)),
      0,
      "close",
    );
    const path = `/proc/self/fd/${fd}`;
    assertErrno(await process.open(path, O_RDWR), EISDIR, "open to write");
    assertEq(await process.close(fd), 0, "close");
  });
}

/** open. */
function registerOpen(f: NamesFixture): void {
  f.table("open", {
    description: "Flags of open say whether the file must be there or not",
    rules: ["U2.8"],
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
      ["the program, to write", "/proc/self/exe", O_RDWR, ETXTBSY],
      ["a new directory", PATH, O_RDWR | O_CREAT | O_DIRECTORY, EINVAL],
      ["a directory", FOLDER, O_RDONLY, undefined],
      ["a directory as such", FOLDER, O_DIRECTORY, undefined],
      ["a directory to write", FOLDER, O_RDWR, EISDIR],
      ["a directory, made if need be", FOLDER, O_CREAT, EISDIR],
      ["a directory, truncated", FOLDER, O_TRUNC, EISDIR],
      ["a new directory that is there", FOLDER, O_CREAT | O_EXCL, EEXIST],
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
    rules: ["U2.8"],
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
        const fd = await openPath(process, PATH, flags);
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
    rules: ["U2.1"],
  }, async ({ process }) => {
    const fds = [
      await make(process),
      await openPath(process, FOLDER, O_TMPFILE | O_RDWR),
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
  f.test("unlink_folder", {
    description: "The folder of files is root's to take away, if it could be",
    rules: ["U2.9"],
    needs: () => ["setuid"],
  }, async ({ process }) => {
    assertErrno(await process.unlink(FOLDER), EISDIR, "unlink by root");
    assertEq(await process.setuid(1), 0, "setuid");
    assertErrno(await process.unlink(FOLDER), EACCES, "unlink by another");
  });

  f.test("unlink", {
    description:
      "A file that lost its name is there for who has it open or mapped; the name is free",
    rules: ["U2.9"],
  }, async ({ process, pageSize }) => {
    const old = await make(process);
    await remove(process);
    assertErrno(await process.open(PATH), ENOENT, "open");
    assertErrno(await process.unlink(PATH), ENOENT, "unlink");
    assertErrno(await process.unlink(FOLDER), EISDIR, "unlink of the folder");
    const other = await openPath(process, PATH, NEW);
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
    rules: ["U2.9"],
  }, async ({ process }) => {
    assertEq(await process.close(await make(process)), 0, "close");
    const fd = await openPath(process, PATH, O_RDONLY);
    const seen = new Uint8Array(9);
    assertEq(await process.read(fd, seen), BYTES.length, "read");
    assertBytes(seen.subarray(0, BYTES.length), BYTES, "bytes");
    assertEq(await process.close(fd), 0, "close");
    await remove(process);
  });

  f.test("others", {
    description: "Another user can neither open the file nor take it away",
    rules: ["U2.9"],
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
    assertEq(await child.close(await openPath(child, own, NEW)), 0, "close");
    assertEq(await process.unlink(own), 0, "unlink by root");
    await child.exit();
    assertEq(await process.close(fd), 0, "close");
    await remove(process);
  });
}
