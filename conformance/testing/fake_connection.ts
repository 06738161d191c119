// SPDX-License-Identifier: GPL-2.0-only

/**
 * A connection within this process, whose other end a test plays.
 *
 * @module
 */

import type { Connection } from "../protocol/connection.ts";

/** What the other end does with a line. */
export type OnLine = (line: string, connection: FakeConnection) => void;

/** A connection to a function. */
export class FakeConnection implements Connection {
  /** The lines that were sent so far. */
  readonly lines: string[] = [];
  /** The grace of each call of `close`. */
  readonly closes: number[] = [];
  /** What `takeStderr` returns next. */
  stderr = "";
  readonly #onLine: OnLine;
  readonly #received: (Uint8Array | null)[] = [];
  #partial = "";
  #wake: (() => void) | undefined;
  #writable = true;

  /** `onLine` is called for each line that is sent. */
  constructor(onLine: OnLine) {
    this.#onLine = onLine;
  }

  /** Lets `text` arrive. */
  send(text: string): void {
    this.sendBytes(new TextEncoder().encode(text));
  }

  /** Lets bytes arrive. */
  sendBytes(bytes: Uint8Array): void {
    this.#receive(bytes);
  }

  /** Ends the output of the other end. */
  end(): void {
    this.#receive(null);
  }

  /** Lets every later write fail. */
  refuseInput(): void {
    this.#writable = false;
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (!this.#writable) return Promise.reject(new Error("Broken pipe"));
    const lines = (this.#partial + new TextDecoder().decode(bytes)).split("\n");
    this.#partial = lines.pop()!;
    for (const line of lines) {
      this.lines.push(line);
      this.#onLine(line, this);
    }
    return Promise.resolve();
  }

  async read(): Promise<Uint8Array | null> {
    while (this.#received.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#received.shift()!;
  }

  endInput(): Promise<void> {
    this.end();
    return Promise.resolve();
  }

  howItEnded(): Promise<string> {
    return Promise.resolve("exited with code 7");
  }

  takeStderr(): string {
    const { stderr } = this;
    this.stderr = "";
    return stderr;
  }

  close(graceMs: number): Promise<void> {
    this.closes.push(graceMs);
    this.end();
    return Promise.resolve();
  }

  #receive(bytes: Uint8Array | null): void {
    this.#received.push(bytes);
    this.#wake?.();
  }
}

/** A connection whose other end answers each line with `answer`. */
export function answering(answer: (line: string) => string): FakeConnection {
  return new FakeConnection((line, connection) =>
    connection.send(`${answer(line)}\n`)
  );
}
