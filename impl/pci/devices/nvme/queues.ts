// SPDX-License-Identifier: GPL-2.0-only

/**
 * The queues of an NVMe drive: rings in its user's memory.
 *
 * @module
 */

import { type Command, NvmeError, STATUS } from "./commands.ts";
import { MAX_ENTRIES, QUEUES } from "./limits.ts";

/** A ring of commands. */
export interface SubmissionQueue {
  readonly id: number;
  readonly iova: number;
  readonly size: number;
  readonly completions: CompletionQueue;
  head: number;
  tail: number;
}

/** A ring of answers. */
export interface CompletionQueue {
  readonly id: number;
  readonly iova: number;
  readonly size: number;
  /** The message that it sends; none if it sends no interrupts. */
  readonly vector: number | undefined;
  head: number;
  tail: number;
  phase: number;
}

/** Where a queue is. */
interface Ring {
  readonly id: number;
  readonly size: number;
  readonly iova: number;
}

/** Those that there are, by number. Number 0 of both kinds is for admin commands. */
export class Queues {
  /** Of commands. */
  readonly submissions: (SubmissionQueue | undefined)[] = [];
  /** Of answers. */
  readonly completions: (CompletionQueue | undefined)[] = [];
  readonly #silence: (doorbell: number) => void;

  /** None. A queue that is made has a doorbell that nobody has rung: `silence` makes it so. */
  constructor(silence: (doorbell: number) => void) {
    this.#silence = silence;
  }

  /** Whether there are others than the admin queues. */
  get areInUse(): boolean {
    return this.submissions.length > 1 || this.completions.length > 1;
  }

  /** Forgets all. */
  clear(): void {
    this.submissions.length = 0;
    this.completions.length = 0;
  }

  /** Makes the admin queues. */
  addAdmin(commands: Omit<Ring, "id">, answers: Omit<Ring, "id">): void {
    const completions = this.#addCompletions({ ...answers, id: 0 }, 0);
    this.#addSubmissions({ ...commands, id: 0 }, completions);
  }

  /** CREATE I/O COMPLETION QUEUE. Throws {@link NvmeError}. */
  createCompletions(command: Command, pageSize: number): void {
    const ring = ringOf(command, this.completions, pageSize);
    const word = command.word(11);
    const vector = word >>> 16;
    if (vector >= QUEUES) throw new NvmeError(STATUS.invalidVector);
    this.#addCompletions(ring, word & 2 ? vector : undefined);
  }

  /** CREATE I/O SUBMISSION QUEUE. Throws {@link NvmeError}. */
  createSubmissions(command: Command, pageSize: number): void {
    const ring = ringOf(command, this.submissions, pageSize);
    const completions = this.completions[command.word(11) >>> 16];
    if (completions === undefined || completions.id === 0) {
      throw new NvmeError(STATUS.completionQueueInvalid);
    }
    this.#addSubmissions(ring, completions);
  }

  /** DELETE I/O SUBMISSION QUEUE: commands that wait in it are never answered. Throws {@link NvmeError}. */
  deleteSubmissions(id: number): void {
    remove(this.submissions, id);
  }

  /** DELETE I/O COMPLETION QUEUE. Throws {@link NvmeError}. */
  deleteCompletions(id: number): void {
    if (this.submissions.some((queue) => queue?.completions.id === id)) {
      throw new NvmeError(
        id === 0 ? STATUS.invalidQueueId : STATUS.invalidQueueDeletion,
      );
    }
    remove(this.completions, id);
  }

  #addSubmissions(ring: Ring, completions: CompletionQueue): void {
    this.#silence(2 * ring.id);
    this.submissions[ring.id] = { ...ring, completions, head: 0, tail: 0 };
  }

  #addCompletions(ring: Ring, vector: number | undefined): CompletionQueue {
    this.#silence(2 * ring.id + 1);
    const queue = { ...ring, vector, head: 0, tail: 0, phase: 1 };
    this.completions[ring.id] = queue;
    return queue;
  }
}

/** How many answers a queue has room for. */
export function roomOf({ size, head, tail }: CompletionQueue): number {
  return (head - tail - 1 + size) % size;
}

/** What both kinds of queues are made with. */
function ringOf(
  command: Command,
  queues: readonly unknown[],
  pageSize: number,
): Ring {
  const word = command.word(10);
  const [id, size] = [word & 0xffff, (word >>> 16) + 1];
  if (id === 0 || id >= QUEUES || queues[id] !== undefined) {
    throw new NvmeError(STATUS.invalidQueueId);
  }
  if (size < 2 || size > MAX_ENTRIES) {
    throw new NvmeError(STATUS.invalidQueueSize);
  }
  // A queue of pages that are anywhere is not for this drive.
  if ((command.word(11) & 1) === 0) throw new NvmeError(STATUS.invalidField);
  if (command.prp1 % pageSize !== 0) {
    throw new NvmeError(STATUS.invalidPrpOffset);
  }
  return { id, size, iova: command.prp1 };
}

/** Removes one, and the places behind the last. */
function remove(queues: unknown[], id: number): void {
  if (id === 0 || queues[id] === undefined) {
    throw new NvmeError(STATUS.invalidQueueId);
  }
  queues[id] = undefined;
  while (queues.at(-1) === undefined) queues.pop();
}
