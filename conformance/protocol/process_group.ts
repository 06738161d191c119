// SPDX-License-Identifier: GPL-2.0-only

/**
 * Processes that we started, together with those that they started: what must
 * not outlive us.
 *
 * @module
 */

import { beforeEnd } from "../lib/ending.ts";

/**
 * A child that was started detached: it leads a process group of its own. A
 * terminal sends its signals to our group only: this one would stay.
 */
export class ProcessGroup {
  readonly #child: Deno.ChildProcess;
  /** Undefined once they were ended: the number may be another's after that. */
  #forget: (() => void) | undefined;

  /** Takes a child in hand: if we are ended, it is. What it started ends with it. */
  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#forget = beforeEnd(() => this.kill());
    child.status.then(() => this.kill());
  }

  /** Ends all its processes, unless they have ended. */
  kill(): void {
    if (this.#forget === undefined) return;
    this.#forget();
    this.#forget = undefined;
    try {
      Deno.kill(-this.#child.pid, "SIGKILL");
      return;
    } catch {
      // All have ended, or we may only end what we started ourselves.
    }
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }
}
