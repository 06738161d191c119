// SPDX-License-Identifier: GPL-2.0-only

/**
 * Requests and replies over a connection: sequence numbers, the kinds of
 * replies, time limits, and what happens when something goes wrong.
 *
 * @module
 */

import {
  MemoryFault,
  ProcessDied,
  ProtocolError,
  TargetFailure,
} from "../../selftests/target/target_failure.ts";
import { quoteLine, Words } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { LineBuffer } from "./line_buffer.ts";

/** Milliseconds that an adapter has for a reply unless something else is said. */
export const DEFAULT_REPLY_TIMEOUT_MS = 30_000;
/** Milliseconds that an adapter has to answer `bye`, and then to end. */
const GOODBYE_MS = 1000;

/** A line that was sent and is not answered yet. */
interface Pending {
  readonly line: string;
  readonly timeoutMs: number;
  /** When it must be answered, once it is the oldest: milliseconds as `performance.now()` counts them. */
  deadline: number;
  readonly resolve: (reply: string) => void;
  readonly reject: (failure: TargetFailure) => void;
}

/** A request, and the reply to it if there was one, as they were sent. */
export interface Exchange {
  /** The line that was sent. */
  readonly request: string;
  /** The line that answered it. */
  readonly reply?: string;
}

/** How long a channel waits. */
export interface ChannelOptions {
  /** Milliseconds for a reply; default 30 s. */
  readonly replyTimeoutMs?: number | undefined;
}

/**
 * The runner's end of a connection to an adapter. The first thing that goes
 * wrong with it is its `failure`: the adapter is killed, and every request,
 * those under way included, rejects with it.
 */
export class Channel {
  readonly #connection: Connection;
  readonly #replyTimeoutMs: number;
  readonly #encoder = new TextEncoder();
  readonly #pending: Pending[] = [];
  #sequence = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failure: TargetFailure | undefined;
  #last: Exchange | undefined;
  #closed: Promise<void> | undefined;
  /** Resolves when the adapter has ended its output, or the connection is lost. */
  readonly ended: Promise<void>;

  /** Takes the connection over. */
  constructor(connection: Connection, options: ChannelOptions = {}) {
    this.#connection = connection;
    this.#replyTimeoutMs = options.replyTimeoutMs ?? DEFAULT_REPLY_TIMEOUT_MS;
    this.ended = this.#read();
  }

  /** What went wrong with the connection, once something did. */
  get failure(): TargetFailure | undefined {
    return this.#failure;
  }

  /** The last request that was answered, or the one in which the connection failed. */
  get last(): Exchange | undefined {
    return this.#last;
  }

  /** What the adapter wrote to standard error since this was asked last. */
  takeStderr(): string {
    return this.#connection.takeStderr?.() ?? "";
  }

  /**
   * Makes a request of a process (0: of the adapter); resolves to what
   * `parse` reads from the values of an `ok`, all of them. Rejects with a
   * {@link TargetFailure} for every other reply.
   */
  async request<T>(
    process: number,
    request: string,
    parse: (values: Words) => T,
    timeoutMs: number = this.#replyTimeoutMs,
  ): Promise<T> {
    const sequence = this.takeSequence();
    const line = `${sequence} ${process} ${request}`;
    const reply = await this.exchange(line, timeoutMs);
    try {
      const values = okValues(reply, line, sequence);
      const result = parse(values);
      values.end();
      return result;
    } catch (error) {
      // After an answer that makes no sense, none can be trusted.
      if (error instanceof ProtocolError) this.#fail(error);
      throw error;
    }
  }

  /** Tells the adapter that no request will follow. Rejects where that cannot be told. */
  async endInput(): Promise<void> {
    await this.#connection.endInput();
  }

  /** The next sequence number, for a line of one's own. */
  takeSequence(): number {
    return ++this.#sequence;
  }

