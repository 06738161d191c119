// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs as programs of syzkaller's.
 *
 * Read back they are the same: what syzkaller has no description of, or cannot
 * say exactly, stands in comments, in the words of ../program.
 *
 * @module
 */

import { type Field, fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import { MAP_FIXED } from "../../../impl/uapi/mman.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Outcome,
  Patch,
  Program,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import { readValue, resolve } from "../../../selftests/target/program.ts";
import { structOf } from "../../../selftests/target/verbs.ts";
import { canonical } from "../program/canonical.ts";
import { StepFormat } from "../program/format.ts";
import { placeOf, type Shape, shapeOfStep } from "../program/layout.ts";
import { formatSteps } from "../program/text.ts";
import { DESCRIBED, type Described, placesDescribed } from "./described.ts";
import {
  Importer,
  MEMORY_AT,
  ONLY_HERE,
  type Region,
  STANDS_FOR,
} from "./import.ts";
import { SYZ_BASE } from "./syntax.ts";

/** Where structs and texts are: behind what programs map. */
const SCRATCH = "&(0x7f0000ffe000)";
/** Bytes that programs can have mapped. */
const ROOM = 0xff_e000n;
const PAGE = 4096n;

/**
 * The program. Values that only a step's outcome says, and that syzkaller
 * cannot hand on, are those of `outcomes`, or 0.
 */
export function exportSyzkaller(
  given: Program,
  uapi: RevisionName,
  outcomes: readonly Outcome[] = [],
): string {
  const program = canonical(given);
  const regions = regionsOf(program);
  const lines = regions.map(({ here, length, there }) =>
    `${MEMORY_AT}${hex(here)} ${hex(length)} at ${hex(there)}`
  );
  if (lines.length === 0) lines.push(`${MEMORY_AT}none`);
  const exporter = new Exporter(program, uapi, outcomes, regions);
  return `${[...lines, ...exporter.lines()].join("\n")}\n`;
}

/** Memory at addresses that the program chose, as far as there is room. */
function regionsOf(program: Program): Region[] {
  const regions: Region[] = [];
  let there = SYZ_BASE;
  for (const { call: { verb, args }, patches } of program) {
    if (verb.name !== "mmap" || patches?.some(({ arg }) => arg < 2)) continue;
    const [here, asked, , flags] = args.map((arg) => BigInt(arg as number));
    const length = (asked! + PAGE - 1n) / PAGE * PAGE;
    const isFixed = (Number(flags) & MAP_FIXED) !== 0;
    const isThere = regions.some((region) =>
      here! < region.here + region.length && region.here < here! + length
    );
    const end = there + length;
    if (!isFixed || isThere || length <= 0n || end > SYZ_BASE + ROOM) continue;
    regions.push({ here: here!, length, there });
    there = end;
  }
  return regions;
}

class Exporter {
  readonly #program: Program;
  readonly #uapi: RevisionName;
  readonly #outcomes: readonly Outcome[];
  readonly #regions: readonly Region[];
  readonly #texts: readonly string[];
  readonly #names = new Map<string, string>();
  /** Reads what is written, to see what it says. */
  readonly #importer: Importer;

  constructor(
    program: Program,
    uapi: RevisionName,
    outcomes: readonly Outcome[],
    regions: readonly Region[],
  ) {
    this.#program = program;
    this.#uapi = uapi;
    this.#outcomes = outcomes;
    this.#regions = regions;
    this.#texts = formatSteps(program, uapi);
    this.#importer = new Importer(uapi, regions);
    for (const { patches = [] } of program) {
      for (const { from } of patches) {
        const key = keyOf(from);
        if (!this.#names.has(key)) this.#names.set(key, `r${this.#names.size}`);
      }
    }
  }

  lines(): string[] {
    const lines: string[] = [];
    for (let i = 0; i < this.#program.length;) {
      const { written, steps } = this.#line(i);
      for (const line of written) {
        this.#importer.line(line, lines.length + 1);
        lines.push(line);
      }
      i += steps;
    }
    return lines;
  }

  /** The lines for a step, and for those that are one with it. */
  #line(index: number): { written: string[]; steps: number } {
    for (const { at, steps, before, nth } of this.#joined(index)) {
      const line = this.#call(at, before, nth);
      if (line !== undefined && this.#says(line, index, steps)) {
        return { written: [line], steps };
      }
    }
    const text = this.#texts[index]!;
    const line = this.#call(index, undefined, undefined);
    return {
      written: line === undefined
        ? [`${ONLY_HERE}${text}`]
        : [`${STANDS_FOR}${text}`, line],
      steps: 1,
    };
  }

  /** What steps from one on can be one call: bytes that are written for it, a step of it that fails, the call. */
  #joined(
    index: number,
  ): { at: number; steps: number; before?: Step; nth?: number }[] {
    const verb = (i: number) => this.#program[i]?.call.verb.name;
    const joined = [];
    const before = verb(index) === "poke" ? this.#program[index] : undefined;
    const at = before ? index + 1 : index;
    if (verb(at) === "failnth" && verb(at + 2) === "failnth") {
      const nth = Number(this.#program[at]!.call.args[0]);
      const steps = at + 3 - index;
      joined.push({ at: at + 1, steps, nth, ...before ? { before } : {} });
    }
    if (before) joined.push({ at, steps: 2, before });
    joined.push({ at: index, steps: 1 });
    return joined;
  }

  /** True if a line is read as these steps. */
  #says(line: string, index: number, steps: number): boolean {
    const other = this.#importer.copy();
    other.line(line, 1);
    if (other.notes.length > 0) return false;
    const end = index + steps;
    const read = canonical(other.program);
    const format = new StepFormat(read, this.#uapi);
    const wanted = new StepFormat(this.#program, this.#uapi);
    return read.length === end &&
      this.#program.slice(index, end).every((step, i) =>
        wanted.step(step) === format.step(read[index + i]!)
      );
  }

  /** A call; undefined for what syzkaller does not describe. */
  #call(
    index: number,
    before: Step | undefined,
    nth: number | undefined,
  ): string | undefined {
    const step = this.#program[index];
    if (step === undefined || step.process !== 0) return undefined;
    const words = this.#words(step, index, before);
    if (words === undefined) return undefined;
    const [name, ...args] = words;
    const variable = this.#names.get(keyOf({ step: index }));
    const result = variable === undefined ? "" : `${variable} = `;
    const property = nth === undefined ? "" : ` (fail_nth: ${nth})`;
    return `${result}${name}(${args.join(", ")})${property}`;
  }

  /** The name of a call and its arguments. */
  #words(
    step: Step,
    index: number,
    before: Step | undefined,
  ): string[] | undefined {
    const { call: { verb, args } } = step;
    const number = (arg: number) => this.#number(step, arg);
    const numbers = () => verb.args.map((_, arg) => number(arg));
    switch (verb.name) {
      case "open": {
        const path = String(args[0]);
        const name = path === "/dev/iommu" ? "openat$iommufd" : "openat";
        const at = "0xffffffffffffff9c";
        return [name, at, this.#text(path), number(1), "0x0"];
      }
      case "memfd":
        return ["memfd_create", this.#text(String(args[0])), number(1)];
      case "read": {
        const length = hex((args[1] as Uint8Array).length);
        return ["read", number(0), `${SCRATCH}=""/${length}`, length];
      }
      case "write": {
        const bytes = args[1] as Uint8Array;
        const from = `${SCRATCH}="${bytes.toHex()}"`;
        return ["write", number(0), from, hex(bytes.length)];
      }
      case "mmap":
      case "munmap":
      case "mprotect":
      case "madvise": {
        const [, length, ...rest] = numbers();
        const memory = this.#memory(BigInt(args[0] as number), length!);
        return [verb.name, memory, length!, ...rest];
      }
      case "eventfd":
        return ["eventfd2", ...numbers()];
      case "close":
      case "dup":
      case "dup2":
      case "dup3":
      case "ftruncate":
      case "fallocate":
      case "lseek":
      case "setuid":
        return [verb.name, ...numbers()];
      case "ioctlarg": {
        const own = DESCRIBED.find((each) =>
          each.isPlain && this.#texts[index]!.includes(`${each.ioctl},`)
        );
        const name = own ? `ioctl$${own.name}` : "ioctl";
        return [name, ...numbers()];
      }
      case "ioctl":
        return this.#ioctl(step, index, before);
    }
    return undefined;
  }

  #ioctl(step: Step, index: number, before: Step | undefined): string[] {
    const [fd, command] = [0, 1].map((arg) => this.#number(step, arg));
    const shape = shapeOfStep(this.#program, step, this.#uapi);
    const own = shape && describe(shape, step);
    const name = own ? `ioctl$${own.name}` : "ioctl";
    const struct = own && this.#struct(own, shape, step, index, before);
    const arg = struct ?? this.#any(step);
    return [name, fd!, command!, `${SCRATCH}=${arg}`];
  }

  /** A struct by its fields; undefined where it is not as it is described. */
  #struct(
    own: Described,
    shape: Shape,
    step: Step,
    index: number,
    before: Step | undefined,
  ): string | undefined {
    const bytes = structOf(step.call)!;
    const { layout } = shape;
    const [first] = fieldsOf(layout);
    const said = new DataView(bytes.buffer, bytes.byteOffset);
    const isSized = first?.role.kind === "size" && bytes.length >= 4 &&
      said.getUint32(0, true) === bytes.length;
    if (!isSized) return undefined;
    const places = placesDescribed(own, shape)
      .filter(({ offset, bytes: width }) => offset + width <= bytes.length);
    const fields = fieldsOf(layout);
    const parts = places.map(({ offset, bytes: width }) => {
      const field = fields.find((each) => each.offset === offset);
      const key = keyOf({ step: index, field: { offset, bytes: width } });
      const value = this.#value(step, { offset, bytes: width });
      const result = isResource(field) ? this.#names.get(key) : undefined;
      if (result !== undefined) return `<${result}=>${value}`;
      if (field?.role.kind !== "pointer" || !/^0x/.test(value)) return value;
      return this.#pointer(BigInt(value), field, shape, bytes, before);
    });
    return `{${parts.join(", ")}}`;
  }

  /** A pointer, and the bytes that a step before writes there. */
  #pointer(
    address: bigint,
    { role }: Field,
    { layout }: Shape,
    bytes: Uint8Array,
    before: Step | undefined,
  ): string {
    const there = this.#there(address);
    if (there === undefined) return hex(address);
    const [at, data] = before?.call.args ?? [];
    if (before && BigInt(at as number) === address && !before.patches) {
      return `&(${hex(there)})="${(data as Uint8Array).toHex()}"`;
    }
    const whole = new Uint8Array(Math.max(layout.size, bytes.length));
    whole.set(bytes);
    const values = layout.decode(whole) as Record<string, number | bigint>;
    const length = role.kind === "pointer" ? values[role.count] ?? 0 : 0;
    return this.#memory(address, hex(BigInt(length)));
  }

  /** A struct as bytes, and what is put into them. */
  #any({ call, patches = [] }: Step): string {
    const bytes = structOf(call)!;
    const own = patches.filter(({ arg, field }) => arg === 2 && field);
    if (own.length === 0) return `ANY=[@ANYBLOB="${bytes.toHex()}"]`;
    const parts: string[] = [];
    let at = 0;
    for (const { field, from } of own) {
      const { offset, bytes: width } = field!;
      if (offset > at) parts.push(blob(bytes.subarray(at, offset)));
      parts.push(`@ANYRES${8 * width}=${this.#variable(from)}`);
      at = offset + width;
    }
    if (at < bytes.length) parts.push(blob(bytes.subarray(at)));
    return `ANY=[${parts.join(", ")}]`;
  }

  /** An argument that is a number. */
  #number(step: Step, arg: number): string {
    const patch = step.patches?.find((each) => each.arg === arg && !each.field);
    if (patch) return this.#variable(patch.from);
    const value = BigInt(step.call.args[arg] as number | bigint);
    return hex(BigInt.asUintN(64, value));
  }

  /** A number in a struct. */
  #value(step: Step, field: NonNullable<Patch["field"]>): string {
    const { offset, bytes } = field;
    const patch = step.patches?.find(({ field }) =>
      field?.offset === offset && field.bytes === bytes
    );
    if (patch) return this.#variable(patch.from);
    return hex(readValue(structOf(step.call)!, field));
  }

  /** A value of an earlier step: by its name if syzkaller hands it on, else as it was. */
  #variable(from: Reference): string {
    const name = this.#names.get(keyOf(from));
    const plus = from.plus ?? 0n;
    if (name !== undefined && this.#importer.valueOf(name) && plus >= 0n) {
      return plus === 0n ? name : `${name}+${hex(plus)}`;
    }
    const args = [0n];
    const verb = { name: "", args: [["", "u64"]] } as const;
    const patches = [{ arg: 0, from }];
    const step: Step = { process: 0, call: { verb, args }, patches };
    return hex(BigInt(resolve(step, this.#outcomes).args[0] as bigint));
  }

  #memory(address: bigint, length: string): string {
    const there = this.#there(address);
    return there === undefined
      ? hex(BigInt.asUintN(64, address))
      : `&(${hex(there)}/${length})=nil`;
  }

  /** Where an address is in syzkaller's memory. */
  #there(address: bigint): bigint | undefined {
    const region = this.#regions.find(({ here, length }) =>
      address >= here && address < here + length
    );
    return region && address - region.here + region.there;
  }

  #text(text: string): string {
    const bytes = new TextEncoder().encode(`${text}\0`);
    return `${SCRATCH}="${bytes.toHex()}"`;
  }
}

