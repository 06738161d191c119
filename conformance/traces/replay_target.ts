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
import type { Exchange } from "./transcript.ts";
import { LineBuffer } from "../protocol/line_buffer.ts";
import { refuseTarget, type TargetSpec } from "../targets/target_spec.ts";
import { readText } from "../lib/read_text.ts";
import { orUsageError, UsageError } from "../lib/usage_error.ts";

/** What stands before the file in the name of a replay. */
const SCHEME = "replay:";

/** What a file has of an exchange. */
interface ReadExchange extends Exchange {
  /** Number of the request's line. */
  readonly line: number;
}

/** A transcript that was read. */
export interface Recording {
  /** The test that was recorded. */
  readonly test: string;
  /** The revision of the target. */
  readonly uapi: RevisionName;
  /** What was said. */
  readonly exchanges: readonly ReadExchange[];
  /** The line in whose middle the file ends. */
  readonly cut: number | undefined;
}

/** The file that a target plays back, if it is a replay. */
export function replayedFile(spec: string): string | undefined {
  return spec.startsWith(SCHEME) ? spec.slice(SCHEME.length) : undefined;
}

/** Reads the name of a transcript's file, and the file. Throws {@link UsageError}. */
export function parseReplay(path: string, spec: string): TargetSpec {
  if (path === "") {
    refuseTarget(spec, "replay: needs a transcript, as in replay:FILE.");
  }
  const text = orUsageError(
    `Cannot read the transcript "${path}"`,
    () => readText(path),
  );
  const recording = parseTranscript(text, path);
  const connect = () => Promise.resolve(new ReplayConnection(recording, path));
  return {
    spec,
    onlyTest: recording.test,
    revisions: () => Promise.resolve([recording.uapi]),
    open: async () => await connectTarget(await connect()),
  };
}

/**
 * Reads the text of a transcript; it does not matter how lines end. Throws
 * {@link UsageError}.
 */
export function parseTranscript(text: string, path: string): Recording {
  const lines = text.split(/\r?\n/);
  // Not even an empty line stands behind the end of the last one.
  const cut = lines.pop() === "" ? undefined : lines.length + 1;
  const exchanges: ReadExchange[] = [];
  let test: string | undefined;
  for (const [index, content] of lines.entries()) {
    const line = index + 1;
    if (content.startsWith("#")) {
      test ??= /^# test (\S+)$/.exec(content)?.[1];
    } else if (content.startsWith("> ")) {
      const request = withoutSequence(content, line, path);
      exchanges.push({ line, request, reply: undefined });
    } else if (
      content.startsWith("< ") && exchanges.at(-1)?.reply === undefined
    ) {
      const last = exchanges.pop();
      if (last === undefined) refuse(path, line, "no request is before it");
      const reply = withoutSequence(content, line, path);
      exchanges.push(asMadeNow({ ...last, reply }));
    } else if (content !== "") {
      refuse(path, line, "it is no line of a transcript");
    }
  }
  if (test === undefined) refuse(path, 1, 'no line says "# test ID"');
  return { test, uapi: uapiOf(exchanges, path), exchanges, cut };
}

function refuse(path: string, line: number, why: string): never {
  throw new UsageError(`Cannot read "${path}", line ${line}: ${why}.`);
}

/** The words of a line behind its mark and its sequence number. */
function withoutSequence(content: string, line: number, path: string): string {
  try {
    const words = new Words(content.slice(2));
    words.number("the sequence number");
    return words.rest();
  } catch {
    return refuse(path, line, "it is no line of a transcript");
  }
}

/** A batch of one call, as it was recorded once, is the call alone. */
function asMadeNow(exchange: ReadExchange): ReadExchange {
  const [, process, call] = /^(\d+) batch ([^;]+)$/.exec(exchange.request) ??
    [];
  if (call === undefined) return exchange;
  const reply = exchange.reply === "ok fault" ? "fault" : exchange.reply;
  return { ...exchange, request: `${process} ${call}`, reply };
}

/** What the recorded target said about itself. */
function uapiOf(
  exchanges: readonly ReadExchange[],
  path: string,
): RevisionName {
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

/** An adapter that repeats what another said. */
class ReplayConnection implements Connection {
  readonly #recording: Recording;
  readonly #path: string;
  readonly #lines = new LineBuffer();
  readonly #replies: Uint8Array[] = [];
  #next = 0;
  /** Why the recording is of no use any more. */
  #diverged: string | undefined;
  #ended = false;
  #wake: () => void = () => {};

  constructor(recording: Recording, path: string) {
    this.#recording = recording;
    this.#path = path;
  }

  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (const line of this.#lines.push(bytes)) {
      const words = new Words(line);
      const sequence = words.word("the sequence number");
      const reply = this.#answer(words.rest());
      this.#replies.push(new TextEncoder().encode(`${sequence} ${reply}\n`));
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

  close(): Promise<void> {
    return this.endInput();
  }

  /** The reply to a request, without its sequence number. */
  #answer(request: string): string {
    if (request === "0 bye") return "ok";
    const { exchanges, cut } = this.#recording;
    const next = exchanges[this.#next];
    const expected = this.#diverged === undefined && next?.request === request;
    if (expected && next.reply !== undefined) {
      this.#next++;
      return next.reply;
    }
    // The end of the test comes early, or what is recorded of it does.
    if (request === "0 reset") return "ok";
    if (cut !== undefined && (next === undefined || expected)) {
      this.#diverged ??= `The recording is cut off in line ${cut}`;
    } else if (next === undefined) {
      this.#diverged ??= "The recording has no more calls";
    } else if (expected) {
      this.#diverged ??= `No reply was recorded to line ${next.line}`;
    } else {
      this.#diverged ??=
        `The test leaves the recording at line ${next.line}, which has ${
          quoteLine(next.request)
        }`;
    }
    return `error ${formatText(`${this.#diverged} (${this.#path})`)}`;
  }
}