  /** Sends a line as it is, even one that breaks the protocol; resolves to the line that answers it. */
  exchange(
    line: string,
    timeoutMs: number = this.#replyTimeoutMs,
  ): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      const deadline = performance.now() + timeoutMs;
      this.#pending.push({ line, timeoutMs, deadline, resolve, reject });
      this.#startTimer(timeoutMs);
      this.#connection.write(this.#encoder.encode(`${line}\n`))
        .catch(() => this.#inputClosed());
    });
  }

  /** Says goodbye if the adapter still listens, and ends it. Idempotent; never rejects. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    const idle = this.#failure === undefined && this.#pending.length === 0;
    if (idle) {
      const sequence = this.takeSequence();
      await Promise.race([
        this.exchange(`${sequence} 0 bye`).catch(() => {}),
        this.#limit(GOODBYE_MS),
      ]);
    }
    this.#settle(new TargetFailure("error", "The target was closed"));
    await this.#connection.close(idle ? GOODBYE_MS : 0);
    await this.ended;
  }

  /** Resolves after a time; whoever closes cancels it. */
  #limit(ms: number): Promise<void> {
    clearTimeout(this.#timer);
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, ms);
    });
  }

  /** Ends the connection and all requests with the first failure. */
  #fail(failure: TargetFailure): void {
    if (this.#failure) return;
    const [unanswered] = this.#pending;
    if (unanswered) this.#last = { request: unanswered.line };
    this.#settle(failure);
    void this.#connection.close(0);
  }

  /** Hands a failure to all who wait and to all who come. */
  #settle(failure: TargetFailure): void {
    this.#failure ??= failure;
    clearTimeout(this.#timer);
    for (const { reject } of this.#pending.splice(0)) reject(this.#failure);
  }

  /** A write failed. The end of the stream, if it comes now, says more about why. */
  #inputClosed(): void {
    if (this.#failure) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const message = "The target does not read its requests any more";
      this.#fail(new TargetFailure("crash", message));
    }, GOODBYE_MS);
  }

  /** Reads lines until the end of the stream. */
  async #read(): Promise<void> {
    const lines = new LineBuffer();
    try {
      for (;;) {
        const bytes = await this.#connection.read();
        if (bytes === null) break;
        for (const line of lines.push(bytes)) this.#answer(line);
        if (this.#failure) return;
      }
    } catch (error) {
      if (error instanceof TargetFailure) return this.#fail(error);
      // A reset connection is an end like any other.
    }
    if (this.#failure) return;
    const how = await this.#connection.howItEnded();
    const request = this.#pending[0];
    const when = request === undefined
      ? "nothing was asked of it"
      : lines.midLine
      ? `it was in the middle of the reply to ${quoteLine(request.line)}`
      : `it was to answer ${quoteLine(request.line)}`;
    this.#fail(
      new TargetFailure("crash", `The target ended when ${when}: it ${how}`),
    );
  }

  #answer(line: string): void {
    const pending = this.#pending.shift();
    if (pending === undefined) {
      this.#fail(
        new ProtocolError(
          `The target sent a line that nothing asked for: ${quoteLine(line)}`,
        ),
      );
      return;
    }
    this.#last = { request: pending.line, reply: line };
    // Only now the adapter gets to the next.
    const next = this.#pending[0];
    if (next) next.deadline = performance.now() + next.timeoutMs;
    pending.resolve(line);
  }

  /** One timer for all requests: it looks at the oldest when it fires. */
  #startTimer(ms: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const oldest = this.#pending[0];
      if (oldest === undefined) return;
      const { line, timeoutMs, deadline } = oldest;
      const left = deadline - performance.now();
      if (left > 0) return this.#startTimer(left);
      const seconds = timeoutMs / 1000;
      const message = `No answer to ${
        quoteLine(line)
      } after ${seconds} seconds`;
      this.#fail(new TargetFailure("timeout", message));
    }, ms);
  }
}

/** The values of an `ok`; throws what another reply means. `line` is the request. */
export function okValues(
  reply: string,
  line: string,
  sequence: number,
): Words {
  const words = new Words(reply);
  const answered = words.number("the sequence number");
  if (answered !== sequence) {
    words.refuse(
      `it answers request ${answered}, and ${sequence} is to be answered`,
    );
  }
  const kind = words.word("ok, fault, died or error");
  switch (kind) {
    case "ok":
      return words;
    case "fault":
      words.end();
      throw new MemoryFault(`No memory to touch for ${quoteLine(line)}`);
    case "died":
    case "error": {
      const reason = words.text("the reason");
      words.end();
      const why = `${quoteLine(line)}: ${reason}`;
      throw kind === "died"
        ? new ProcessDied(`The process died in ${why}`, reason)
        : new TargetFailure(kind, `The target cannot carry out ${why}`, reason);
    }
    default:
      return words.refuse(
        `${quoteLine(kind)} is none of ok, fault, died and error`,
      );
  }
}
