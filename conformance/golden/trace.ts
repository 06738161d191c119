// SPDX-License-Identifier: GPL-2.0-only

/**
 * Golden traces: programs, and what they came to on a real kernel, in a file.
 *
 * The file is text, compressed: a line of JSON about all of them, then for each
 * a line of JSON, its steps and what they came to, both in the words of the
 * adapter protocol.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Outcome, Program } from "../../selftests/target/program.ts";
import { type Verb, VERBS } from "../../selftests/target/verbs.ts";
import { Words } from "../protocol/codec.ts";
import {
  formatOutcomes,
  formatSteps,
  parseOutcomes,
  parseSteps,
} from "../protocol/program.ts";

/** The form of the files; another one gets another number. */
const FORMAT = 1;

/** A program and what it came to. */
export interface Trace {
  /** Where the program is from: a test, a file, or the seed of a random one. */
  readonly name: string;
  /** Capabilities without which it means nothing. */
  readonly needs: readonly string[];
  /** The program. */
  readonly program: Program;
  /** What its steps came to. */
  readonly outcomes: readonly Outcome[];
  /** What was left when its processes had ended. */
  readonly problems: readonly string[];
}

/** What a file says about its traces. */
export interface About {
  /** The revision of the kernel. */
  readonly uapi: RevisionName;
  /** The kernel, by its own name. */
  readonly kernel: string;
  /** The targets on which they were recorded. */
  readonly targets: readonly string[];
}

/** A file. */
export interface Traces extends About {
  /** The traces, in order. */
  readonly traces: readonly Trace[];
}

const BY_NAME = new Map<string, Verb>(VERBS.map((verb) => [verb.name, verb]));

function verbOf(words: Words): Verb {
  const name = words.name("a call");
  return BY_NAME.get(name) ?? words.refuse(`there is no verb ${name}`);
}

/** The text of a file. */
export function formatTraces({ traces, ...about }: Traces): string {
  const lines = [JSON.stringify({ format: FORMAT, ...about })];
  for (const { name, needs, program, outcomes, problems } of traces) {
    lines.push(
      JSON.stringify({ name, needs, problems }),
      formatSteps(program),
      formatOutcomes(program, outcomes).join(" "),
    );
  }
  return lines.join("\n") + "\n";
}

/** Reads the text of a file. Throws an Error that says what is wrong with it. */
export function parseTraces(text: string): Traces {
  const [head, ...lines] = text.trimEnd().split("\n");
  const { format, ...about } = JSON.parse(head!);
  if (format !== FORMAT) {
    throw new Error(`Traces of format ${format}; known is ${FORMAT}`);
  }
  const traces: Trace[] = [];
  for (let i = 0; i < lines.length; i += 3) {
    const program = parseSteps(new Words(lines[i + 1]!), verbOf);
    const outcomes = parseOutcomes(program, new Words(lines[i + 2]!));
    traces.push({ ...JSON.parse(lines[i]!), program, outcomes });
  }
  return { ...about as About, traces };
}

/** Text as the bytes of a file. */
export function pack(text: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new TextEncoder().encode(text);
  return through(bytes, new CompressionStream("gzip"));
}

/** A file's bytes. */
export function packTraces(traces: Traces): Promise<Uint8Array<ArrayBuffer>> {
  return pack(formatTraces(traces));
}

/** Reads a file's bytes. */
export async function unpackTraces(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Traces> {
  const text = await through(bytes, new DecompressionStream("gzip"));
  return parseTraces(new TextDecoder().decode(text));
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const piped = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(piped).arrayBuffer());
}
