// SPDX-License-Identifier: GPL-2.0-only

/**
 * Reading and writing. Those of the first three descriptors too, which a shell
 * makes of what it redirects.
 *
 * @module
 */

import type { File } from "../../impl/kernel/files/file.ts";
import type { SyscallName } from "../sys/numbers.ts";
import { EFAULT, EINVAL } from "../../impl/uapi/errno.ts";
import {
  type Answer,
  answered,
  type Call,
  CONTINUE,
  type NotifiedCall,
} from "./call.ts";

/** Bytes of a struct iovec. */
const IOVEC = 16;
/** Most parts of one call (Linux: UIO_MAXIOV). */
const MAX_PARTS = 1024;

/** Moves one part: the address, the bytes, and the offset in the file, or undefined. */
type Move = (
  call: Call,
  address: number,
  count: number,
  offset: number | undefined,
) => number;

const readTo: Move = (call, address, count, offset) =>
  call.process.readTo(call.int(0), address, count, offset);

const writeFrom: Move = (call, address, count, offset) =>
  call.process.writeFrom(call.int(0), address, count, offset);

/** Answers what concerns a file of the model's. */
function ofModel(
  answer: (call: Call, file: File) => number,
): (call: Call) => Answer {
  return (call) => {
    const emulated = call.process.files.emulated(call.int(0));
    if (emulated === undefined) return CONTINUE;
    const { file, name } = emulated;
    return answered(call, name, () => answer(call, file));
  };
}

/** A call that moves bytes from or to one place. */
function single(name: SyscallName, move: Move, isAt: boolean): NotifiedCall {
  const handle = ofModel((call) =>
    move(call, call.arg(1), call.arg(2), isAt ? offsetOf(call) : undefined)
  );
  return { name, onDescriptor: true, handle };
}

/** A call that moves bytes from or to several. */
function vector(name: SyscallName, move: Move, isAt: boolean): NotifiedCall {
  const handle = ofModel((call) =>
    moveParts(call, move, isAt ? offsetOf(call) : undefined)
  );
  return { name, onDescriptor: true, handle };
}

/** The offset of the calls that have one: a long. */
function offsetOf(call: Call): number {
  return Number(BigInt.asIntN(64, call.arg64(3)));
}

/** Part by part, until one is short. */
function moveParts(
  call: Call,
  move: Move,
  offset: number | undefined,
): number {
  const count = call.arg(2);
  if (count > MAX_PARTS) return -EINVAL.code;
  const parts = new Uint8Array(count * IOVEC);
  try {
    call.process.mm.getUser(parts, call.arg(1));
  } catch {
    return -EFAULT.code;
  }
  const view = new DataView(parts.buffer);
  let moved = 0;
  for (let at = 0; at < parts.length; at += IOVEC) {
    const address = Number(view.getBigUint64(at, true));
    const length = Number(view.getBigUint64(at + 8, true));
    const from = offset === undefined ? undefined : offset + moved;
    const result = move(call, address, length, from);
    if (result < 0) return moved === 0 ? result : moved;
    moved += result;
    if (result < length) break;
  }
  return moved;
}

/** The family. */
export const READ_WRITE_CALLS: readonly NotifiedCall[] = [
  single("read", readTo, false),
  single("write", writeFrom, false),
  single("pread64", readTo, true),
  single("pwrite64", writeFrom, true),
  vector("readv", readTo, false),
  vector("writev", writeFrom, false),
  vector("preadv", readTo, true),
  vector("pwritev", writeFrom, true),
];
