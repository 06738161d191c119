// SPDX-License-Identifier: GPL-2.0-only

/**
 * Values of the kernel that programs read and write as text.
 *
 * @module
 */

import { File } from "./file.ts";
import type { Task } from "../interfaces/task.ts";
import { EINVAL, ERANGE, errnoOf } from "../../uapi/errno.ts";

/** A value that is read and written as text. */
export interface Value {
  /** The text of now. */
  show(): string;
  /** Takes a text, of which a newline at the end was cut. Throws EINVAL, ERANGE. */
  store(text: string): void;
}

/** Most bytes that are taken of one write (Linux: the buffer of kstrtouint_from_user). */
const MAX_STORED = 34;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An opening of a file with a value, read from a position on and written as a whole. */
export class ValueFile extends File {
  readonly #value: Value;
  #position = 0;

  /** Opened with `O_RDONLY`, `O_WRONLY` or `O_RDWR`. */
  constructor(value: Value, access: number) {
    super(access);
    this.#value = value;
  }

  override get hasOffsets(): boolean {
    return true;
  }

  /** Linux: simple_read_from_buffer. */
  override read(
    task: Task,
    uaddr: number,
    count: number,
    offset?: number,
  ): number {
    const from = offset ?? this.#position;
    const text = encoder.encode(this.#value.show());
    const bytes = text.subarray(from, from + count);
    if (bytes.length > 0) task.mm.copyToUser(uaddr, bytes);
    if (offset === undefined) this.#position += bytes.length;
    return bytes.length;
  }

  override write(task: Task, uaddr: number, count: number): number {
    const bytes = new Uint8Array(Math.min(count, MAX_STORED));
    task.mm.copyFromUser(bytes, uaddr);
    const end = bytes.indexOf(0);
    const text = decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
    this.#value.store(text.replace(/\n$/, ""));
    return count;
  }
}

/** A number below `limit`, in the base that it says. Throws EINVAL, ERANGE. (Linux: kstrtoull.) */
export function parseUnsigned(text: string, limit: number): number {
  const match = /^\+?(?:(0x[0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*))$/i.exec(text);
  if (match === null) throw EINVAL;
  const [, hexadecimal, octal, decimal] = match;
  const value = Number(hexadecimal ?? decimal ?? `0o0${octal}`);
  if (value >= limit) throw ERANGE;
  return value;
}

/** A number of 16 bits, of whatever base. Throws EINVAL. (Linux: kstrtou16.) */
export function parseCount(text: string): number {
  let count = 0;
  const errno = errnoOf(() => count = parseUnsigned(text, 2 ** 16));
  if (errno !== undefined) throw EINVAL;
  return count;
}

/** Yes or no. Throws EINVAL. (Linux: kstrtobool.) */
export function parseBoolean(text: string): boolean {
  if (/^([eyt1]|on)/i.test(text)) return true;
  if (/^([dnf0]|of)/i.test(text)) return false;
  throw EINVAL;
}
