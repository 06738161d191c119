// SPDX-License-Identifier: GPL-2.0-only

/**
 * A target at the other end of a connection that speaks the adapter protocol
 * (protocol.md).
 *
 * @module
 */

import { EFAULT } from "../../impl/uapi/errno.ts";
import type {
  Outcome,
  Program,
  Target,
  TargetInfo,
  Timing,
} from "../../selftests/target/target.ts";
import { MemoryFault } from "../../selftests/target/target_failure.ts";
import { type Call, requestsOf } from "../../selftests/target/verbs.ts";
import {
  formatCalls,
  formatTimed,
  parseResults,
  parseTiming,
} from "./calls.ts";
import {
  Channel,
  type ChannelOptions,
  DEFAULT_REPLY_TIMEOUT_MS,
} from "./channel.ts";
import type { Words } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { parseHello, PROTOCOL_VERSION } from "./hello.ts";
import { formatSteps, parseOutcomes } from "./program.ts";

/** Milliseconds from the start of an adapter to its answer to `hello`, at least. */
const MIN_HELLO_TIMEOUT_MS = 10_000;

/** How long a client waits. */
export interface ClientOptions extends ChannelOptions {
  /** Milliseconds for the first reply, in which the adapter starts; default those for a reply, or 10 s if that is more. */
  readonly helloTimeoutMs?: number | undefined;
}

/**
 * Takes a connection over and greets the adapter. Rejects with a
 * {@link TargetFailure}, the connection closed, if the answer is not what it
 * must be.
 */
export function connectTarget(
  connection: Connection,
  options: ClientOptions = {},
): Promise<Target> {
  return greet(new Channel(connection, options), options);
}

/** The same over a channel to which nothing was said yet. */
export async function greet(
  channel: Channel,
  options: ClientOptions = {},
): Promise<Target> {
  const {
    replyTimeoutMs = DEFAULT_REPLY_TIMEOUT_MS,
    helloTimeoutMs = Math.max(replyTimeoutMs, MIN_HELLO_TIMEOUT_MS),
  } = options;
  try {
    const hello = `hello ${PROTOCOL_VERSION}`;
    const info = await channel.request(0, hello, parseHello, helloTimeoutMs);
    return new RemoteTarget(channel, info);
  } catch (error) {
    await channel.close();
    throw withStderr(error, channel.takeStderr());
  }
}

/** A failure, and what the adapter said about it. */
function withStderr(error: unknown, stderr: string): unknown {
  const said = stderr.trimEnd();
  if (said !== "" && error instanceof Error) {
    error.message += `. It wrote to standard error:\n${said}`;
  }
  return error;
}

/** An adapter as a target: each call, or batch of calls, is one request. */
class RemoteTarget implements Target {
  readonly info: TargetInfo;
  readonly program?: (program: Program) => Promise<Outcome[]>;
  readonly #channel: Channel;
  /** The processes that there are, by the numbers that the adapter gave them. */
  readonly #processes = new Set<number>();

  constructor(channel: Channel, info: TargetInfo) {
    this.#channel = channel;
    this.info = info;
    if (info.capabilities.includes("program")) {
      this.program = (program) => this.#program(program);
    }
  }

  spawn(): Promise<number> {
    return this.#channel.request(
      0,
      "spawn",
      (values) => this.#take(values.number("the process"), values),
    );
  }

  async make(process: number, calls: readonly Call[]): Promise<number[]> {
    const requests = requestsOf(calls);
    if (requests.length === 1) return await this.#request(process, calls);
    const results = await Promise.all(
      requests.map((calls) => this.#request(process, calls)),
    );
    return results.flat();
  }

  time(
    process: number,
    times: number,
    calls: readonly Call[],
  ): Promise<Timing> {
    return this.#channel.request(
      process,
      formatTimed(times, calls),
      (values) => parseTiming(calls, values),
    );
  }

  reset(): Promise<string[]> {
    return this.#channel.request(0, "reset", (values) => {
      // Not before: the replies to what was asked ahead of it come first.
      this.#processes.clear();
      return parseProblems(values);
    });
  }

  takeStderr(): string {
    return this.#channel.takeStderr();
  }

  close(): Promise<void> {
    return this.#channel.close();
  }

  /** Carries a program out; more can be asked before it has. */
  #program(program: Program): Promise<Outcome[]> {
    if (program.length === 0) return Promise.resolve([]);
    return this.#channel.request(
      0,
      `program ${formatSteps(program)}`,
      (values) => parseOutcomes(program, values),
    );
  }

  /** Makes calls that can be one request. */
  async #request(process: number, calls: readonly Call[]): Promise<number[]> {
    try {
      return await this.#channel.request(
        process,
        formatCalls(calls),
        (values) => this.#parse(process, calls, values),
      );
    } catch (error) {
      const [only, ...others] = calls;
      const faulted = error instanceof MemoryFault && only!.verb.faults;
      if (!faulted || others.length > 0) throw error;
      return [-EFAULT.code];
    }
  }

  #parse(process: number, calls: readonly Call[], values: Words): number[] {
    const results = parseResults(calls, values);
    for (const [i, { verb }] of calls.entries()) {
      if (verb.returns === "process") this.#take(results[i]!, values);
      if (verb.ends) this.#processes.delete(process);
    }
    return results;
  }

  /** Takes the number of a new process. */
  #take(number: number, values: Words): number {
    if (number < 1) values.refuse(`${number} cannot be a process`);
    if (this.#processes.has(number)) {
      values.refuse(`process ${number} is there already`);
    }
    this.#processes.add(number);
    return number;
  }
}

/** The values of the reply to `reset`. */
function parseProblems(values: Words): string[] {
  const problems: string[] = [];
  while (values.left > 0) problems.push(values.text("a problem"));
  return problems;
}
