// SPDX-License-Identifier: GPL-2.0-only

/**
 * `replay:FILE`: plays the transcript of a test back. The recorded replies are
 * given to the recorded requests, in order; where the test asks for something
 * else, it is told so.
 *
 * @module
 */

import { isRevisionName, type RevisionName } from "../../impl/uapi/revision.ts";
import { connectTarget } from "../protocol/client.ts";
import { parseHello } from "../protocol/hello.ts";
import { formatText, quoteLine, Words } from "../protocol/codec.ts";
import type { Connection } from "../protocol/connection.ts";
import { LineBuffer } from "../protocol/line_buffer.ts";
import type { TargetSpec } from "../targets/targets.ts";
import { UsageError } from "../command/usage_error.ts";

/** A recorded request without its sequence number, and the reply. */
interface Exchange {
  /** Number of the request's line in the file. */
  readonly line: number;
  readonly request: string;
  /** Undefined where none came. */
  readonly reply: string | undefined;
}

/** A transcript that was read. */
export interface Recording {
  /** The test that was recorded. */
  readonly test: string;
  /** The revision of the target. */
  readonly uapi: RevisionName;
  /** What was said. */
  readonly exchanges: readonly Exchange[];
}

/** Reads the name of a transcript's file, and the file. Throws {@link UsageError}. */
export function parseReplay(path: string, spec: string): TargetSpec {
  if (path === "") {
    throw new UsageError(
      `Cannot parse target "${spec}": replay: needs a transcript, as in replay:FILE.`,
    );
  }
  const recording = readRecording(path);
  const connect = () => Promise.resolve(new ReplayConnection(recording, path));
  return {
    spec,
    onlyTest: recording.test,
    revisions: () => Promise.resolve([recording.uapi]),
    open: async () => await connectTarget(await connect()),
  };
}

function readRecording(path: string): Recording {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(
      `Cannot read the transcript "${path}": ${(error as Error).message}`,
    );
  }
  return parseTranscript(text, path);
}

/** Reads the text of a transcript. Throws {@link UsageError}. */
export function parseTranscript(text: string, path: string): Recording {
  const exchanges: Exchange[] = [];
  let test: string | undefined;
  for (const [index, content] of text.split("\n").entries()) {
    const [, mark, rest] = /^([<>#]) (.*)$/.exec(content) ?? [];
    const line = index + 1;
    if (mark === "#") {
      test ??= /^test (\S+)$/.exec(rest!)?.[1];
    } else if (mark === ">") {
      const request = withoutSequence(rest!);
      exchanges.push({ line, request, reply: undefined });
    } else if (mark === "<" && exchanges.at(-1)?.reply === undefined) {
      const last = exchanges.pop();
      if (last === undefined) refuse(path, line, "no request is before it");
      exchanges.push({ ...last, reply: withoutSequence(rest!) });
    } else if (content !== "") {
      refuse(path, line, "it is no line of a transcript");
    }
  }
  if (test === undefined) refuse(path, 1, 'no line says "# test ID"');
  return { test, uapi: uapiOf(exchanges, path), exchanges };
}

function refuse(path: string, line: number, why: string): never {
  throw new UsageError(`Cannot read "${path}", line ${line}: ${why}.`);
}

/** What the recorded target said about itself. */
function uapiOf(exchanges: readonly Exchange[], path: string): RevisionName {
  const [greeting] = exchanges;
  try {
    const words = new Words(greeting?.reply ?? "");
    words.skip("ok");
    const { uapi } = parseHello(words);
    if (isRevisionName(uapi)) return uapi;
  } catch {
    // Told below.
  }
  return refuse(path, greeting?.line ?? 1, "it is no greeting of a target");
}

function withoutSequence(line: string): string {
  return line.slice(line.indexOf(" ") + 1);
}

/** An adapter that repeats what another said. */
class ReplayConnection implements Connection {
  readonly #exchanges: readonly Exchange[];
  readonly #path: string;
  readonly #lines = new LineBuffer();
  readonly #replies: Uint8Array[] = [];
  #next = 0;
  /** Why the recording is of no use any more. */
  #diverged: string | undefined;
  #ended = false;
  #wake: () => void = () => {};

  constructor({ exchanges }: Recording, path: string) {
    this.#exchanges = exchanges;
    this.#path = path;
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (const line of this.#lines.push(bytes)) {
      const [sequence] = line.split(" ", 1);
      const reply = this.#answer(withoutSequence(line));
      this.#replies.push(
        new TextEncoder().encode(`${sequence} ${reply}\n`),
      );
    }
    this.#wake();
    return Promise.resolve();
  }

  async read(): Promise<Uint8Array | null> {
    while (this.#replies.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#replies.shift() ?? null;
  }

  endInput(): Promise<void> {
    this.#ended = true;
    this.#wake();
    return Promise.resolve();
  }

  howItEnded(): Promise<string> {
    return Promise.resolve("came to its end");
  }

  takeStderr(): string {
    return "";
  }

  close(): Promise<void> {
    return this.endInput();
  }

  /** The reply to a request, without its sequence number. */
  #answer(request: string): string {
    if (request === "0 bye") return "ok";
    const next = this.#exchanges[this.#next];
    if (this.#diverged === undefined && next?.request === request) {
      this.#next++;
      if (next.reply !== undefined) return next.reply;
      this.#diverged = `No reply was recorded to line ${next.line}`;
    }
    // The end of the test comes early, or what is recorded of it does.
    if (request === "0 reset") return "ok";
    this.#diverged ??= next === undefined
      ? "The recording has no more calls"
      : `The test leaves the recording at line ${next.line}, which has ${
        quoteLine(next.request)
      }`;
    return `error ${formatText(`${this.#diverged} (${this.#path})`)}`;
  }
}
