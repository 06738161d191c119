// SPDX-License-Identifier: GPL-2.0-only

/**
 * An adapter that we start, spoken to over its standard input and output.
 *
 * @module
 */

import { within } from "../lib/within.ts";
import type { Connection } from "./connection.ts";
import { ProcessGroup } from "./process_group.ts";
import { TextTail } from "./text_tail.ts";

/** Milliseconds for a process whose output has ended to end too, and for the rest of its standard error. */
const LAST_WORDS_MS = 2000;

/** Starts a program. Throws an error that says why if that cannot be done. */
export function spawnConnection(
  program: string,
  args: readonly string[],
): Connection {
  try {
    const child = new Deno.Command(program, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      // What it starts is ended with it: see ProcessGroup.
      detached: true,
    }).spawn();
    return new StdioConnection(child);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new Error(`There is no program "${program}"`);
    }
    throw error;
  }
}

class StdioConnection implements Connection {
  readonly #child: Deno.ChildProcess;
  readonly #group: ProcessGroup;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #stderr = new TextTail();
  readonly #stderrReader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #stderrEnd: Promise<void>;
  #buffer = new Uint8Array(64 * 1024);
  #closed: Promise<void> | undefined;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#group = new ProcessGroup(child);
    this.#writer = child.stdin.getWriter();
    this.#reader = child.stdout.getReader({ mode: "byob" });
    this.#stderrReader = child.stderr.getReader();
    this.#stderrEnd = this.#readStderr();
    // Its failure is that of the writes.
    this.#writer.closed.catch(() => {});
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#writer.write(bytes);
  }

  async read(): Promise<Uint8Array | null> {
    const { value, done } = await this.#reader.read(this.#buffer);
    // The buffer went into the stream and came back as another view.
    if (value) this.#buffer = new Uint8Array(value.buffer);
    return done ? null : value;
  }

  endInput(): Promise<void> {
    return this.#writer.close();
  }

  async howItEnded(): Promise<string> {
    const status = await within(LAST_WORDS_MS, this.#child.status);
    if (status === undefined) return "closed its output and went on running";
    await within(LAST_WORDS_MS, this.#stderrEnd);
    return status.signal === null
      ? `exited with code ${status.code}`
      : `was killed by ${status.signal}`;
  }

  takeStderr(): string {
    return this.#stderr.take();
  }

  close(graceMs: number): Promise<void> {
    return this.#closed ??= this.#close(graceMs);
  }

  async #close(graceMs: number): Promise<void> {
    this.#writer.close().catch(() => {});
    if (graceMs > 0) await within(graceMs, this.#child.status);
    this.#group.kill();
    await this.#child.status;
    await within(LAST_WORDS_MS, this.#stderrEnd);
    // A process that left the group may hold the pipes for ever.
    await this.#reader.cancel().catch(() => {});
    await this.#stderrReader.cancel().catch(() => {});
    await this.#stderrEnd;
  }

  async #readStderr(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.#stderrReader.read();
        if (done) return;
        this.#stderr.push(value);
      }
    } catch {
      // Nothing more to be had.
    }
  }
}
