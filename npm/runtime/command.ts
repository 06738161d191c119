// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that are started, as `Deno.Command` has them: all three streams are
 * pipes.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { type Readable, Writable } from "node:stream";
import { NotFound } from "./errors.ts";

/** How a program ended. */
interface Status {
  readonly success: boolean;
  readonly code: number;
  readonly signal: string | null;
}

/** A program and its arguments. */
export class Command {
  readonly #program: string;
  readonly #options: { readonly args: string[]; readonly detached: boolean };

  /** Nothing runs yet. */
  constructor(program: string, options: { args: string[]; detached: boolean }) {
    this.#program = program;
    this.#options = options;
  }

  /** Starts it. Throws {@link NotFound}. */
  spawn(): Child {
    const { args, detached } = this.#options;
    const child = spawn(this.#program, args, { detached });
    return new Child(child, this.#program);
  }
}

/** A program that was started. */
class Child {
  /** Its process id. */
  readonly pid: number;
  /** What it reads. */
  readonly stdin: WritableStream;
  /** What it writes. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** What it complains about. */
  readonly stderr: ReadableStream<Uint8Array>;
  /** Resolves when it has ended. */
  readonly status: Promise<Status>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, program: string) {
    // Without a process, the reason comes as an event, later.
    child.on("error", () => {});
    if (child.pid === undefined) throw new NotFound(program);
    this.#child = child;
    this.pid = child.pid;
    this.stdin = Writable.toWeb(child.stdin!) as WritableStream;
    this.stdout = bytesOf(child.stdout!);
    this.stderr = bytesOf(child.stderr!);
    this.status = new Promise((resolve) => {
      child.on(
        "exit",
        (code, signal) =>
          resolve({ success: code === 0, code: code ?? 1, signal }),
      );
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

/** A stream of bytes that can be read into a buffer of the reader. */
function bytesOf(from: Readable): ReadableStream<Uint8Array> {
  const chunks = from[Symbol.asyncIterator]();
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const { value, done } = await chunks.next();
      // Its bytes are Node's to keep: the stream gets a copy.
      if (!done) return controller.enqueue(new Uint8Array(value));
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel: () => void from.destroy(),
  }) as ReadableStream<Uint8Array>;
}
