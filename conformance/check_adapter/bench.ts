// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a check of an adapter works with.
 *
 * @module
 */

import { AssertionFailure } from "../../selftests/harness/harness.ts";
import type { Channel } from "../protocol/channel.ts";
import { quoteLine, Words } from "../protocol/codec.ts";
import { within } from "../lib/within.ts";
import type { Target, TargetProcess } from "../../selftests/target/target.ts";

/** Milliseconds that an adapter has to end when it should. */
const END_MS = 10_000;

/** An adapter that was greeted, and a fresh process of it. */
export interface Bench {
  /** The adapter, to make well-formed requests. */
  readonly target: Target;
  /** A process. */
  readonly process: TargetProcess;
  /** Bytes of a page. */
  readonly pageSize: number;
  /** The way to the adapter, to send what no well-behaved runner sends. */
  readonly channel: Channel;
}

/** One thing that an adapter must do. */
export interface Check {
  /** The verb or the rule. */
  readonly name: string;
  /** The capability without which it is not checked. */
  readonly needs?: string;
  /** Rejects with an error whose message says what is wrong. */
  run(bench: Bench): Promise<void>;
}

/** Sends a request that makes no sense behind its sequence number; the reply must be `error`. */
export async function refuses(
  { channel }: Bench,
  request: string,
): Promise<void> {
  const sequence = channel.takeSequence();
  const line = `${sequence} ${request}`;
  const words = new Words(await channel.exchange(line));
  const answered = words.number("the sequence number");
  if (answered !== sequence) {
    words.refuse(`it answers request ${answered} instead of ${sequence}`);
  }
  const kind = words.word("error");
  if (kind !== "error") {
    const what = `the reply to ${quoteLine(line)}`;
    throw new AssertionFailure(what, "error", kind);
  }
  words.text("the reason");
  words.end();
}

/** Rejects unless the adapter ends its output before long. */
export async function ends({ channel }: Bench, when: string): Promise<void> {
  const ended = channel.ended.then(() => true);
  if (await within(END_MS, ended)) return;
  throw new Error(`It does not end within ${END_MS / 1000} seconds ${when}`);
}
