// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs of syzkaller's as programs.
 *
 * Its programs have their memory from the beginning, and structs of ioctls
 * anywhere in it: here a first step maps that memory, and a struct goes with its
 * call. What a pointer in a struct points to is written by a step before.
 *
 * @module
 */

import { type Field, fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../../../impl/uapi/mman.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Patch,
  Program,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import {
  type Argument,
  type Call,
  call,
  type Verb,
  type VerbName,
  VERBS,
} from "../../../selftests/target/verbs.ts";
import { canonical } from "../program/canonical.ts";
import type { Place, Shape } from "../program/layout.ts";
import { StepParser } from "../program/parse.ts";
import { Scanner } from "../program/scanner.ts";
import {
  type Described,
  describedAs,
  numberOf,
  placesDescribed,
  shapeOfDescribed,
} from "./described.ts";
import { bytesOf, leavesOf, type Written } from "./memory.ts";
import { type Arg, parseSyzCall, SYZ_BASE, type SyzCall } from "./syntax.ts";

/** Begins a line with a step that syzkaller has no description of. */
export const ONLY_HERE = "#- ";
/** Begins a line with the step that the next call is nearest to. */
export const STANDS_FOR = "#= ";
/** Begins a line that says where memory is: `#@ ADDRESS LENGTH at ADDRESS`. */
export const MEMORY_AT = "#@ ";

/** Memory of a program: its addresses there, and here. */
export interface Region {
  readonly here: bigint;
  readonly length: bigint;
  readonly there: bigint;
}

/** Where syzkaller's programs have their memory on x86-64. */
const DATA: Region = {
  here: 0x2000_0000_0000n,
  length: 0x100_0000n,
  there: SYZ_BASE,
};
/** Where `&AUTO` is. */
const AUTO = SYZ_BASE + 0xf0_0000n;

/** A program that was read. */
export interface Imported {
  readonly program: Program;
  /** What was left out, a line each. */
  readonly notes: readonly string[];
}

/** The paths of files that have descriptions of their own; they need not stand in a program. */
const PATHS: Readonly<Record<string, string>> = {
  openat$iommufd: "/dev/iommu",
  openat$vfio: "/dev/vfio/vfio",
};

/** Calls that have the same numbers as arguments. */
const SAME: Readonly<Record<string, VerbName>> = {
  close: "close",
  dup: "dup",
  dup2: "dup2",
  dup3: "dup3",
  mmap: "mmap",
  munmap: "munmap",
  mremap: "mremap",
  mprotect: "mprotect",
  madvise: "madvise",
  ftruncate: "ftruncate",
  fallocate: "fallocate",
  lseek: "lseek",
  eventfd2: "eventfd",
  setuid: "setuid",
};

/**
 * Reads a program of syzkaller's. Throws {@link UsageError} for what is none.
 * Calls that have no place in a program here are left out, and noted.
 */
export function importSyzkaller(text: string, uapi: RevisionName): Imported {
  const lines = text.split("\n");
  const importer = new Importer(uapi, regionsIn(lines));
  for (const [index, line] of lines.entries()) importer.line(line, index + 1);
  return { program: canonical(importer.program), notes: importer.notes };
}

/** The memory that a program says it has; undefined where it is as syzkaller has it. */
function regionsIn(lines: readonly string[]): Region[] | undefined {
  const told = lines.filter((line) => line.startsWith(MEMORY_AT));
  if (told.length === 0) return undefined;
  return told.flatMap((line) => {
    const numbers = line.match(/0x[\da-f]+/g)?.map(BigInt) ?? [];
    const [here, length, there] = numbers;
    return there === undefined ? [] : [{ here: here!, length: length!, there }];
  });
}

/** A program that is read. */
export class Importer {
  readonly notes: string[] = [];
  readonly #uapi: RevisionName;
  readonly #regions: readonly Region[];
  #parser: StepParser;
  readonly #variables = new Map<string, Reference>();
  #auto = AUTO;
  #standsFor = false;

  /** Of a program for this revision, which has this memory; else a first step maps syzkaller's. */
  constructor(uapi: RevisionName, regions?: readonly Region[]) {
    this.#uapi = uapi;
    this.#regions = regions ?? [DATA];
    this.#parser = new StepParser(uapi);
    if (regions !== undefined) return;
    const { here, length } = DATA;
    const prot = PROT_READ | PROT_WRITE | PROT_EXEC;
    const flags = MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE;
    this.#add(call("mmap", Number(here), Number(length), prot, flags, -1, 0));
  }

  /** The same, to go on from here. */
  copy(): Importer {
    const other = new Importer(this.#uapi, this.#regions);
    other.#parser = this.#parser.copy();
    other.#auto = this.#auto;
    for (const [name, from] of this.#variables) {
      other.#variables.set(name, from);
    }
    return other;
  }

  /** The steps so far. */
  get program(): Program {
    return this.#parser.program;
  }

  /** Reads a line. */
  line(text: string, number: number): void {
    for (const mark of [ONLY_HERE, STANDS_FOR]) {
      if (!text.startsWith(mark)) continue;
      this.#parser.step(new Scanner(text.slice(mark.length), number));
      this.#standsFor = mark === STANDS_FOR;
      return;
    }
    const line = new Scanner(text, number);
    if (line.isAtEnd) return;
    const made = parseSyzCall(line);
    if (!this.#standsFor) this.#call(made, number);
    else this.#define(made, this.program.length - 1);
    this.#standsFor = false;
  }

  /** What a name stands for. */
  valueOf(name: string): Reference | undefined {
    return this.#variables.get(name);
  }

  /** The address here of one there. */
  addressOf(address: bigint): bigint {
    const region = this.#regions.find(({ there, length }) =>
      address >= there && address < there + length
    );
    return region ? address - region.there + region.here : address;
  }

  /** An address for what has none. */
  place(length: number): bigint {
    const at = this.#auto;
    this.#auto += BigInt(Math.ceil(length / 8) * 8);
    return this.addressOf(at);
  }

  #add(made: Call, patches: readonly Patch[] = []): void {
    const step: Step = { process: 0, call: made, patches };
    this.#parser.add(step);
  }

  #call(made: SyzCall, number: number): void {
    const { properties, name } = made;
    const nth = properties.get("fail_nth");
    for (const property of properties.keys()) {
      if (property !== "fail_nth") {
        this.notes.push(`Line ${number}: ${name} is not ${property} here.`);
      }
    }
    const written: Written[] = [];
    const own = this.#callOf(made, written);
    if (own === undefined) {
      this.notes.push(`Line ${number}: ${name} has no counterpart.`);
      return;
    }
    for (const { address, bytes, patches } of written) {
      if (bytes.length === 0) continue;
      this.#add(
        call("poke", Number(address), bytes),
        patches.map((patch) => ({ arg: 1, ...patch })),
      );
    }
    if (nth !== undefined) this.#add(call("failnth", Number(nth)));
    this.#add(own.call, own.patches);
    const index = this.program.length - 1;
    if (nth !== undefined) this.#add(call("failnth", 0));
    this.#define(made, index);
    for (const { address, bytes, results } of written) {
      if (results.length === 0) continue;
      this.#add(call("peek", Number(address), new Uint8Array(bytes.length)));
      const step = this.program.length - 1;
      for (const { name, field } of results) {
        this.#variables.set(name, { step, field });
      }
    }
  }

  /** Notes what the names in a call stand for. */
  #define({ variable, name, args }: SyzCall, step: number): void {
    if (variable !== undefined) this.#variables.set(variable, { step });
    const [, , arg] = args;
    if (arg?.kind !== "pointer" || arg.to === undefined) return;
    const own = describedAs(name);
    const shape = own && shapeOfDescribed(own, this.#uapi);
    const places = shape && !arg.isAny
      ? placesDescribed(own, shape)
      : undefined;
    for (const { name, field } of bytesOf(arg.to, this, places).results) {
      this.#variables.set(name, { step, field });
    }
  }

  /** The call itself; memory that is written before it goes to `written`. */
  #callOf(
    { name, args }: SyzCall,
    written: Written[],
  ): { call: Call; patches: Patch[] } | undefined {
    const [base] = name.split("$") as [string];
    const own = describedAs(name);
    if (base === "ioctl") return this.#ioctl(own, args, written);
    const patches: Patch[] = [];
    const number = (i: number, arg = i) => this.#number(args[i], arg, patches);
    if (base === "openat" || base === "memfd_create") {
      const at = base === "openat" ? 1 : 0;
      const path = this.#text(args[at]) || PATHS[name];
      if (path === undefined) return undefined;
      const flags = number(at + 1, 1);
      const made = base === "openat"
        ? call("open", path, flags)
        : call("memfd", path, flags);
      return { call: made, patches };
    }
    if (base === "read" || base === "write") {
      const fd = number(0);
      const count = number(2, 2);
      const bytes = new Uint8Array(Math.min(count, 2 ** 20));
      if (base === "read") return { call: call("read", fd, bytes), patches };
      bytes.set(this.#bytes(args[1]).subarray(0, count));
      return { call: call("write", fd, bytes), patches };
    }
    if (!Object.hasOwn(SAME, base)) return undefined;
    const verbs: readonly Verb[] = VERBS;
    const verb = verbs.find(({ name }) => name === SAME[base])!;
    const values: Argument[] = verb.args.map((_, i) => number(i));
    // A descriptor of 32 bits is negative, or none.
    const fd = verb.args.findIndex(([name]) => name === "FD");
    if (fd >= 0) values[fd] = Number(values[fd]) | 0;
    return { call: { verb, args: values }, patches };
  }

  #ioctl(
    own: Described | undefined,
    [fdArg, commandArg, arg]: readonly Arg[],
    written: Written[],
  ): { call: Call; patches: Patch[] } | undefined {
    const patches: Patch[] = [];
    const fd = this.#number(fdArg, 0, patches);
    const command = commandArg?.kind === "number"
      ? Number(commandArg.value)
      : own && numberOf(own);
    if (command === undefined) return undefined;
    if (arg?.kind !== "pointer" || arg.to === undefined) {
      const value = arg === undefined ? 0 : this.#number(arg, 2, patches);
      return { call: call("ioctlarg", fd, command, BigInt(value)), patches };
    }
    const shape = own && !arg.isAny
      ? shapeOfDescribed(own, this.#uapi)
      : undefined;
    if (!shape && arg.to.kind === "group" && !arg.isAny) return undefined;
    const places = shape && placesDescribed(own!, shape);
    const memory = bytesOf(arg.to, this, places);
    const bytes = shape ? this.#structOf(shape, memory) : memory.bytes;
    if (shape) written.push(...this.#pointees(shape, places!, arg.to, bytes));
    patches.push(
      ...memory.patches.map((patch) => ({ arg: 2, ...patch })),
    );
    return { call: call("ioctl", fd, command, bytes), patches };
  }

  /** A struct as long as it says, or as it is in the revision. */
  #structOf({ row }: Shape, { bytes }: Written): Uint8Array {
    const usual = row.sizeIn(this.#uapi);
    const said = new DataView(bytes.buffer, bytes.byteOffset).getUint32(
      0,
      true,
    );
    const length = said >= 4 && said <= 4096 ? said : usual;
    const whole = new Uint8Array(length);
    whole.set(bytes.subarray(0, length));
    return whole;
  }

  /** What the pointers of a struct point to. */
  #pointees(
    { layout }: Shape,
    places: readonly Place[],
    struct: Arg,
    bytes: Uint8Array,
  ): Written[] {
    const fields = fieldsOf(layout);
    return leavesOf(struct).flatMap((leaf, i) => {
      const arg = leaf.kind === "result" ? leaf.value : leaf;
      const place = places[i];
      if (arg.kind !== "pointer" || !arg.to || !place) return [];
      const field = fields.find(({ offset }) => offset === place.offset);
      const unit = field && unitsOf(field, layout, bytes, arg.to);
      const memory = bytesOf(arg.to, this, unit);
      const end = place.offset + 8;
      if (end > bytes.length) return [];
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      if (arg.address === undefined) {
        view.setBigUint64(place.offset, this.place(memory.bytes.length), true);
      }
      return [{ ...memory, address: view.getBigUint64(place.offset, true) }];
    });
  }

  /** A number, or the place of one that comes from another call. */
  #number(arg: Arg | undefined, index: number, patches: Patch[]): number {
    if (arg?.kind === "variable") {
      const from = this.valueOf(arg.name);
      if (from === undefined) return -1;
      patches.push({ arg: index, from: { ...from, plus: arg.plus } });
      return 0;
    }
    if (arg?.kind === "pointer") {
      return Number(this.addressOf(arg.address ?? 0n));
    }
    if (arg?.kind !== "number") return 0;
    // Negative numbers are written with 64 bits.
    const value = BigInt.asIntN(64, arg.value);
    return Number(value < 0n && value > -4096n ? value : arg.value);
  }

  #bytes(arg: Arg | undefined): Uint8Array {
    if (arg?.kind !== "pointer" || arg.to === undefined) {
      return new Uint8Array(0);
    }
    return bytesOf(arg.to, this).bytes;
  }

  #text(arg: Arg | undefined): string {
    return new TextDecoder().decode(this.#bytes(arg)).split("\0")[0]!;
  }
}

