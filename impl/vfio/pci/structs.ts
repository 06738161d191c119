// SPDX-License-Identifier: GPL-2.0-only

/**
 * Structs of VFIO's ioctls on their way from the caller and back: each begins
 * with `argsz`, the bytes that the caller has.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { EINVAL } from "../../uapi/errno.ts";
import type { Struct } from "../../uapi/layout/struct.ts";

/** Throws EINVAL for a struct that is too short. */
export function checkSize(argsz: number, least: number): void {
  if (argsz < least) throw EINVAL.because("argsz is too small");
}

/** Throws EINVAL for flags that are not known. */
export function checkFlags(flags: number, known: number): void {
  if ((flags & ~known) !== 0) throw EINVAL.because("a flag is unknown");
}

/** Copies a struct in, of which `length` bytes are there; the rest is zero. Throws EFAULT. */
export function loadStruct<T extends object>(
  task: Task,
  uaddr: number,
  layout: Struct<T>,
  length: number = layout.size,
): { bytes: Uint8Array<ArrayBuffer>; cmd: T } {
  const bytes = new Uint8Array(layout.size);
  task.mm.copyFromUser(bytes.subarray(0, length), uaddr);
  return { bytes, cmd: layout.at(bytes) };
}

/**
 * Copies the first `least` bytes of a struct in, as many as the caller must
 * have; the rest is zero. Throws EFAULT, EINVAL.
 */
export function load<T extends { argsz: number }>(
  task: Task,
  uaddr: number,
  layout: Struct<T>,
  least: number = layout.size,
): { bytes: Uint8Array<ArrayBuffer>; cmd: T } {
  const loaded = loadStruct(task, uaddr, layout, least);
  checkSize(loaded.cmd.argsz, least);
  return loaded;
}
