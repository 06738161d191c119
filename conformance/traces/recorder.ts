// SPDX-License-Identifier: GPL-2.0-only

/**
 * Remembers what a test did, so that a failure can be told with the call and
 * the struct that led to it, and played back.
 *
 * @module
 */

import { type Revision, REVISIONS } from "../../impl/uapi/revision.ts";
import type { Caller, Target } from "../../selftests/target/target.ts";
import { TargetFailure } from "../../selftests/target/target_failure.ts";
import {
  type Call,
  isIoctl,
  requestsOf,
  withProcesses,
} from "../../selftests/target/verbs.ts";
import { formatText } from "../protocol/codec.ts";
import { OpenFiles } from "../api_coverage/open_files.ts";
import type { Failure, MadeCall } from "../reports/results.ts";
import { describeCall } from "./describe_call.ts";
import { ByteLog, RecordedCalls } from "./recorded_calls.ts";
import { type Exchange, formatTranscript } from "./transcript.ts";

/** Requests of a test that are kept. */
const MAX_REQUESTS = 100_000;
/** Calls before the last one that are told with a failure. */
const TOLD_BEFORE = 6;
/** Bytes that the calls of a test may send and receive to be kept. */
const MAX_BYTES = 8 * 1024 * 1024;

/** A call of a test that is over: it timed out and went on. */
export class TestIsOver extends Error {
  override name = "TestIsOver";
}

/** Calls that were made together. */
interface Numbered {
  readonly recorded: RecordedCalls;
  /** The number of their first request in the transcript. */
  readonly first: number;
}

/** A call that was made, alone or with others; the others with it where there is no index. */
interface ToldCall extends Numbered {
  readonly index: number | undefined;
}

/** A target whose calls are remembered, for one test. */
export class Recorder implements Caller {
  readonly #target: Target;
  readonly #revision: Revision;
  readonly #kept: (RecordedCalls | Exchange)[] = [];
  readonly #log = new ByteLog();
  /** The target's numbers of the processes, which count from 1 here. */
  readonly #processes: number[] = [];
  #full = false;
  /** The number of the last request; the first is that of `hello`. */
  #requests = 1;
  /** What was made last. */
  readonly #recent: Numbered[] = [];
  #calls = 0;
  #last: ToldCall | undefined;
  #lastIoctl: ToldCall | undefined;
  #over = false;

  /** Takes what a test asks of `target`. */
  constructor(target: Target) {
    this.#target = target;
    this.#revision = REVISIONS[target.info.uapi as keyof typeof REVISIONS];
  }

  /** Calls made so far. */
  get calls(): number {
    return this.#calls;
  }

