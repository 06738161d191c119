// SPDX-License-Identifier: GPL-2.0-only

/**
 * What an implementation may choose: the parts of answers that are not
 * compared, each with its reason. No mask hides a whole result, an errno or a
 * struct, and what each hid is counted.
 *
 * @module
 */

import {
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MREMAP_FIXED,
  PAGE_SIZE,
  POLLRDNORM,
  POLLWRNORM,
} from "../../../impl/uapi/mman.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Outcome,
  Program,
  Reference,
} from "../../../selftests/target/program.ts";
import type { Call } from "../../../selftests/target/verbs.ts";
import { isFor, LINUX_HERE } from "./choices.ts";

/** Where in bytes a value stands. */
type Place = { readonly offset: number; readonly bytes: number };

/** A row of the table. */
export interface Mask {
  /** What is not compared. */
  readonly name: string;
  /** Why an implementation may choose it. */
  readonly why: string;
  /** What the name of a target begins with that may; absent for each. */
  readonly only?: string;
  /** The result of such a call counts only up to this many, as an address within its page; undefined for all of it. */
  resultModulo?(call: Call): number | undefined;
  /** Bits of the result of such a call that do not count. */
  resultWithout?(call: Call): number;
  /** Where in what came back the value stands. */
  placesIn?(program: Program, step: number): readonly Place[];
}

type Returned = Extract<Outcome, { kind: "returned" }>;

/** Flags that make an address the caller's choice. */
const FIXED = MAP_FIXED | MAP_FIXED_NOREPLACE;

/** True if the kernel chooses where the memory of a call is. */
function choosesAddress({ verb, args }: Call): boolean {
  if (verb.name === "mmap") return (Number(args[3]) & FIXED) === 0;
  return verb.name === "mremap" && (Number(args[3]) & MREMAP_FIXED) === 0;
}

/** True if a reference is to an address that the kernel chose. */
function isChosen(program: Program, { step, field }: Reference): boolean {
  const from = program[step];
  return field === undefined && from !== undefined &&
    choosesAddress(from.call);
}

/** The table. */
export const MASKS: readonly Mask[] = [
  {
    name: "address of memory",
    why: "where mmap and mremap put memory is the kernel's choice",
    resultModulo: (call) => choosesAddress(call) ? PAGE_SIZE : undefined,
  },
  {
    name: "pointer that was sent",
    why:
      "a struct comes back with the pointer to such memory that it was given",
    placesIn: (program, step) =>
      (program[step]?.patches ?? []).flatMap(({ field, from }) =>
        field && isChosen(program, from) ? [field] : []
      ),
  },
  {
    name: "POLLRDNORM and POLLWRNORM",
    why:
      "behind this machine's Linux a file of the model is a socket, which has them with POLLIN and POLLOUT",
    only: LINUX_HERE,
    resultWithout: ({ verb }) =>
      verb.name === "poll" ? POLLRDNORM | POLLWRNORM : 0,
  },
];

/** The masks, and how often each hid a difference. */
export class Masks {
  /** The revision that is compared. */
  readonly uapi: RevisionName;
  /** How often each hid something, by its name. */
  readonly hidden: Map<string, number>;
  readonly #rows: readonly Mask[];

  /** Those for a target, by its name; they hid nothing yet. */
  constructor(uapi: RevisionName, target = "") {
    this.uapi = uapi;
    this.#rows = MASKS.filter((row) => isFor(row, target));
    this.hidden = new Map(this.#rows.map(({ name }) => [name, 0]));
  }

  /** True if two results are the same, or differ only in what a mask hides. */
  isSameResult(call: Call, ours: number, theirs: number): boolean {
    if (ours === theirs) return true;
    // An errno is never hidden.
    if (ours < 0 || theirs < 0) return false;
    return this.#rows.some((row) => {
      const modulo = row.resultModulo?.(call);
      const without = row.resultWithout?.(call) ?? 0;
      const hides = without !== 0 && ((ours ^ theirs) & ~without) === 0 ||
        modulo !== undefined && ours % modulo === theirs % modulo;
      if (hides) this.#count(row);
      return hides;
    });
  }

  /** The first byte that differs and that no mask hides; -1 if there is none. */
  firstDifference(
    program: Program,
    step: number,
    ours: Returned["back"],
    theirs: Returned["back"],
  ): number {
    const length = Math.max(ours.length, theirs.length);
    let at = nextDifference(ours, theirs, 0, length);
    if (at === length) return -1;
    const places = this.#rows.flatMap((row) =>
      (row.placesIn?.(program, step) ?? []).map((place) => ({ row, place }))
    );
    while (at < length) {
      const hiding = places.find(({ place: { offset, bytes } }) =>
        at >= offset && at < offset + bytes
      );
      if (hiding === undefined) return at;
      this.#count(hiding.row);
      const { offset, bytes } = hiding.place;
      at = nextDifference(ours, theirs, offset + bytes, length);
    }
    return -1;
  }

  #count({ name }: Mask): void {
    this.hidden.set(name, this.hidden.get(name)! + 1);
  }
}

/** The first byte from `at` on that differs; `length` if there is none. */
function nextDifference(
  ours: Uint8Array,
  theirs: Uint8Array,
  at: number,
  length: number,
): number {
  while (at < length && ours[at] === theirs[at]) at++;
  return at;
}
