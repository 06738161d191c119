// SPDX-License-Identifier: GPL-2.0-only

/**
 * The end of a text that never ends.
 *
 * @module
 */

/** Characters of standard error that are kept. */
const KEPT = 16 * 1024;

/** Keeps the last part of a text until it is taken. */
export class TextTail {
  readonly #decoder = new TextDecoder();
  #text = "";
  #cut = false;

  /** Adds UTF-8 bytes. */
  push(bytes: Uint8Array): void {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    if (this.#text.length <= 2 * KEPT) return;
    this.#text = this.#text.slice(-KEPT);
    this.#cut = true;
  }

  /** What came since the last call; `…` stands for what was too much. */
  take(): string {
    const cut = this.#cut || this.#text.length > KEPT;
    const text = this.#text.slice(-KEPT);
    this.#text = "";
    this.#cut = false;
    return cut ? `…${text}` : text;
  }
}
