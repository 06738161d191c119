// SPDX-License-Identifier: GPL-2.0-only

/**
 * The drawing of what the kernel holds when programs end.
 *
 * @module
 */

import { inspect } from "../../impl/inspect/inspect.ts";
import type { Kernel } from "../../impl/kernel.ts";
import type { Watcher } from "../calls/watcher.ts";

/**
 * Draws the state after the last call. A program that ends closes one file
 * after the other: the first of them is when all is still there.
 */
export class Drawing implements Watcher {
  readonly #kernel: Kernel;
  #drawn: string | undefined;

  /** Watches the programs of a kernel. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  enter(): void {
    this.#drawn = undefined;
  }

  closing(): void {
    this.#drawn ??= inspect(this.#kernel);
  }

  /** What there is now, or was when the last program ended. */
  text(): string {
    return this.#drawn ?? inspect(this.#kernel);
  }
}
