// SPDX-License-Identifier: GPL-2.0-only

/**
 * A line on the terminal that says where a run is.
 *
 * @module
 */

import { printable } from "../lib/printable.ts";
import { oneLine } from "../reports/summary.ts";

/** How often the line is drawn at most, in milliseconds. */
const INTERVAL_MS = 50;

/** Draws over one line of a terminal; draws nothing where there is none. */
export class ProgressLine {
  readonly #write: ((text: string) => void) | undefined;
  #drawnAt = -Infinity;

  /** `write` puts text on the terminal; undefined where there is none. */
  constructor(write: ((text: string) => void) | undefined) {
    this.#write = write;
  }

  /** Shows `text`, unless something was shown a moment ago. */
  show(text: string): void {
    const now = performance.now();
    if (this.#write === undefined || now - this.#drawnAt < INTERVAL_MS) return;
    this.#drawnAt = now;
    this.#write(`\r\x1b[K${printable(oneLine(text))}`);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#drawnAt >= 0) this.#write?.("\r\x1b[K");
  }
}