/** The description that a struct fits. */
function describe(
  { name, layout }: Shape,
  { call, patches = [] }: Step,
): Described | undefined {
  const struct = structOf(call)!;
  const whole = new Uint8Array(Math.max(layout.size, struct.length));
  whole.set(struct);
  const values = layout.decode(whole) as Record<string, number | bigint>;
  const isPatched = (field: Field) =>
    patches.some((patch) =>
      patch.field?.offset === field.offset &&
      patch.field.bytes === placeOf(layout, field).bytes
    );
  return DESCRIBED.find(({ ioctl, fits, isPlain }) =>
    ioctl === name && !isPlain &&
    Object.entries(fits).every(([field, value]) => {
      const own = fieldsOf(layout).find(({ name }) => name === field)!;
      return !isPatched(own) && BigInt(values[field]!) === value;
    })
  );
}

/** What syzkaller hands on from call to call. */
function isResource(field: Field | undefined): boolean {
  return field !== undefined && field.direction !== "in" &&
    (field.role.kind === "id" || field.role.kind === "fd");
}

/** A reference without what is added to it. */
function keyOf({ step, field }: Reference): string {
  return field ? `${step}.${field.offset}.${field.bytes}` : `${step}`;
}

function blob(bytes: Uint8Array): string {
  return `@ANYBLOB="${bytes.toHex()}"`;
}

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}
