// SPDX-License-Identifier: GPL-2.0-only

/**
 * A step of a program as a line of text.
 *
 * @module
 */

import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Patch,
  Program,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import type { Argument } from "../../../selftests/target/verbs.ts";
import { bytesText } from "./bytes.ts";
import { doOverlap } from "./canonical.ts";
import {
  ioctlNameOf,
  type Place,
  placeOf,
  placesBack,
  type Shape,
  shapeOfStep,
} from "./layout.ts";
import { namedText, namingOf, namingOfField, numberText } from "./names.ts";

/** Writes the steps of a canonical program. */
export class StepFormat {
  readonly #program: Program;
  readonly #uapi: RevisionName;

  /** For the steps of this program. */
  constructor(program: Program, uapi: RevisionName) {
    this.#program = program;
    this.#uapi = uapi;
  }

  /** A step, without its label. */
  step(step: Step): string {
    const { process, call: { verb, args } } = step;
    const left: Patch[] = [];
    const shape = shapeOfStep(this.#program, step, this.#uapi);
    const listed = verb.args.flatMap(([name, kind], arg) => {
      if (kind === "numbers") return [];
      return this.#argument(step, arg, name, args[arg]!, shape, left);
    });
    const who = process === 0 ? "" : `P${process}: `;
    const rest = left.map((patch) => this.#put(step, patch));
    const behind = rest.length > 0 ? ` with ${rest.join(", ")}` : "";
    return `${who}${verb.title ?? verb.name}(${listed.join(", ")})${behind}`;
  }

  /** A value of an earlier step. */
  reference({ step, field, plus = 0n }: Reference): string {
    let text = `$${step}`;
    if (field) {
      const { offset, bytes } = field;
      const place = placesBack(this.#program, this.#program[step]!, this.#uapi)
        .find((each) => each.offset === offset && each.bytes === bytes);
      text += place ? `.${place.name}` : `@${offset}.${bytes}`;
    }
    if (plus === 0n) return text;
    return `${text} ${plus < 0n ? "-" : "+"} ${
      numberText(plus < 0n ? -plus : plus)
    }`;
  }

  #put({ call: { verb } }: Step, { arg, field, from }: Patch): string {
    const { offset, bytes } = field!;
    const name = verb.args[arg]![0];
    return `${name}@${offset}.${bytes} = ${this.reference(from)}`;
  }

  /** An argument; patches that have no place in it go to `left`. */
  #argument(
    step: Step,
    arg: number,
    name: string,
    value: Argument,
    shape: Shape | undefined,
    left: Patch[],
  ): string {
    const { verb } = step.call;
    const patches = (step.patches ?? []).filter((each) => each.arg === arg);
    const whole = patches.find(({ field }) => field === undefined);
    if (whole) return this.reference(whole.from);
    if (typeof value === "string") return JSON.stringify(value);
    if (typeof value !== "object") {
      if (verb.args[arg]![1] === "process") return `P${value}`;
      if (verb.args[arg]![1] === "command") {
        return shape?.name ??
          ioctlNameOf(Number(value), this.#program, step) ?? numberText(value);
      }
      const naming = namingOf(verb.name, name);
      return naming ? namedText(value, naming) : numberText(value);
    }
    const bytes = value as Uint8Array;
    if (verb.args[arg]![1] === "into") return numberText(bytes.length);
    const fields = shape && this.#struct(bytes, shape, patches);
    if (fields !== undefined) return fields;
    left.push(...patches);
    return bytesText(bytes);
  }

  /** The fields of a struct; undefined where they would not say all of it. */
  #struct(
    bytes: Uint8Array,
    { row, layout, op }: Shape,
    patches: readonly Patch[],
  ): string | undefined {
    if (doOverlap(patches)) return undefined;
    const size = row.sizeIn(this.#uapi);
    const whole = new Uint8Array(layout.size);
    whole.set(bytes.subarray(0, Math.min(size, layout.size)));
    const values = layout.decode(whole) as Record<string, number | bigint>;
    const again = new Uint8Array(layout.size);
    const view = layout.at(again) as Record<string, number | bigint>;
    const parts: string[] = [];
    let placed = 0;
    for (const field of fieldsOf(layout)) {
      const place = placeOf(layout, field);
      const value = values[field.name]!;
      const patch = patches.find(({ field }) => isAt(field, place));
      view[field.name] = value;
      if (patch) placed++;
      const usual = op !== undefined && field.name === "op"
        ? op
        : field.role.kind === "size"
        ? size
        : 0;
      if (!patch && Number(value) === usual) continue;
      const text = patch
        ? this.reference(patch.from)
        : namedText(value, namingOfField(field));
      parts.push(`${field.name}: ${text}`);
    }
    const known = Math.min(bytes.length, size);
    const isWhole = again.subarray(0, known)
      .every((byte, i) => byte === bytes[i]);
    if (!isWhole || placed < patches.length) return undefined;
    return `{${parts.join(", ")}}${tailText(bytes, size)}`;
  }
}

/** What a struct of another length than usual has beside its fields. */
function tailText(bytes: Uint8Array, size: number): string {
  if (bytes.length < size) return ` cut ${bytes.length}`;
  return bytes.length > size ? ` then ${bytesText(bytes.subarray(size))}` : "";
}

function isAt(field: Patch["field"], place: Place): boolean {
  return field?.offset === place.offset && field.bytes === place.bytes;
}
