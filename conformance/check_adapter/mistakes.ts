// SPDX-License-Identifier: GPL-2.0-only

/**
 * Requests that make no sense, made from the table of verbs.
 *
 * @module
 */

import { type Verb, VERBS } from "../../selftests/target/verbs.ts";
import { type Bench, refuses } from "./bench.ts";

/** Why a request makes no sense, and the request without its sequence number. */
export type Mistake = readonly [why: string, request: string];

/** A word for an argument that is a number, and others. */
const NUMBER = "99";
const NO_NUMBERS: readonly Mistake[] = [
  ["a word instead of a number", "three"],
  ["a number with a tail", "9x"],
];

/** A word for an argument that is bytes, and others. */
const BYTES = "00";
const NO_BYTES: readonly Mistake[] = [
  ["half a byte", "0"],
  ["bytes that are no hex digits", "0g"],
];

/** A word for each argument of a verb. */
export function wordsFor({ args }: Verb): string[] {
  return args.filter(([, kind]) => kind !== "numbers").map(([, kind]) =>
    ["text", "bytes", "struct"].includes(kind) ? BYTES : NUMBER
  );
}

/** A verb of which a word is wrong, missing, or too many. */
function badCalls(verb: Verb): Mistake[] {
  const { name } = verb;
  const words = wordsFor(verb);
  const mistakes: [why: string, words: readonly string[]][] = [
    ["an argument too many", [name, ...words, "1"]],
  ];
  if (words.length > 0) {
    mistakes.push(["an argument too few", [name, ...words.slice(1)]]);
  }
  for (const [i, word] of words.entries()) {
    for (const [why, bad] of word === BYTES ? NO_BYTES : NO_NUMBERS) {
      mistakes.push([why, [name, ...words.with(i, bad)]]);
    }
  }
  return mistakes.map(([why, request]) => [why, request.join(" ")]);
}

/** Requests for a verb: its {@link badCalls}, and a batch that it cannot be in. */
export function badRequests(verb: Verb): Mistake[] {
  if (verb.batched) return badCalls(verb);
  const request = ["batch", verb.name, ...wordsFor(verb)].join(" ");
  return [...badCalls(verb), ["a verb that cannot be in a batch", request]];
}

/** Steps of programs, beside those that are {@link badCalls}. */
const BAD_STEPS: readonly Mistake[] = [
  ["a step without a verb", "0"],
  ["a step of no process", "close 99"],
  ["a step of a negative process", "-1 close 99"],
  ["an unknown verb", "0 dance"],
  ["a verb of the adapter", "0 spawn"],
  ["a batch in a program", "0 batch poke 0 00"],
  ["nothing behind a step", "0 close 99 ;"],
  ["nothing between steps", "0 close 99 ; ; 0 close 99"],
  ["no step in a reference", "0 close ="],
  ["a word instead of a step", "0 close =x"],
  ["half a field", "0 close =0.0"],
  ["a field of 3 bytes", "0 close =0.0.3"],
  ["nothing that is added", "0 close =0+"],
  ["a word that is added", "0 close =0+x"],
  ["more than 64 bits that are added", `0 close =0+0x1${"0".repeat(16)}`],
  ["a reference with a tail", "0 close =0x"],
  ["a reference in the place of bytes", "0 poke 0 =0"],
  ["a reference in the place of a text", "0 open =0 0"],
  ["a reference in a text", "0 open 00@0.1=0 0"],
  ["a reference in the place of a process", "0 passfd 99 =0"],
  ["no place in bytes", "0 poke 0 00@=0"],
  ["no length in bytes", "0 poke 0 00@0=0"],
  ["3 bytes in bytes", "0 poke 0 00@0.3=0"],
  ["no value in bytes", "0 poke 0 00@0.1"],
  ["no reference in bytes", "0 poke 0 00@0.1=x"],
  ["no bytes around a value", "0 poke 0 @0.1=0"],
  ["a value in a number", "0 close 99@0.1=0"],
];

/** Programs that make no sense: the first step does, the second does not. */
export function badPrograms(): Mistake[] {
  const steps = [
    ...BAD_STEPS,
    ...VERBS.flatMap(badCalls)
      .map(([why, request]): Mistake => [why, `0 ${request}`]),
  ];
  return [
    ["a program without steps", "0 program"],
    ...steps.map(([why, step]): Mistake => [
      why,
      `0 program 0 pipe ; ${step}`,
    ]),
  ];
}

/** Sends requests that make no sense, each behind the same words; all must be refused. */
export async function refusesAll(
  bench: Bench,
  mistakes: readonly Mistake[],
  before = "",
): Promise<void> {
  for (const [why, request] of mistakes) {
    await because(why, refuses(bench, before + request));
  }
}

/** Lets an error say what the request was about. */
async function because(why: string, request: Promise<void>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (error instanceof Error) error.message = `With ${why}: ${error.message}`;
    throw error;
  }
}
