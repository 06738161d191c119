// SPDX-License-Identifier: GPL-2.0-only

/**
 * Paths that programs pass.
 *
 * @module
 */

import { PAGE_SIZE } from "../../impl/uapi/mman.ts";
import type { Block, Sys } from "../sys/sys.ts";
import type { Call } from "./call.ts";

/** Most bytes of a path, with the zero at its end (Linux: PATH_MAX). */
const PATH_MAX = 4096;

let scratch: Block | undefined;
const decoder = new TextDecoder();

/** The path at an address; undefined if there is none that the host would take. */
export function pathAt(call: Call, address: number): string | undefined {
  const { sys } = call.host;
  scratch ??= sys.alloc(PATH_MAX + 32);
  const bytes = scratch.bytes.subarray(0, PATH_MAX);
  let length = 0;
  while (length < PATH_MAX) {
    // A page at a time: what is behind the path may not be there.
    const at = address + length;
    const wanted = Math.min(
      length === 0 ? 256 : PATH_MAX,
      PATH_MAX - length,
      PAGE_SIZE - at % PAGE_SIZE,
    );
    const got = copyFrom(sys, call.tid, at, scratch, length, wanted);
    if (got <= 0) return undefined;
    const end = bytes.subarray(length, length + got).indexOf(0);
    if (end >= 0) return decoder.decode(bytes.slice(0, length + end));
    length += got;
  }
  return undefined;
}

/** Copies from a thread's memory into the scratch block; returns the bytes. */
function copyFrom(
  sys: Sys,
  tid: number,
  from: number,
  to: Block,
  offset: number,
  count: number,
): number {
  const { view, address } = to;
  const local = PATH_MAX;
  const remote = PATH_MAX + 16;
  view.setBigUint64(local, BigInt(address + offset), true);
  view.setBigUint64(local + 8, BigInt(count), true);
  view.setBigUint64(remote, BigInt(from), true);
  view.setBigUint64(remote + 8, BigInt(count), true);
  const { process_vm_readv } = sys.nr;
  return sys
    .call(process_vm_readv, tid, address + local, 1, address + remote, 1, 0);
}
