// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the protocol's client needs of whatever carries its bytes.
 *
 * @module
 */

/** A stream of bytes to an adapter and back, and the adapter's life as far as we hold it in hand. */
export interface Connection {
  /** Sends bytes, after those of earlier calls. Rejects when the other end does not take them any more. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The next bytes, as many as there are; null at the end. */
  read(): Promise<Uint8Array | null>;
  /** Ends the adapter's input; its output may go on. */
  endInput(): Promise<void>;
  /**
   * Called after the end of the stream: how it came to that, in words that
   * follow `it`: `exited with code 1`. Must not wait for long.
   */
  howItEnded(): Promise<string>;
  /** What was written to standard error since this was asked last, where we can see it; a long text is cut at its beginning. */
  takeStderr?(): string;
  /**
   * Ends the connection, and the adapter if we started it: `graceMs`
   * milliseconds after its input has ended, all its processes are killed.
   * Idempotent; never rejects.
   */
  close(graceMs: number): Promise<void>;
}
