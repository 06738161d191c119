// SPDX-License-Identifier: GPL-2.0-only

/**
 * Who maps: what the pages of one task have in common.
 *
 * @module
 */

import type { KernelCore } from "../../kernel/core.ts";
import type { Task } from "../../kernel/interfaces/task.ts";
import { asOwner, type PagesOwner } from "./accounting.ts";
import { UserMemory } from "./sources/user_memory.ts";

/** A task as it maps memory. All pages share it that it maps in a row, so that each is small. */
export class Mapper {
  /** The task as their owner. */
  readonly owner: PagesOwner;
  readonly #read: UserMemory;
  readonly #write: UserMemory;

  /** The task with the memory and the user that it has now. */
  constructor(kernel: KernelCore, task: Task) {
    this.owner = asOwner(task);
    this.#read = new UserMemory(kernel, task.mm, false);
    this.#write = new UserMemory(kernel, task.mm, true);
  }

  /** Whether it is a task, with the memory and the user that this has now. */
  is(task: Task): boolean {
    const { owner } = this;
    return owner.task === task && owner.mm === task.mm &&
      owner.user === task.user;
  }

  /** The task's memory, for devices that write it or only read. */
  memory(writable: boolean): UserMemory {
    return writable ? this.#write : this.#read;
  }
}
