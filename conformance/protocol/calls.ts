// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls in the words of the adapter protocol (protocol.md), on both ends: made
 * from the table of verbs.
 *
 * @module
 */

import { EFAULT } from "../../impl/uapi/errno.ts";
import { type Made, outcomeOf } from "../../selftests/target/program.ts";
import type { Timing } from "../../selftests/target/target.ts";
import type {
  Argument,
  Call,
  Kind,
  Verb,
} from "../../selftests/target/verbs.ts";
import { formatBytes, formatNumber, formatText, type Words } from "./codec.ts";

/** Separates the calls of a batch, and their results. */
export const NEXT = ";";

/** Stands for the values of a call that touched memory which is not there. */
const FAULT = "fault";

/** A call as a request without sequence number and process. */
export function formatCall({ verb, args }: Call): string {
  let request = verb.name;
  for (const [i, kind] of argumentsSent(verb)) {
    request += ` ${formatArgument(kind, args[i]!)}`;
  }
  return request;
}

/** The places and kinds of the arguments that a request has. */
export function argumentsSent({ args }: Verb): [place: number, kind: Kind][] {
  return args.flatMap(([, kind], i) => kind === "numbers" ? [] : [[i, kind]]);
}

/** Several calls that can be one request; one call alone is no batch. */
export function formatCalls(calls: readonly Call[]): string {
  const request = formatList(calls);
  return calls.length === 1 ? request : `batch ${request}`;
}

/** Calls that are to be made `times` times. */
export function formatTimed(times: number, calls: readonly Call[]): string {
  return `time ${formatNumber(times)} ${formatList(calls)}`;
}

function formatList(calls: readonly Call[]): string {
  return calls.map(formatCall).join(` ${NEXT} `);
}

/** An argument as a word of a request. */
export function formatArgument(kind: Kind, arg: Argument): string {
  if (kind === "into") return formatNumber((arg as Uint8Array).length);
  if (typeof arg === "string") return formatText(arg);
  if (typeof arg === "object") return formatBytes(arg as Uint8Array);
  return formatNumber(arg);
}

/** How the argument of a request is read; where something is to come back, it is made. */
const PARSE: Readonly<
  Record<Kind, (words: Words, name: string) => Argument>
> = {
  number: (words, name) => words.number(name),
  u64: (words, name) => words.bigint(name),
  command: (words, name) => words.number(name),
  process: (words, name) => words.number(name),
  text: (words, name) => words.text(name),
  bytes: (words, name) => words.bytes(name),
  struct: (words, name) => words.bytes(name),
  into: (words, name) => new Uint8Array(words.number(name)),
  numbers: (_, names) => names.split(" ").map(() => -1),
};

/** Reads an argument of a request. Throws {@link ProtocolError}. */
export function parseArgument(
  kind: Kind,
  words: Words,
  name: string,
): Argument {
  return PARSE[kind](words, name);
}

/** Reads the arguments of a request, all that are left of it. Throws {@link ProtocolError}. */
export function parseCall(verb: Verb, words: Words): Call {
  const count = verb.args.filter(([, kind]) => kind !== "numbers").length;
  if (words.left !== count) {
    words.refuse(`${verb.name} has ${count} arguments`);
  }
  return {
    verb,
    args: verb.args.map(([name, kind]) => PARSE[kind](words, name)),
  };
}

/** Reads a list of calls, none of which is empty; `verbOf` finds their verbs. */
export function parseList(
  words: Words,
  verbOf: (words: Words) => Verb,
): Call[] {
  return words.split(NEXT).map((part) => parseCall(verbOf(part), part));
}

/** The values of a call that was made; of one that faulted the word that stands for them. */
export function formatOutcome({ verb, args }: Call, outcome: Made): string[] {
  if (outcome.kind === "fault") return [FAULT];
  const { result, back } = outcome;
  const values = verb.returns ? [formatNumber(result)] : [];
  let at = 0;
  for (const [i, [, kind]] of verb.args.entries()) {
    const { length } = args[i] as Uint8Array;
    if (kind === "struct" || kind === "into") {
      const read = kind === "into" && verb.returns;
      const bytes = read ? Math.max(result, 0) : length;
      values.push(formatBytes(back.subarray(at, at += bytes)));
    } else if (kind === "numbers") {
      const numbers = back.slice(at, at += 8 * length).buffer;
      values.push(...[...new BigInt64Array(numbers)].map(formatNumber));
    }
  }
  return values;
}

/** The reply to the calls of {@link formatCalls}, without its sequence number. */
export function formatReply(
  calls: readonly Call[],
  results: readonly number[],
): string {
  const values = formatResults(calls, results);
  return calls.length === 1 && values[0] === FAULT
    ? FAULT
    : ["ok", ...values].join(" ");
}

/** The values of calls one after the other, as in the reply to a batch. */
export function formatResults(
  calls: readonly Call[],
  results: readonly number[],
): string[] {
  return calls.flatMap((call, i) => [
    ...i > 0 ? [NEXT] : [],
    ...formatOutcome(call, outcomeOf(call, results[i]!)),
  ]);
}

/** The values of the reply to calls that were timed. */
export function formatTiming(
  calls: readonly Call[],
  { nanoseconds, results }: Timing,
): string[] {
  return [
    ...nanoseconds.map(formatNumber),
    NEXT,
    ...formatResults(calls, results),
  ];
}

/** Reads what came of a call: its result; what else came is written to its arguments. Throws {@link ProtocolError}. */
export function parseResult(
  { verb, args }: Call,
  values: Words,
  inBatch: boolean,
): number {
  if (inBatch && verb.faults && values.skip(FAULT)) return -EFAULT.code;
  const result = verb.returns ? values.number("the result") : 0;
  for (const [i, [name, kind]] of verb.args.entries()) {
    const arg = args[i]!;
    if (kind === "struct" || kind === "into") {
      const into = arg as Uint8Array;
      const bytes = values.bytes(name);
      const read = kind === "into" && verb.returns;
      const wanted = read ? Math.max(result, 0) : into.length;
      if (bytes.length !== wanted || wanted > into.length) {
        values.refuse(
          `${bytes.length} bytes came from ${verb.name} of ${into.length} bytes` +
            (read ? ` that returned ${result}` : ""),
        );
      }
      into.set(bytes);
    } else if (kind === "numbers") {
      const numbers = name.split(" ").map((each) => values.number(each));
      (arg as number[]).splice(0, numbers.length, ...numbers);
    }
  }
  return result;
}

/** Reads the values of the calls of a request. Throws {@link ProtocolError}. */
export function parseResults(calls: readonly Call[], values: Words): number[] {
  return calls.map((call, i) => {
    if (i > 0) skipNext(values, i);
    return parseResult(call, values, calls.length > 1);
  });
}

/** Reads the values of calls that were timed. Throws {@link ProtocolError}. */
export function parseTiming(calls: readonly Call[], values: Words): Timing {
  const nanoseconds = calls.map(() => {
    const sum = values.number("the time of a call");
    if (sum < 0) values.refuse("a time is negative");
    return sum;
  });
  skipNext(values, 0);
  return { nanoseconds, results: parseResults(calls, values) };
}

/** Goes past what stands before the result of a call. */
export function skipNext(values: Words, index: number): void {
  if (values.skip(NEXT)) return;
  values.refuse(`"${NEXT}" is missing before the result of call ${index + 1}`);
}
