// SPDX-License-Identifier: GPL-2.0-only

/**
 * What an NVMe drive tells without being asked, by the commands that wait for
 * it.
 *
 * @module
 */

import { NvmeError, STATUS } from "./commands.ts";
import { MAX_ASYNC_EVENTS } from "./limits.ts";
import { LOG } from "./log_pages.ts";

/** What happened: a type (0, an error), which one, and where more is said of it. */
export const EVENT = {
  /** A doorbell was rung of a queue that is not there. */
  invalidDoorbell: LOG.errors << 16,
  /** … with a number that its queue has not. */
  invalidDoorbellValue: LOG.errors << 16 | 1 << 8,
} as const;

/** An answer to a command that waits. */
export interface EventAnswer {
  readonly id: number;
  readonly status: number;
  readonly result: number;
}

/** Commands that wait, and what they have not been told. */
export class AsyncEvents {
  #waiting: number[] = [];
  readonly #aborted: number[] = [];
  readonly #raised: Set<number> = new Set();
  /** Log pages of events that were told: no other is, until the page is read. */
  readonly #unread: Set<number> = new Set();

  /** Nobody waits, nothing happened. */
  clear(): void {
    this.#waiting = [];
    this.#aborted.length = 0;
    this.#raised.clear();
    this.#unread.clear();
  }

  /** ASYNCHRONOUS EVENT REQUEST: a command waits. Throws {@link NvmeError} if too many do. */
  wait(id: number): void {
    if (this.#waiting.length === MAX_ASYNC_EVENTS) {
      throw new NvmeError(STATUS.tooManyAsyncEvents);
    }
    this.#waiting.push(id);
  }

  /** ABORT: a command waits no more. Returns whether it did. */
  abort(id: number): boolean {
    const index = this.#waiting.indexOf(id);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    this.#aborted.push(id);
    return true;
  }

  /** Something of {@link EVENT} happened. */
  raise(event: number): void {
    if (!this.#unread.has(event >>> 16)) this.#raised.add(event);
  }

  /** A log page was read: what it is about can happen again. */
  read(page: number): void {
    this.#unread.delete(page);
  }

  /** The next answer that is due. */
  next(): EventAnswer | undefined {
    const aborted = this.#aborted.shift();
    if (aborted !== undefined) {
      return { id: aborted, status: STATUS.abortRequested, result: 0 };
    }
    for (const event of this.#raised) {
      if (this.#unread.has(event >>> 16)) continue;
      const id = this.#waiting.shift();
      if (id === undefined) return undefined;
      this.#raised.delete(event);
      this.#unread.add(event >>> 16);
      return { id, status: STATUS.success, result: event };
    }
    return undefined;
  }
}
