// SPDX-License-Identifier: GPL-2.0-only

/**
 * The loop in which calls are answered. While there is traffic it does not
 * leave this thread; with none for a while, another thread waits. In between
 * the runtime gets its turns, so that timers and tests go on.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { Epoll } from "./epoll.ts";

/** Milliseconds without traffic after which another thread waits. */
const IDLE_MS = 1;
/** Milliseconds after which the runtime gets a turn. */
const TURN_MS = 5;
/** Calls after which it looks at the clock. */
const GLANCE = 16;

/** Dispatches what happens. */
export class Loop {
  readonly #epoll: Epoll;
  readonly #onIdle: () => void;
  #running: Promise<void> | undefined;

  /** Stands still. Calls `onIdle` when there was no traffic for a while. */
  constructor(epoll: Epoll, onIdle: () => void) {
    this.#epoll = epoll;
    this.#onIdle = onIdle;
  }

  /** Runs while `goesOn` says so; rejects with what a handler throws. */
  run(goesOn: () => boolean): Promise<void> {
    this.#epoll.wake();
    return this.#running ??= this.#run(goesOn);
  }

  async #run(goesOn: () => boolean): Promise<void> {
    try {
      // Who started something has it in hand first.
      await undefined;
      let turn = performance.now();
      for (let count = 1; goesOn(); count++) {
        const something = this.#epoll.dispatch(IDLE_MS);
        if (!goesOn()) return;
        if (!something) {
          this.#onIdle();
          await this.#epoll.sleep();
        } else if (count % GLANCE !== 0) continue;
        else if (performance.now() - turn < TURN_MS) continue;
        else await new Promise<void>((resolve) => setImmediate(resolve));
        turn = performance.now();
      }
    } finally {
      // At once: who waits for an end may start the next thing before others hear of this.
      this.#running = undefined;
    }
  }
}
