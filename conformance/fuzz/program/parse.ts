// SPDX-License-Identifier: GPL-2.0-only

/**
 * A line of text as a step of a program.
 *
 * @module
 */

import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Patch,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import {
  type Argument,
  type Kind,
  type Verb,
  VERBS,
} from "../../../selftests/target/verbs.ts";
import { bytesOf } from "./bytes.ts";
import {
  IOCTL_NAMES,
  ioctlNumber,
  OP_NAMES,
  placeOf,
  placesBack,
  type Shape,
  shapeNamed,
} from "./layout.ts";
import { CONSTANTS, type Constants, namingOfField } from "./names.ts";
import type { Scanner } from "./scanner.ts";

const NAME = /[A-Za-z_]\w*/;
const NUMBER = /-?(0x[\da-fA-F]+|\d+)/;
/** The smallest and the largest value of an argument. */
const MIN = -(2n ** 63n);
const MAX = 2n ** 64n - 1n;
/** Bytes that an argument can have at most: what stands in a line by hand may be a mistake. */
const MAX_BYTES = 2n ** 26n;

/** A value: a number, or where it comes from. */
type Value = bigint | Reference;

/** A name that people call verbs by. */
function titleOf({ name, title }: Verb): string {
  return title ?? name;
}

/** Reads the steps of a program, one after the other. */
export class StepParser {
  readonly #uapi: RevisionName;
  readonly #steps: Step[] = [];
  readonly #labels = new Map<string, number>();

  /** Of a program for this revision. */
  constructor(uapi: RevisionName) {
    this.#uapi = uapi;
  }

  /** The steps so far. */
  get program(): readonly Step[] {
    return this.#steps;
  }

  /** The same, to go on from here. */
  copy(): StepParser {
    const other = new StepParser(this.#uapi);
    other.#steps.push(...this.#steps);
    for (const [label, step] of this.#labels) other.#labels.set(label, step);
    return other;
  }

  /** Adds a step that was not read. */
  add(step: Step): void {
    this.#steps.push(step);
  }

  /** Reads the next step. */
  step(line: Scanner): void {
    const label = line.match(/\$(\w+)\s*=(?!=)/)?.[1];
    const process = line.match(/P(\d+)\s*:/)?.[1];
    const name = line.match(NAME)?.[0] ??
      line.refuse("a call such as close($0) is expected");
    const verbs: readonly Verb[] = VERBS;
    const found = verbs.filter((verb) =>
      titleOf(verb) === name || verb.name === name
    );
    if (found.length === 0) {
      line.refuseName("call", name, [...new Set(verbs.map(titleOf))]);
    }
    line.expect("(", name);
    const patches: Patch[] = [];
    const { verb, args } = this.#arguments(line, found, patches);
    line.expect(")", name);
    if (line.skip("with ")) this.#puts(line, verb, patches);
    if (!line.isAtEnd) line.refuse("nothing is expected behind the call");
    const call = { verb, args };
    const own = { process: Number(process ?? 0), call };
    this.#steps.push(patches.length > 0 ? { ...own, patches } : own);
    if (label !== undefined) this.#labels.set(label, this.#steps.length - 1);
  }

  /** The arguments, and the verb of those that have the name: an ioctl has a struct or a number. */
  #arguments(
    line: Scanner,
    [first, ...others]: readonly Verb[],
    patches: Patch[],
  ): { verb: Verb; args: Argument[] } {
    let verb = first!;
    let shape: Shape | undefined;
    const args: Argument[] = [];
    for (let arg = 0; arg < verb.args.length; arg++) {
      let [name, kind] = verb.args[arg]!;
      if (kind === "numbers") {
        args.push([]);
        continue;
      }
      if (arg > 0) line.expect(",", titleOf(verb));
      if (kind === "command") {
        const command = this.#command(line, arg, patches);
        args.push(command.number);
        shape = command.shape;
        continue;
      }
      const isBytes = line.isNext("{") || line.isNext('x"');
      if (kind === "struct" && !isBytes && others.length > 0) {
        verb = others[0]!;
        [name, kind] = verb.args[arg]!;
      }
      args.push(this.#argument(line, kind, name, arg, shape, patches));
    }
    return { verb, args };
  }

  #argument(
    line: Scanner,
    kind: Kind,
    name: string,
    arg: number,
    shape: Shape | undefined,
    patches: Patch[],
  ): Argument {
    switch (kind) {
      case "text":
        return this.#text(line, name);
      case "struct":
        if (line.isNext("{")) return this.#struct(line, arg, shape, patches);
        return this.#bytes(line, name);
      case "bytes":
        return this.#bytes(line, name);
      case "into":
        return new Uint8Array(Number(this.#number(line, name, 0n, MAX_BYTES)));
      case "process":
        if (line.isNext("P")) {
          const number = line.match(/P(\d+)/)?.[1] ??
            line.refuse(`${name} must be a process such as P1`);
          return Number(number);
        }
    }
    const value = this.#value(line, name, [CONSTANTS], MIN, MAX);
    if (typeof value === "bigint") {
      if (kind === "u64") return value;
      if (BigInt(Number(value)) === value) return Number(value);
      line.refuse(`${name} must be a number of at most 53 bits and zeros`);
    }
    patches.push({ arg, from: value });
    return kind === "u64" ? 0n : 0;
  }

  /** The number of an ioctl, and its struct's layout where it is called by name. */
  #command(
    line: Scanner,
    arg: number,
    patches: Patch[],
  ): { number: number; shape?: Shape | undefined } {
    const name = line.match(NAME)?.[0];
    if (name === undefined) {
      const value = this.#value(line, "the ioctl", [], 0n, 2n ** 32n - 1n);
      if (typeof value === "bigint") return { number: Number(value) };
      patches.push({ arg, from: value });
      return { number: 0 };
    }
    const number = ioctlNumber(name) ??
      line.refuseName("ioctl", name, IOCTL_NAMES);
    const op = line.match(NAME)?.[0];
    const shape = shapeNamed(name, op, this.#uapi);
    if (op !== undefined && shape === undefined) {
      line.refuseName("test operation", op, OP_NAMES);
    }
    return { number, shape };
  }

  #text(line: Scanner, name: string): string {
    const quoted = line.match(/"(\\.|[^"\\])*"/)?.[0];
    try {
      if (quoted !== undefined) return JSON.parse(quoted);
    } catch {
      // It is refused below.
    }
    return line.refuse(`${name} must be a text in quotes, as in JSON`);
  }

  /** Bytes: `x"00ff 01*16"`. */
  #bytes(line: Scanner, name: string): Uint8Array {
    const text = line.match(/x"[^"]*"/)?.[0];
    const bytes = text === undefined
      ? undefined
      : bytesOf(text, Number(MAX_BYTES));
    return bytes ?? line.refuse(
      `${name} must be bytes in lower-case hex, as in x"00ff 01*16"`,
    );
  }