/** The places of what a pointer's field points to. */
function unitsOf(
  { role }: Field,
  layout: Shape["layout"],
  bytes: Uint8Array,
  to: Arg,
): readonly Place[] | undefined {
  if (role.kind !== "pointer") return undefined;
  const leaves = leavesOf(to).length;
  const { unit } = role.extent;
  const whole = new Uint8Array(Math.max(layout.size, bytes.length));
  whole.set(bytes);
  const values = layout.decode(whole) as Record<string, number | bigint>;
  const count = Number(values[role.count] ?? 0);
  if (unit && "fields" in unit) {
    const widths = fieldsOf(unit).map(({ name }) =>
      unit.offsetofend(name as never) -
      (unit.fields as Record<string, Field>)[name]!.offset
    );
    return evenly(leaves, (i) => widths[i % widths.length]!);
  }
  const each = unit && "bytesIn" in unit ? Number(values[unit.bytesIn]) : 1;
  const width = Math.floor(count * each / Math.max(leaves, 1));
  return evenly(leaves, () => [1, 2, 4, 8].includes(width) ? width : 8);
}

/** Places one after the other. */
function evenly(count: number, width: (index: number) => number): Place[] {
  let offset = 0;
  return Array.from({ length: count }, (_, i) => {
    const bytes = width(i) as Place["bytes"];
    const place: Place = { name: String(i), offset, bytes };
    offset += bytes;
    return place;
  });
}
