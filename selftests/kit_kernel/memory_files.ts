// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the fixtures about files of memory share.
 *
 * @module
 */

import type { Errno } from "../../impl/uapi/errno.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MFD_ALLOW_SEALING,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
  type TargetProcess,
} from "../harness/harness.ts";
import { MemoryFault } from "../target/target_failure.ts";

/** To read and to write. */
export const RW: number = PROT_READ | PROT_WRITE;

/** fallocate: drops pages. */
export const PUNCH: number = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/** The result of a call must be 0, or an errno. */
export function assertDone(
  ret: number,
  errno: Errno | undefined,
  what: string,
): void {
  if (errno === undefined) assertEq(ret, 0, what);
  else assertErrno(ret, errno, what);
}

/** There must be no memory at an address. */
export async function assertFaults(
  process: TargetProcess,
  address: number,
): Promise<void> {
  let faulted = false;
  await process.peek(address, 1).catch((error) => {
    faulted = error instanceof MemoryFault;
    if (!faulted) throw error;
  });
  assertTrue(faulted, `no memory is at 0x${address.toString(16)}`);
}

/** Reads a whole file and compares it. */
export async function assertFile(
  process: TargetProcess,
  fd: number,
  expected: Uint8Array,
  what: string,
): Promise<void> {
  const seen = new Uint8Array(expected.length + 1);
  assertEq(await process.pread(fd, seen, 0), expected.length, `length ${what}`);
  assertBytes(seen.subarray(0, expected.length), expected, what);
}

/** Opens a path, which must work. */
export async function openPath(
  process: TargetProcess,
  path: string,
  flags: number,
): Promise<number> {
  return assertOk(await process.open(path, flags), `open ${path}`);
}

/** A memfd of `length` bytes that can be sealed. */
export async function memfd(
  process: TargetProcess,
  length: number,
  flags: number = MFD_ALLOW_SEALING,
): Promise<number> {
  const fd = assertOk(await process.memfdCreate("kit", flags), "memfd");
  assertEq(await process.ftruncate(fd, length), 0, "ftruncate");
  return fd;
}

/** Another descriptor of what `fd` is open to, with a position of its own. */
export async function reopen(
  process: TargetProcess,
  fd: number,
  flags: number = O_RDWR,
): Promise<number> {
  return await openPath(process, `/proc/self/fd/${fd}`, flags);
}

/** Maps a part of a file. */
export async function mapFile(
  process: TargetProcess,
  fd: number,
  length: number,
  flags: number,
  prot: number = RW,
  offset = 0,
): Promise<number> {
  const addr = await process.mmap(0, length, prot, flags, fd, offset);
  return assertOk(addr, "mmap of a file");
}

/** The seals of a file must be these. */
export async function assertSeals(
  process: TargetProcess,
  fd: number,
  seals: number,
): Promise<void> {
  assertEq(await process.fcntl(fd, F_GET_SEALS), seals, "seals");
}

/** Seals a file. */
export async function seal(
  process: TargetProcess,
  fd: number,
  seals: number,
  errno?: Errno,
): Promise<void> {
  const ret = await process.fcntl(fd, F_ADD_SEALS, seals);
  assertDone(ret, errno, `F_ADD_SEALS 0x${seals.toString(16)}`);
}
