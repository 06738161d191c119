// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls as they were made and answered. Structs and buffers change as soon as
 * the test goes on, so their bytes are copied; the rest is kept as it is, and
 * looked at only when a test failed.
 *
 * @module
 */

import {
  type Argument,
  type Call,
  isSent,
  type Kind,
  requestsOf,
} from "../../selftests/target/verbs.ts";
import { formatCalls, formatReply } from "../protocol/calls.ts";
import type { Exchange } from "./transcript.ts";

/** Bytes one after the other, in a buffer that grows. */
export class ByteLog {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** Adds some. */
  add(bytes: Uint8Array): void {
    const end = this.#length + bytes.length;
    if (end > this.#bytes.length) {
      const more = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      more.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = more;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = end;
  }

  /** Some of them. */
  slice(start: number, end: number): Uint8Array {
    return this.#bytes.slice(start, end);
  }
}

/** Bytes that come back from the target. */
function comesBack(kind: Kind): boolean {
  return kind === "struct" || kind === "into";
}

/** Calls that were made together, and what came of them. */
export class RecordedCalls {
  /** The process that made them, from 1. */
  readonly process: number;
  /** The calls; their bytes are what the test made of them since. */
  readonly calls: readonly Call[];
  /** Results; undefined while there are none. */
  results: readonly number[] | undefined;
  /** The reply that stands for a failure of the target. */
  failure: string | undefined;
  readonly #log: ByteLog;
  /** Where in the log the bytes are that were sent, and those that came back. */
  readonly #sent: number;
  #back = 0;

  /** Notes calls that are about to be made. */
  constructor(process: number, calls: readonly Call[], log: ByteLog) {
    this.process = process;
    this.calls = calls;
    this.#log = log;
    this.#sent = log.length;
    this.#keep(isSent);
  }

  /** Notes that they were made. */
  answer(results: readonly number[]): void {
    this.results = results;
    this.#back = this.#log.length;
    this.#keep(comesBack);
  }

  #keep(wanted: (kind: Kind) => boolean): void {
    for (const { verb, args } of this.calls) {
      for (let i = 0; i < args.length; i++) {
        if (wanted(verb.args[i]![1])) this.#log.add(args[i] as Uint8Array);
      }
    }
  }

  /** The calls with the bytes that they were made with. */
  get sent(): Call[] {
    return this.#withBytes(this.#sent, isSent);
  }

  /** The calls with the bytes that came back; undefined while they have not. */
  get answered(): Call[] | undefined {
    return this.results && this.#withBytes(this.#back, comesBack);
  }

  /** The requests and replies that these calls are in the adapter protocol. */
  *exchanges(): Iterable<Exchange> {
    const { process, results, answered: back } = this;
    let next = 0;
    for (const calls of requestsOf(this.sent)) {
      const [first, end] = [next, next += calls.length];
      const reply = back && results
        ? formatReply(back.slice(first, end), results.slice(first, end))
        : this.failure;
      yield { request: `${process} ${formatCalls(calls)}`, reply };
    }
  }

  #withBytes(start: number, wanted: (kind: Kind) => boolean): Call[] {
    const bytesOf = (kind: Kind, arg: Argument): Argument => {
      if (!wanted(kind)) return arg;
      const end = start + (arg as Uint8Array).length;
      return this.#log.slice(start, start = end);
    };
    return this.calls.map(({ verb, args }) => ({
      verb,
      args: args.map((arg, i) => bytesOf(verb.args[i]![1], arg)),
    }));
  }
}