  /** A struct: `{flags: READABLE, ioasId: $1.outIoasId}`, and what it has more or less than usual. */
  #struct(
    line: Scanner,
    arg: number,
    shape: Shape | undefined,
    patches: Patch[],
  ): Uint8Array {
    if (shape === undefined) {
      return line.refuse(
        `the fields of this ioctl are not known: it needs bytes, as in x"00ff"`,
      );
    }
    const { row, layout, op } = shape;
    const size = row.sizeIn(this.#uapi);
    const whole = layout.encode();
    const view = layout.at(whole) as Record<string, number | bigint>;
    for (const field of fieldsOf(layout)) {
      if (field.role.kind === "size") view[field.name] = size;
    }
    if (op !== undefined) view.op = op;
    line.expect("{", shape.name);
    while (!line.skip("}")) {
      this.#field(line, arg, shape, view, patches);
      if (!line.isNext("}")) line.expect(",", "a field");
    }
    const bytes = whole.slice(0, size);
    if (line.skip("cut ")) {
      const length = this.#number(line, "the length", 0n, BigInt(size));
      return bytes.subarray(0, Number(length));
    }
    if (!line.skip("then ")) return bytes;
    const rest = this.#bytes(line, "what comes behind the struct");
    const joined = new Uint8Array(size + rest.length);
    joined.set(bytes);
    joined.set(rest, size);
    return joined;
  }

  #field(
    line: Scanner,
    arg: number,
    { name: struct, layout }: Shape,
    view: Record<string, number | bigint>,
    patches: Patch[],
  ): void {
    const name = line.match(NAME)?.[0] ??
      line.refuse(`the name of a field of ${struct} is expected`);
    const fields = fieldsOf(layout);
    const field = fields.find((each) => each.name === name) ??
      line.refuseName(
        `field of ${struct}`,
        name,
        fields.map(({ name }) => name),
      );
    line.expect(":", `the field ${name}`);
    const { offset, bytes } = placeOf(layout, field);
    const bits = BigInt(8 * bytes);
    const min = -(1n << (bits - 1n));
    const max = (1n << bits) - 1n;
    const names = [namingOfField(field).names, CONSTANTS];
    const value = this.#value(line, name, names, min, max);
    if (typeof value !== "bigint") {
      view[name] = field.type === "u64" ? 0n : 0;
      patches.push({ arg, field: { offset, bytes }, from: value });
    } else view[name] = field.type === "u64" ? value : Number(value);
  }

  /** What is put into bytes: `with BYTES@8.4 = $1`. */
  #puts(line: Scanner, verb: Verb, patches: Patch[]): void {
    const names = verb.args.filter(([, kind]) =>
      kind === "bytes" || kind === "struct"
    ).map(([name]) => name);
    do {
      const place = line.match(/(\w+)@(\d+)\.([1248])/) ??
        line.refuse(`a place such as STRUCT@8.4 is expected`);
      const [, name, offset, bytes] = place as unknown as string[];
      if (!names.includes(name!)) {
        line.refuseName("argument with bytes", name!, names);
      }
      line.expect("=", name!);
      const from = this.#reference(line);
      patches.push({
        arg: verb.args.findIndex(([each]) => each === name),
        field: {
          offset: Number(offset),
          bytes: Number(bytes) as 1 | 2 | 4 | 8,
        },
        from,
      });
    } while (line.skip(","));
  }

  /** A number, in digits or by names, or a reference. */
  #value(
    line: Scanner,
    what: string,
    names: readonly Constants[],
    min: bigint,
    max: bigint,
  ): Value {
    if (line.isNext("$")) return this.#reference(line);
    let value = 0n;
    do {
      value |= this.#term(line, what, names);
    } while (line.skip("|"));
    if (value < min || value > max) {
      const digits = (number: bigint) =>
        number < 0n
          ? `-0x${(-number).toString(16)}`
          : `0x${number.toString(16)}`;
      line.refuse(
        `${what} must be a number from ${digits(min)} to ${digits(max)}`,
      );
    }
    return value;
  }

  #number(line: Scanner, what: string, min: bigint, max: bigint): bigint {
    const value = this.#value(line, what, [], min, max);
    if (typeof value === "bigint") return value;
    return line.refuse(`${what} must be a number`);
  }

  #term(
    line: Scanner,
    what: string,
    names: readonly Constants[],
  ): bigint {
    const digits = line.match(NUMBER)?.[0];
    if (digits !== undefined) return exactly(digits);
    const name = line.match(NAME)?.[0];
    if (name === undefined) {
      return line.refuse(
        `${what} must be a number, a constant or a value such as $0`,
      );
    }
    const found = names.find((each) => Object.hasOwn(each, name));
    if (found !== undefined) return BigInt(found[name]!);
    return line.refuseName("constant", name, names.flatMap(Object.keys));
  }

  /** A value of an earlier step: `$1`, `$1.outIoasId + 0x1000`, `$1@8.4`. */
  #reference(line: Scanner): Reference {
    const label = line.match(/\$(\w+)/)?.[1] ??
      line.refuse("a value such as $0 is expected");
    const step = this.#labels.get(label) ??
      (/^\d+$/.test(label) ? Number(label) : -1);
    const from = this.#steps[step] ??
      line.refuse(`there is no step $${label} before this one`);
    const field = this.#place(line, from);
    const sign = line.match(/[+-]/)?.[0];
    if (sign === undefined) return field ? { step, field } : { step };
    const digits = line.match(NUMBER)?.[0] ??
      line.refuse(`a number is expected behind "${sign}"`);
    const plus = sign === "-" ? -exactly(digits) : exactly(digits);
    return { step, ...field ? { field } : {}, ...plus ? { plus } : {} };
  }

  #place(line: Scanner, from: Step): Reference["field"] {
    const numbered = line.match(/@(\d+)\.([1248])/);
    if (numbered) {
      const [offset, bytes] = [Number(numbered[1]), Number(numbered[2])];
      return { offset, bytes: bytes as 1 | 2 | 4 | 8 };
    }
    const name = line.match(/\.([A-Za-z_]\w*)/)?.[1];
    if (name === undefined) return undefined;
    const places = placesBack(this.#steps, from, this.#uapi);
    const place = places.find((each) => each.name === name) ??
      line.refuseName(
        `field of what ${titleOf(from.call.verb)} gives`,
        name,
        places.map(({ name }) => name),
      );
    return { offset: place.offset, bytes: place.bytes };
  }
}

/** A number in digits, perhaps with a sign. */
function exactly(digits: string): bigint {
  return digits.startsWith("-") ? -BigInt(digits.slice(1)) : BigInt(digits);
}
