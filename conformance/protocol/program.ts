// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs in the words of the adapter protocol (protocol.md), on both ends:
 * their steps, and what these came to.
 *
 * @module
 */

import {
  fresh,
  type Outcome,
  outcomeOf,
  type Patch,
  type Program,
  type Reference,
  type Step,
} from "../../selftests/target/program.ts";
import { ProtocolError } from "../../selftests/target/target_failure.ts";
import {
  type Argument,
  isSent,
  type Kind,
  type Verb,
} from "../../selftests/target/verbs.ts";
import {
  argumentsSent,
  formatArgument,
  formatOutcome,
  NEXT,
  parseArgument,
  parseResult,
  skipNext,
} from "./calls.ts";
import { formatNumber, formatText, quoteLine, Words } from "./codec.ts";

/** Stands for the values of a step whose process is not there. */
const GONE = "gone";
/** Stands before the reason why the process of a step ended. */
const DIED = "died";

/** Begins a value that comes from an earlier step. */
const FROM = "=";
/** Stands between bytes and what is put into them. */
const INTO = "@";

const ANY = String.raw`(0|[1-9]\d*|0x[\da-fA-F]+)`;
const PLACE = String.raw`${ANY}\.([1248])`;
/** A reference, without what it begins with. */
const REFERENCE = new RegExp(
  String.raw`^${ANY}(?:\.${PLACE})?(?:\+(-?)${ANY})?$`,
);
/** Where in bytes a value goes, and the value. */
const INSERTION = new RegExp(`^${PLACE}${FROM}(.*)$`);

/** The kinds of arguments that can be a value of an earlier step. */
const NUMBERS: readonly Kind[] = ["number", "u64", "command"];

/** The arguments of the request that carries a program out. */
export function formatSteps(program: Program): string {
  return program.map(formatStep).join(` ${NEXT} `);
}

function formatStep({ process, call, patches = [] }: Step): string {
  let step = `${formatNumber(process)} ${call.verb.name}`;
  for (const [i, kind] of argumentsSent(call.verb)) {
    let word = formatArgument(kind, call.args[i]!);
    for (const { arg, field, from } of patches) {
      if (arg !== i) continue;
      word = field
        ? `${word}${INTO}${formatField(field)}${formatReference(from)}`
        : formatReference(from);
    }
    step += ` ${word}`;
  }
  return step;
}

function formatField({ offset, bytes }: NonNullable<Patch["field"]>): string {
  return `${formatNumber(offset)}.${bytes}`;
}

function formatReference({ step, field, plus = 0n }: Reference): string {
  return FROM + formatNumber(step) +
    (field ? `.${formatField(field)}` : "") +
    (plus ? `+${formatNumber(plus)}` : "");
}

/** Reads steps, all that is left of a request; `verbOf` finds their verbs. Throws {@link ProtocolError}. */
export function parseSteps(
  words: Words,
  verbOf: (words: Words) => Verb,
): Program {
  return words.split(NEXT).map((part) => parseStep(part, verbOf));
}

function parseStep(words: Words, verbOf: (words: Words) => Verb): Step {
  const process = words.number("the process");
  if (process < 0) words.refuse("the number of a process is negative");
  const verb = verbOf(words);
  const patches: Patch[] = [];
  const args = verb.args.map(([name, kind], arg) =>
    kind === "numbers"
      ? parseArgument(kind, words, name)
      : parsePatched(words.word(name), kind, name, arg, patches)
  );
  words.end();
  return { process, call: { verb, args }, patches };
}

/** Reads an argument; what is put in its place or into it is added to `patches`. */
function parsePatched(
  word: string,
  kind: Kind,
  name: string,
  arg: number,
  patches: Patch[],
): Argument {
  if (NUMBERS.includes(kind) && word.startsWith(FROM)) {
    patches.push({ arg, from: parseReference(word.slice(FROM.length), name) });
    return kind === "u64" ? 0n : 0;
  }
  const parts = isSent(kind) ? word.split(INTO) : [word];
  for (const part of parts.slice(1)) {
    const [, offset, bytes, from] = INSERTION.exec(part) ?? [];
    if (from === undefined) refuse(name, part);
    const field = fieldOf(offset!, bytes!);
    patches.push({ arg, field, from: parseReference(from!, name) });
  }
  return parseArgument(kind, new Words(parts[0]!), name);
}

function parseReference(text: string, name: string): Reference {
  const [all, step, offset, bytes, minus, plus] = REFERENCE.exec(text) ?? [];
  if (all === undefined) refuse(name, text);
  return {
    step: new Words(step!).number(name),
    ...bytes !== undefined && { field: fieldOf(offset!, bytes) },
    ...plus !== undefined && { plus: new Words(minus + plus).bigint(name) },
  };
}

function fieldOf(offset: string, bytes: string): NonNullable<Patch["field"]> {
  const field = { offset: new Words(offset).number("an offset") };
  return { ...field, bytes: Number(bytes) as 1 | 2 | 4 | 8 };
}

function refuse(name: string, text: string): never {
  throw new ProtocolError(
    `${name} is neither a value nor one of an earlier step: ${quoteLine(text)}`,
  );
}

/** What the steps of a program came to, as the values of the reply. */
export function formatOutcomes(
  program: Program,
  outcomes: readonly Outcome[],
): string[] {
  return outcomes.flatMap((outcome, i) => [
    ...i > 0 ? [NEXT] : [],
    ...valuesOf(program[i]!, outcome),
  ]);
}

function valuesOf({ call }: Step, outcome: Outcome): string[] {
  if (outcome.kind === "gone") return [GONE];
  if (outcome.kind === "died") return [DIED, formatText(outcome.reason)];
  return formatOutcome(call, outcome);
}

/** Reads what the steps of a program came to. Throws {@link ProtocolError}. */
export function parseOutcomes(program: Program, values: Words): Outcome[] {
  return program.map((step, i) => {
    if (i > 0) skipNext(values, i);
    return parseOutcome(step, values);
  });
}

function parseOutcome({ call }: Step, values: Words): Outcome {
  if (values.skip(GONE)) return { kind: "gone" };
  if (values.skip(DIED)) {
    return { kind: "died", reason: values.text("the reason") };
  }
  // The program is not ours to write to.
  const own = fresh(call);
  return outcomeOf(own, parseResult(own, values, true));
}
