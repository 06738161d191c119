// SPDX-License-Identifier: GPL-2.0-only

/**
 * Bytes in and out of a program's memory, for calls that are no business of the
 * model.
 *
 * @module
 */

import { AT_FDCWD, O_CLOEXEC } from "../../sys/structs.ts";
import type { Call } from "../call.ts";

/** Bytes of the two struct iovec. */
const VECTORS = 32;
const O_RDWR = 2;

/** Copies bytes into a program's memory as a call would; false where it must not be written. */
export function copyOut(
  { host: { sys }, tid }: Call,
  address: number,
  bytes: Uint8Array,
): boolean {
  if (bytes.length === 0) return true;
  const block = sys.map(VECTORS + bytes.length);
  const { view } = block;
  block.bytes.set(bytes, VECTORS);
  [block.address + VECTORS, bytes.length, address, bytes.length]
    .forEach((word, i) => view.setBigUint64(8 * i, BigInt(word), true));
  const { process_vm_writev } = sys.nr;
  const { address: local } = block;
  const remote = local + 16;
  const copied = sys.call(process_vm_writev, tid, local, 1, remote, 1, 0);
  sys.unmap(local, block.bytes.length);
  return copied === bytes.length;
}

/** Bytes of a program's memory, whatever it may do with it itself; undefined where there is none. */
export function peek(
  call: Call,
  address: number,
  length: number,
): Uint8Array | undefined {
  const { pread64 } = call.host.sys.nr;
  return transfer(call, pread64, address, new Uint8Array(length));
}

/** Puts bytes into a program's memory, whatever it may do with it itself; false where there is none. */
export function poke(call: Call, address: number, bytes: Uint8Array): boolean {
  const { pwrite64 } = call.host.sys.nr;
  return transfer(call, pwrite64, address, bytes) !== undefined;
}

/** Reads or writes a program's memory by a call on `/proc/TID/mem`; what is in the block afterwards. */
function transfer(
  { host: { sys }, tid }: Call,
  nr: number,
  address: number,
  bytes: Uint8Array,
): Uint8Array | undefined {
  const mem = sys.openat(AT_FDCWD, `/proc/${tid}/mem`, O_RDWR | O_CLOEXEC);
  if (mem < 0) return undefined;
  const block = sys.map(bytes.length);
  block.bytes.set(bytes);
  const moved = sys.call(nr, mem, block.address, bytes.length, address);
  sys.close(mem);
  const result = block.bytes.slice(0, bytes.length);
  sys.unmap(block.address, block.bytes.length);
  return moved === bytes.length ? result : undefined;
}