  /** What it tells of a failure, in words: the last call (of several that were made together the first that failed), the last ioctl if that is another, and some calls before. */
  get told(): Pick<Failure, "lastCall" | "lastIoctl" | "before"> {
    const [last, ioctl, before] = [this.#last, this.#lastIoctl, this.#before];
    const made = this.#describe([...before, last, ioctl]);
    const lastCall = made.get(last);
    const lastIoctl = ioctl === last ? undefined : made.get(ioctl);
    return {
      ...lastCall && { lastCall },
      ...lastIoctl && { lastIoctl },
      ...before.length > 0 && { before: before.map((call) => made.get(call)!) },
    };
  }

  /** Some calls before the last one. */
  get #before(): ToldCall[] {
    const last = this.#last;
    return this.#recent.flatMap(({ recorded, first }) =>
      recorded.calls.map((_, index): ToldCall => ({ recorded, first, index }))
    ).filter(({ recorded, index }) =>
      recorded !== last?.recorded || index! < (last.index ?? 0)
    ).slice(-TOLD_BEFORE);
  }

  /** Describes calls by what was open before them, in one pass over all. Nothing more is known once calls are not kept. */
  #describe(
    told: readonly (ToldCall | undefined)[],
  ): Map<ToldCall | undefined, MadeCall> {
    const files = new OpenFiles("container");
    const described = new Map<ToldCall | undefined, MadeCall>();
    const describe = (call: ToldCall) => {
      const { recorded, first, index } = call;
      const made = describeCall(recorded, index, this.#revision, files);
      const request = first + requestIndex(recorded, index);
      described.set(call, { ...made, request });
    };
    const left = new Set(told.filter((call) => call !== undefined));
    for (const each of this.#kept) {
      if (!(each instanceof RecordedCalls)) continue;
      const here = [...left].filter(({ recorded }) => recorded === each);
      for (const [i, call] of each.calls.entries()) {
        here.filter(({ index = 0 }) => index === i).forEach(describe);
        files.follow(each.process, call, each.results?.[i] ?? -1);
      }
      for (const call of here) left.delete(call);
    }
    left.forEach(describe);
    return described;
  }

  /** A process; those of a test count from 1. */
  async spawn(needs: readonly string[] = []): Promise<number> {
    const number = this.#processes.length + 1;
    this.#processes.push(
      await this.#ask(
        "spawn",
        this.#target.spawn(needs),
        () => `${number}`,
      ),
    );
    return number;
  }

  /** Ends all processes of the target, and with them the recording: from now on every call rejects. */
  reset(): Promise<string[]> {
    this.end();
    return this.#ask(
      "reset",
      this.#target.reset(),
      (problems) => problems.map(formatText).join(" "),
    );
  }

  /** Ends the recording of calls: from now on every call rejects. */
  end(): void {
    this.#over = true;
  }

  /** What was recorded, in the form of the adapter protocol; `about` are lines for its head. */
  transcript(about: readonly string[]): string {
    const exchanges = this.#kept.flatMap((kept) =>
      kept instanceof RecordedCalls ? [...kept.exchanges()] : [kept]
    );
    return formatTranscript(this.#target.info, exchanges, about, this.#full);
  }

  async make(process: number, calls: readonly Call[]): Promise<number[]> {
    if (this.#over) throw new TestIsOver("The test is over");
    this.#calls += calls.length;
    // What is not kept any more is needed until the next call.
    const log = this.#full ? new ByteLog() : this.#log;
    const recorded = new RecordedCalls(process, calls, log);
    this.#keep(recorded);
    const first = this.#requests + 1;
    const numbered = { recorded, first };
    this.#requests += calls.length === 1 ? 1 : requestsOf(calls).length;
    if (this.#recent.push(numbered) > TOLD_BEFORE + 1) this.#recent.shift();
    this.#tell(numbered, calls.length === 1 ? 0 : undefined);
    const number = this.#processes[process - 1]!;
    try {
      const results = await this.#target.make(
        number,
        withProcesses(calls, (process) => this.#processes[process - 1]!),
      );
      if (results.length !== calls.length) {
        const [came, made] = [results.length, calls.length];
        const why = `The target has ${came} results for ${made} calls`;
        throw new TargetFailure("error", why);
      }
      let failed = -1;
      for (let i = 0; i < results.length; i++) {
        if (failed < 0 && results[i]! < 0) failed = i;
        if (calls[i]!.verb.returns !== "process") continue;
        results[i] = this.#processes.push(results[i]!);
      }
      recorded.answer(results);
      if (calls.length > 1) {
        this.#tell(numbered, failed < 0 ? calls.length - 1 : failed);
      }
      return results;
    } catch (error) {
      recorded.failure = failureReply(error);
      throw error;
    }
  }

  /** Notes which of the calls that are made is the one to tell of. */
  #tell(numbered: Numbered, index: number | undefined): void {
    this.#last = { ...numbered, index };
    if (index === undefined) return;
    const { calls } = numbered.recorded;
    const ioctl = isIoctl(calls[index]!) ? index : calls.findLastIndex(isIoctl);
    if (ioctl === index) this.#lastIoctl = this.#last;
    else if (ioctl >= 0) this.#lastIoctl = { ...numbered, index: ioctl };
  }

  /** Keeps something for the transcript while there is room. */
  #keep(kept: RecordedCalls | Exchange): void {
    this.#full ||= this.#kept.length >= MAX_REQUESTS ||
      this.#log.length > MAX_BYTES;
    if (!this.#full) this.#kept.push(kept);
  }

  /** Asks something of the target itself, and notes the values of the reply. */
  async #ask<T>(
    request: string,
    answer: Promise<T>,
    values: (value: T) => string,
  ): Promise<T> {
    const exchange: Exchange = { request: `0 ${request}`, reply: undefined };
    this.#requests++;
    this.#keep(exchange);
    try {
      const value = await answer;
      exchange.reply = `ok ${values(value)}`.trimEnd();
      return value;
    } catch (error) {
      exchange.reply = failureReply(error);
      throw error;
    }
  }
}

/** In which of the requests that calls are one is; the first where none is told. */
function requestIndex({ calls }: RecordedCalls, index = 0): number {
  const requests = requestsOf(calls.slice(0, index + 1));
  return requests.length - 1;
}

/** The reply that makes a target fail as this one did. */
function failureReply(error: unknown): string {
  if (error instanceof TargetFailure) {
    const kind = error.status === "crash" ? "died" : "error";
    return `${kind} ${formatText(error.reason)}`;
  }
  const reason = error instanceof Error ? error.message : String(error);
  return `error ${formatText(reason)}`;
}
