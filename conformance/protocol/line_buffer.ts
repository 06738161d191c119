// SPDX-License-Identifier: GPL-2.0-only

/**
 * Cuts a stream of bytes into lines.
 *
 * @module
 */

import { ProtocolError } from "../../selftests/target/target_failure.ts";

/** Bytes of the longest line that is taken: no request or reply of a test comes near it. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

const LF = 0x0a;

/** Collects the bytes of lines that come in pieces. */
export class LineBuffer {
  /** The decoder makes one character of each byte; what is not ASCII is refused when words are read. */
  readonly #decoder = new TextDecoder("latin1");
  readonly #maxBytes: number;
  #pieces: string[] = [];
  #length = 0;

  /** `maxBytes` bounds a line. */
  constructor(maxBytes: number = MAX_LINE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** True in the middle of a line. */
  get midLine(): boolean {
    return this.#length > 0;
  }

  /** The lines that `bytes` complete, without their ends. Throws {@link ProtocolError} for one that is too long. */
  push(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LF, start);
      this.#append(bytes.subarray(start, end < 0 ? bytes.length : end));
      if (end < 0) return lines;
      lines.push(this.#take());
      start = end + 1;
    }
  }

  #append(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (this.#length > this.#maxBytes) {
      throw new ProtocolError(
        `A line is longer than ${this.#maxBytes} bytes and has no end`,
      );
    }
    if (bytes.length > 0) this.#pieces.push(this.#decoder.decode(bytes));
  }

  #take(): string {
    const line = this.#pieces.length === 1
      ? this.#pieces[0]!
      : this.#pieces.join("");
    this.#pieces = [];
    this.#length = 0;
    return line.endsWith("\r") ? line.slice(0, -1) : line;
  }
}
