// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tries what a target says that it can do with files.
 *
 * @module
 */

import { EBADF, EINVAL, ENOENT, EPERM } from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_GROW,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
  SEEK_END,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
} from "../../selftests/harness/harness.ts";
import {
  MemoryFault,
  type TargetProcess,
} from "../../selftests/target/target.ts";

/** What a probe works with. */
interface OneProcess {
  readonly process: TargetProcess;
  readonly pageSize: number;
}

const RW = PROT_READ | PROT_WRITE;
/** Bytes that are written, and no bytes. */
const BYTES = new Uint8Array([1, 0x80, 0xff]);
const NOTHING = new Uint8Array(BYTES.length);

/** Files of memory have offsets, holes, seals, and names. */
export async function probeFiles(on: OneProcess): Promise<void> {
  await probeOffsets(on);
  await probeSeals(on);
  const path = "/dev/shm/iommufd-kit-probe";
  const fresh = O_RDWR | O_CREAT | O_EXCL;
  const { process } = on;
  const fd = assertOk(await process.open(path, fresh), "open of a new file");
  assertEq(await process.unlink(path), 0, "unlink");
  assertEq(await process.write(fd, BYTES), BYTES.length, "write of the file");
  assertErrno(await process.unlink(path), ENOENT, "unlink once more");
  assertEq(await process.close(fd), 0, "close");
}

/** `pread`, `pwrite`, `lseek` and `fallocate`. */
async function probeOffsets({ process, pageSize }: OneProcess): Promise<void> {
  const { length } = BYTES;
  const fd = assertOk(await process.memfdCreate("probe", 0), "memfd");
  assertEq(await process.pwrite(fd, BYTES, pageSize), length, "pwrite");
  const end = pageSize + length;
  assertEq(await process.lseek(fd, 0, SEEK_END), end, "lseek to the end");
  const into = new Uint8Array(length + 1);
  assertEq(await process.pread(fd, into, pageSize), length, "pread");
  assertBytes(into.subarray(0, length), BYTES, "what was written");
  const hole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const punched = await process.fallocate(fd, hole, pageSize, pageSize);
  assertEq(punched, 0, "fallocate to punch a hole");
  assertEq(await process.pread(fd, into, pageSize), length, "pread of it");
  assertBytes(into.subarray(0, length), NOTHING, "what is in the hole");
  assertEq(await process.close(fd), 0, "close");
}

/** `fcntl`, and the path of a descriptor. */
async function probeSeals({ process, pageSize }: OneProcess): Promise<void> {
  const memfd = await process.memfdCreate("probe", MFD_ALLOW_SEALING);
  const fd = assertOk(memfd, "memfd with seals");
  assertEq(await process.fcntl(fd, F_GET_SEALS), 0, "first seals");
  const added = await process.fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
  assertEq(added, 0, "a seal");
  assertEq(await process.fcntl(fd, F_GET_SEALS), F_SEAL_GROW, "seals");
  const longer = await process.ftruncate(fd, pageSize);
  assertErrno(longer, EPERM, "ftruncate of what is sealed");
  const path = `/proc/self/fd/${fd}`;
  const again = assertOk(await process.open(path, O_RDONLY), `open ${path}`);
  const written = await process.write(again, BYTES);
  assertErrno(written, EBADF, "write of what is open for reading");
  assertEq(await process.close(again), 0, "close");
  assertEq(await process.close(fd), 0, "close");
}

/** A mapping can be moved, with what is in it. */
export async function probeMremap(
  { process, pageSize }: OneProcess,
): Promise<void> {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const mapped = await process.mmap(0, 4 * pageSize, RW, flags);
  const from = assertOk(mapped, "mmap");
  await process.poke(from, BYTES);
  const to = from + 2 * pageSize;
  const moves = MREMAP_MAYMOVE | MREMAP_FIXED;
  const moved = await process.mremap(from, pageSize, pageSize, moves, to);
  assertEq(moved, to, "mremap");
  const bytes = await process.peek(to, BYTES.length);
  assertBytes(bytes, BYTES, "what was moved");
  const nothing = await process.mremap(from, pageSize, 0, 0);
  assertErrno(nothing, EINVAL, "mremap to nothing");
}

/** A program that runs anew has no memory, and what stays open. */
export async function probeExec(
  { process, pageSize }: OneProcess,
): Promise<void> {
  const fd = assertOk(await process.memfdCreate("probe", 0), "memfd");
  const other = await process.memfdCreate("probe", MFD_CLOEXEC);
  assertOk(other, "memfd that exec closes");
  assertEq(await process.ftruncate(fd, pageSize), 0, "ftruncate");
  const addr = await process.mmap(0, pageSize, PROT_READ, MAP_SHARED, fd);
  assertOk(addr, "mmap");
  assertEq(await process.exec(), 0, "exec");
  assertErrno(await process.close(other), EBADF, "close of what exec closed");
  assertEq(await process.close(fd), 0, "close of what stayed open");
  const gone = await process.peek(addr, 1).catch((error) => {
    if (error instanceof MemoryFault) return undefined;
    throw error;
  });
  assertTrue(gone === undefined, "memory is gone after exec");
}

/** A descriptor becomes another one's, and what it was is closed. */
export async function probeDup2({ process }: OneProcess): Promise<void> {
  const { ret, readFd, writeFd } = await process.pipe();
  assertEq(ret, 0, "pipe");
  const fd = assertOk(await process.memfdCreate("probe", 0), "memfd");
  assertEq(await process.dup2(fd, writeFd), writeFd, "dup2");
  const into = new Uint8Array(BYTES.length);
  assertEq(await process.read(readFd, into), 0, "read of what dup2 closed");
  assertEq(await process.write(writeFd, BYTES), BYTES.length, "write");
  assertEq(await process.read(fd, into), 0, "read where the write ended");
  assertEq(await process.dup2(fd, fd), fd, "dup2 to itself");
  assertErrno(await process.dup2(999, fd), EBADF, "dup2 of no descriptor");
  assertErrno(await process.dup3(fd, fd, 0), EINVAL, "dup3 to itself");
  const third = await process.dup3(fd, readFd, O_CLOEXEC);
  assertEq(third, readFd, "dup3 with O_CLOEXEC");
  for (const each of [fd, readFd, writeFd]) {
    assertEq(await process.close(each), 0, "close");
  }
}

/** A descriptor that is passed is open to the same file: it has its position too. */
export async function probePassFd(
  { process }: OneProcess,
  to: TargetProcess = process,
): Promise<void> {
  const fd = assertOk(await process.memfdCreate("probe", 0), "memfd");
  const passed = await process.passFd(fd, to);
  assertOk(passed, "descriptor that was passed");
  assertEq(await process.write(fd, BYTES), BYTES.length, "write");
  const into = new Uint8Array(BYTES.length);
  assertEq(await to.read(passed, into), 0, "read where the write ended");
  assertEq(await to.close(passed), 0, "close of what was passed");
  assertErrno(await process.passFd(999, to), EBADF, "no descriptor, passed");
  assertEq(await process.close(fd), 0, "close");
}
