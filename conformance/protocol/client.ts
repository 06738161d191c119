// SPDX-License-Identifier: GPL-2.0-only

/**
 * A target at the other end of a connection that speaks the adapter protocol
 * (protocol.md).
 *
 * @module
 */

import { isRevisionName, REVISION_NAMES } from "../../impl/uapi/revision.ts";
import type {
  Target,
  TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import { suggestion } from "../command/usage_error.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import type { Words } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { Processes } from "./remote_process.ts";

/** The version of the protocol that is spoken here. */
export const PROTOCOL_VERSION = 1;

/** Milliseconds from the start of an adapter to its answer to `hello`, unless something else is said. */
const DEFAULT_HELLO_TIMEOUT_MS = 10_000;

/** How long a client waits. */
export interface ClientOptions extends ChannelOptions {
  /** Milliseconds for the first reply, in which the adapter starts; default 10 s. */
  readonly helloTimeoutMs?: number | undefined;
}

/** The keys that `hello` must answer with. */
const HELLO_KEYS = [
  "protocol",
  "name",
  "version",
  "uapi",
  "page",
  "hugepage",
  "capabilities",
] as const;

type Hello = Readonly<Record<typeof HELLO_KEYS[number], string>>;

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
  { helloTimeoutMs = DEFAULT_HELLO_TIMEOUT_MS }: ClientOptions = {},
): Promise<Target> {
  try {
    const info = await channel.request(
      0,
      `hello ${PROTOCOL_VERSION}`,
      parseHello,
      helloTimeoutMs,
    );
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

/** Reads the values of the reply to `hello`. Throws {@link ProtocolError}. */
export function parseHello(words: Words): TargetInfo {
  const hello = parsePairs(words);
  if (hello.protocol !== String(PROTOCOL_VERSION)) {
    words.refuse(
      `its protocol is ${hello.protocol}, and ${PROTOCOL_VERSION} is spoken here`,
    );
  }
  if (!isRevisionName(hello.uapi)) {
    words.refuse(
      `its uapi is ${hello.uapi}, and only ${
        REVISION_NAMES.join(" and ")
      } are known.${suggestion(hello.uapi, REVISION_NAMES)}`,
    );
  }
  const pageSize = parseSize(hello.page, "page", words);
  const hugePageSize = parseSize(hello.hugepage, "hugepage", words);
  if (hugePageSize < pageSize) {
    words.refuse("hugepage is smaller than page");
  }
  const capabilities = hello.capabilities === ""
    ? []
    : hello.capabilities.split(",");
  if (new Set(capabilities).size < capabilities.length) {
    words.refuse("a capability is named twice");
  }
  if (capabilities.includes("")) words.refuse("a capability has no name");
  const { name, version, uapi } = hello;
  return { name, version, uapi, pageSize, hugePageSize, capabilities };
}

/** `KEY=NAME…` with all the keys there must be; others are left alone. */
function parsePairs(words: Words): Hello {
  const pairs = new Map<string, string>();
  while (words.left > 0) {
    const word = words.name("KEY=NAME");
    const equals = word.indexOf("=");
    if (equals <= 0) words.refuse(`"${word}" is not of the form KEY=NAME`);
    const key = word.slice(0, equals);
    if (pairs.has(key)) words.refuse(`${key} is told twice`);
    pairs.set(key, word.slice(equals + 1));
  }
  for (const key of HELLO_KEYS) {
    if (!pairs.has(key)) words.refuse(`${key} is missing`);
    if (pairs.get(key) === "" && key !== "capabilities") {
      words.refuse(`${key} is empty`);
    }
  }
  return Object.fromEntries(pairs) as Hello;
}

/** A power of two. */
function parseSize(word: string, what: string, words: Words): number {
  const size = Number(word);
  if (!/^\d+$/.test(word) || size < 1 || !Number.isInteger(Math.log2(size))) {
    words.refuse(`${what} is no power of two: ${word}`);
  }
  return size;
}

/** An adapter as a target. */
class RemoteTarget implements Target {
  readonly info: TargetInfo;
  readonly #channel: Channel;
  readonly #processes: Processes;

  constructor(channel: Channel, info: TargetInfo) {
    this.#channel = channel;
    this.#processes = new Processes(channel);
    this.info = info;
  }

  spawn(): Promise<TargetProcess> {
    return this.#channel.request(
      0,
      "spawn",
      (values) => this.#processes.take(values),
    );
  }

  reset(): Promise<string[]> {
    this.#processes.clear();
    return this.#channel.request(0, "reset", parseProblems);
  }

  takeStderr(): string {
    return this.#channel.takeStderr();
  }

  close(): Promise<void> {
    return this.#channel.close();
  }
}

/** The values of the reply to `reset`. */
function parseProblems(values: Words): string[] {
  const problems: string[] = [];
  while (values.left > 0) problems.push(values.text("a problem"));
  return problems;
}
