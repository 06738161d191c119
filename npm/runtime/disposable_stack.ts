// SPDX-License-Identifier: GPL-2.0-only

/**
 * DisposableStack, for where it is not.
 *
 * @module
 */

import "./symbols.ts";

/** As much of a DisposableStack as the model uses. */
interface Undo extends Disposable {
  /** Adds what to do at the end. */
  defer(act: () => void): void;
  /** Another stack with all of this one's acts; this one has none any more. */
  move(): Undo;
  /** Does all acts, last first, even if some throw; then throws what the last of them threw. */
  dispose(): void;
}

class SmallStack implements Undo {
  #acts: (() => void)[] = [];

  defer(act: () => void): void {
    this.#acts.push(act);
  }

  move(): SmallStack {
    const moved = new SmallStack();
    moved.#acts = this.#acts;
    this.#acts = [];
    return moved;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  dispose(): void {
    const acts = this.#acts.reverse();
    this.#acts = [];
    const errors: unknown[] = [];
    for (const act of acts) {
      try {
        act();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors.at(-1);
  }
}

const there = (globalThis as { DisposableStack?: new () => Undo })
  .DisposableStack;

/** The one of the language, or ours. */
export const DisposableStack: new () => Undo = there ?? SmallStack;
