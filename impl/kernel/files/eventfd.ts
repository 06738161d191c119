// SPDX-License-Identifier: GPL-2.0-only

/**
 * eventfd: a 64-bit counter behind a descriptor (Linux: fs/eventfd.c).
 *
 * @module
 */

import { EAGAIN, EINVAL } from "../../uapi/errno.ts";
import { POLLIN, POLLOUT } from "../../uapi/mman.ts";
import { type Eventfd, File } from "./file.ts";
import type { Task } from "../interfaces/task.ts";

/** eventfd: a read takes 1 instead of everything. */
export const EFD_SEMAPHORE = 1;

const COUNTER_SIZE = 8;
const COUNTER_MAX = 2n ** 64n - 1n;

/**
 * An eventfd. Nothing may block in the model, so that where Linux would wait
 * both kinds answer EAGAIN, with O_NONBLOCK or without.
 */
export class EventFd extends File implements Eventfd {
  #count: bigint;
  readonly #semaphore: boolean;

  /** Counts from `initial`, a u32. */
  constructor(initial: number, semaphore: boolean) {
    super();
    this.#count = BigInt(initial);
    this.#semaphore = semaphore;
  }

  /** Itself. */
  override get eventfd(): this {
    return this;
  }

  /** The name of its kind. */
  override get label(): string {
    return "anon_inode:[eventfd]";
  }

  /** It stays at the beginning (Linux: noop_llseek). */
  override seek(): number {
    return 0;
  }

  /** Adds 1, unless it is full (Linux: eventfd_signal). */
  signal(): void {
    if (this.#count === COUNTER_MAX) return;
    this.#count++;
    this.pollChanged();
  }

  /** Makes it 0; returns what it was (Linux: eventfd_ctx_do_read). */
  take(): bigint {
    const count = this.#count;
    this.#count = 0n;
    this.pollChanged();
    return count;
  }

  /** Takes the count and stores its 8 bytes. Throws EINVAL for a shorter buffer, EAGAIN at 0, EFAULT. */
  override read(process: Task, uaddr: number, count: number): number {
    if (count < COUNTER_SIZE) throw EINVAL;
    if (this.#count === 0n) throw EAGAIN;
    const taken = this.#semaphore ? 1n : this.#count;
    this.#count -= taken;
    this.pollChanged();
    const bytes = new Uint8Array(COUNTER_SIZE);
    new DataView(bytes.buffer).setBigUint64(0, taken, true);
    process.mm.copyToUser(uaddr, bytes);
    return COUNTER_SIZE;
  }

  /** Adds a u64. Throws EINVAL unless it is 8 bytes and less than 2^64-1, EAGAIN if the sum is not, EFAULT. */
  override write(process: Task, uaddr: number, count: number): number {
    if (count !== COUNTER_SIZE) throw EINVAL;
    const bytes = new Uint8Array(COUNTER_SIZE);
    process.mm.copyFromUser(bytes, uaddr);
    const added = new DataView(bytes.buffer).getBigUint64(0, true);
    if (added === COUNTER_MAX) throw EINVAL;
    if (this.#count + added >= COUNTER_MAX) throw EAGAIN;
    this.#count += added;
    this.pollChanged();
    return COUNTER_SIZE;
  }

  /** POLLIN above 0, POLLOUT below 2^64-2. */
  override poll(): number {
    let events = 0;
    if (this.#count > 0n) events |= POLLIN;
    if (this.#count < COUNTER_MAX - 1n) events |= POLLOUT;
    return events;
  }
}
