// SPDX-License-Identifier: GPL-2.0-only

/**
 * The places of a step that hold something, and what is simpler there.
 *
 * @module
 */

import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import { type RevisionName, REVISIONS } from "../../../impl/uapi/revision.ts";
import type {
  Patch,
  Program,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import type { Call } from "../../../selftests/target/verbs.ts";
import { layoutOf, structRow } from "../../traces/describe_ioctl.ts";
import {
  type NumberPlace,
  valueAt,
  withArg,
  withoutPatch,
  withPatch,
  withValue,
} from "./patched.ts";
import {
  BYTES_OF,
  fewerBytes,
  lengthsBelow,
  simplerNumbers,
  simplerText,
  type Usual,
  usualOf,
  usualOfArg,
} from "./values.ts";

/** The step with simpler things in one of its places, the simplest first; none where nothing is simpler. */
export type Place = (step: Step) => Iterable<Step>;

/** A number in a step. */
export interface NumberIn {
  readonly place: NumberPlace;
  readonly value: bigint;
  readonly usual: Usual;
}

/** The numbers of a step that can be others and that no earlier step gives. */
export function numbersIn(step: Step, uapi: RevisionName): NumberIn[] {
  const { call: { verb, args } } = step;
  const places = verb.args.flatMap(
    ([name, kind], arg): [NumberPlace, Usual | undefined][] => {
      switch (kind) {
        case "number":
        case "u64":
          return [[{ arg }, usualOfArg(verb.name, name)]];
        case "bytes":
          return wordsOf(args[arg] as Uint8Array)
            .map((field) => [{ arg, field }, [0n, 1n]]);
        case "struct":
          return fieldsIn(Number(args[1]), args[arg] as Uint8Array, uapi)
            .map(({ usual, ...field }) => [{ arg, field }, usual]);
        default:
          return [];
      }
    },
  );
  return places.flatMap(([place, usual]) =>
    usual === undefined || patchAt(step, place.arg, place.field)
      ? []
      : [{ place, value: valueAt(step, place), usual }]
  );
}

/** Bytes as numbers of 32 bits, as far as structs go. */
function wordsOf(bytes: Uint8Array): NonNullable<Patch["field"]>[] {
  const words = Math.min(bytes.length / 4, 16);
  return Array.from({ length: words }, (_, i) => ({ offset: 4 * i, bytes: 4 }));
}

/** The places of a step: its references, and then its arguments and what is in them. */
export function placesOf(
  program: Program,
  index: number,
  uapi: RevisionName,
): Place[] {
  const { call: { verb, args }, patches = [] } = program[index]!;
  const places: Place[] = patches.map(({ arg, field }) =>
    referenceAt(program, arg, field)
  );
  for (const [i, [name, kind]] of verb.args.entries()) {
    switch (kind) {
      case "number":
      case "u64":
        places.push(numberAt(i, undefined, usualOfArg(verb.name, name)));
        break;
      case "text":
        places.push(textAt(i));
        break;
      case "bytes":
        places.push(bytesAt(i));
        break;
      case "into":
        places.push(lengthAt(i));
        break;
      case "struct":
        places.push(
          ...structAt(i, Number(args[1]), args[i] as Uint8Array, uapi),
        );
    }
  }
  return places;
}

/** A reference: 0 in its place, the value itself, or that of an earlier step. */
function referenceAt(
  program: Program,
  arg: number,
  field: Patch["field"],
): Place {
  return function* (step) {
    const patch = patchAt(step, arg, field);
    if (patch === undefined) return;
    const { from } = patch;
    const plain = withoutPatch(step, patch);
    yield withValue(plain, patch, 0n);
    if (from.plus) {
      yield withValue(plain, patch, from.plus);
      const { plus: _, ...itself } = from;
      yield withPatch(step, patch, { ...patch, from: itself });
    }
    for (const earlier of earlierThan(from, program)) {
      yield withPatch(step, patch, { ...patch, from: earlier });
    }
  };
}

/** The patch that fills a place. */
function patchAt(
  { patches = [] }: Step,
  arg: number,
  field: Patch["field"],
): Patch | undefined {
  return patches.find((patch) =>
    patch.arg === arg && patch.field?.offset === field?.offset
  );
}

/** Whether two calls are of the same verb and, if it is an ioctl, of the same one. */
export function isSame(a: Call, b: Call): boolean {
  return a.verb === b.verb &&
    (a.verb.name !== "ioctl" || a.args[1] === b.args[1]);
}

/** References to earlier steps for the same: to what the program refers to elsewhere, and to calls like the one that is meant. */
function earlierThan(
  { step, field }: Reference,
  program: Program,
): Reference[] {
  const { call: meant } = program[step]!;
  const earlier = new Map<string, Reference>();
  const add = (reference: Reference) =>
    earlier.set(`${reference.step} ${reference.field?.offset}`, reference);
  for (const { patches = [] } of program) {
    for (const { from: { plus: _, ...from } } of patches) {
      const isLike = (from.field === undefined) === (field === undefined);
      if (from.step < step && isLike) add(from);
    }
  }
  for (const [i, { call }] of program.slice(0, step).entries()) {
    if (isSame(call, meant)) add({ step: i, ...field && { field } });
  }
  return [...earlier.values()].sort((a, b) => a.step - b.step);
}

/** A number: an argument, or a field in it. One that must stay has nothing usual. */
function numberAt(
  arg: number,
  field: Patch["field"],
  usual: Usual | undefined,
): Place {
  return function* (step) {
    if (usual === undefined || patchAt(step, arg, field)) return;
    const place = { arg, ...field && { field } };
    for (const simpler of simplerNumbers(valueAt(step, place), usual)) {
      yield withValue(step, place, simpler);
    }
  };
}

function textAt(arg: number): Place {
  return ({ call, ...step }) =>
    simplerText(call.verb.name, call.args[arg] as string)
      .map((text) => withArg({ ...step, call }, arg, text));
}

function bytesAt(arg: number): Place {
  return (step) =>
    fewerBytes(step.call.args[arg] as Uint8Array)
      .map((bytes) => withArg(step, arg, bytes));
}

/** How much is read. */
function lengthAt(arg: number): Place {
  return (step) =>
    lengthsBelow((step.call.args[arg] as Uint8Array).length)
      .map((length) => withArg(step, arg, new Uint8Array(length)));
}

/**
 * The struct of an ioctl: its fields, what the layout does not know, and how
 * long it is. What says what is called stays.
 */
function structAt(
  arg: number,
  command: number,
  bytes: Uint8Array,
  uapi: RevisionName,
): Place[] {
  const row = structRow(command);
  const fields = fieldsIn(command, bytes, uapi).map(({ usual, ...field }) =>
    numberAt(arg, field, usual)
  );
  const size = row?.sizeIn(uapi);
  const sized = size === undefined ? [] : [sizedAt(arg, size)];
  return [...sized, shorterAt(arg, size ?? 0), ...fields];
}

/** A field of a struct, and what is usual there. */
type FieldIn = NonNullable<Patch["field"]> & {
  readonly usual: Usual | undefined;
};

/** The fields of an ioctl's struct, and each byte that the layout does not know. */
function fieldsIn(
  command: number,
  bytes: Uint8Array,
  uapi: RevisionName,
): FieldIn[] {
  const row = structRow(command);
  const layout = row && layoutOf(row, bytes, REVISIONS[uapi]);
  const known = (layout ? fieldsOf(layout) : []).map((each) => ({
    offset: each.offset,
    bytes: BYTES_OF[each.type],
    usual: usualOf(each),
  }));
  const isKnown = (at: number) =>
    known.some(({ offset, bytes }) => at >= offset && at < offset + bytes);
  const rest = [...bytes.keys()].filter((at) => !isKnown(at))
    .map((offset) => ({ offset, bytes: 1 as const, usual: [0n] }));
  return [...known, ...rest];
}

/** Fewer bytes of what is longer than its struct. */
function shorterAt(arg: number, size: number): Place {
  return (step) => {
    const bytes = step.call.args[arg] as Uint8Array;
    return [size, 4, 8, 16, bytes.length >> 1]
      .filter((each) => each >= size && each < bytes.length)
      .sort((a, b) => a - b)
      .map((length) => withArg(step, arg, bytes.slice(0, length)));
  };
}

/** A struct as long as it is in its revision, if it says that it is longer. */
function sizedAt(arg: number, size: number): Place {
  return function* (step) {
    const bytes = step.call.args[arg] as Uint8Array;
    if (bytes.length <= size) return;
    const cut = withArg(step, arg, bytes.slice(0, size));
    yield withValue(cut, { arg, field: { offset: 0, bytes: 4 } }, BigInt(size));
  };
}
