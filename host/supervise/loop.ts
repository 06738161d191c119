// SPDX-License-Identifier: GPL-2.0-only

/**
 * The loop in which calls are answered. While there is traffic it does not
 * leave this thread; with none for a while, another thread waits. In between
 * the runtime gets its turns, so that timers and tests go on.
 *
 * While programs have memory of devices mapped, it looks there too, and does
 * not go to sleep.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { Epoll } from "./epoll.ts";
import type { Pace } from "./pace.ts";

/** Milliseconds without traffic after which another thread waits. */
const IDLE_MS = 1;
/** Milliseconds after which the runtime gets a turn. */
const TURN_MS = 5;
/** Calls after which it looks at the clock. */
const GLANCE = 16;

/** The memory of devices that programs have mapped. */
export interface MappedDevices {
  /** Whether there is a device that has to look. */
  readonly arePolled: boolean;
  /** Has the devices look; returns whether there was something. */
  poll(): boolean;
  /** Looks whether it is mapped still. */
  settle(): void;
}

/** Dispatches what happens. */
export class Loop {
  readonly #epoll: Epoll;
  readonly #devices: MappedDevices;
  readonly #onIdle: () => void;
  readonly #pace: Pace;
  #running: Promise<void> | undefined;

  /** Stands still. Calls `onIdle` when there was no traffic for a while. */
  constructor(
    epoll: Epoll,
    devices: MappedDevices,
    pace: Pace,
    onIdle: () => void,
  ) {
    this.#epoll = epoll;
    this.#devices = devices;
    this.#pace = pace;
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
        const looks = this.#devices.arePolled;
        const something = looks ? this.#look() : this.#epoll.dispatch(IDLE_MS);
        if (!goesOn()) return;
        if (!something && !looks) {
          this.#onIdle();
          await this.#epoll.sleep();
        } else if (count % GLANCE !== 0 && !looks) continue;
        else if (performance.now() - turn < TURN_MS) continue;
        else await new Promise<void>((resolve) => setImmediate(resolve));
        turn = performance.now();
      }
    } finally {
      // At once: who waits for an end may start the next thing before others hear of this.
      this.#running = undefined;
    }
  }

  /** Waits for a pause at most, and has the devices look; returns whether there was something. */
  #look(): boolean {
    const pause = this.#pace.pause(performance.now());
    if (pause > 0) this.#devices.settle();
    const called = this.#epoll.dispatch(pause);
    const found = this.#devices.poll();
    if (called || found) this.#pace.worked(performance.now());
    return called || found;
  }
}
