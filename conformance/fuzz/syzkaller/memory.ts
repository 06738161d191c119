// SPDX-License-Identifier: GPL-2.0-only

/**
 * Memory as syzkaller's arguments describe it.
 *
 * @module
 */

import type { Patch, Reference } from "../../../selftests/target/program.ts";
import type { Place } from "../program/layout.ts";
import type { Arg } from "./syntax.ts";

/** Where in bytes a value is. */
type Spot = NonNullable<Patch["field"]>;

/** Bytes, and what is put into them and comes back in them. */
export interface Written {
  /** Where they are; not known yet where it is 0. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly patches: readonly { field: Spot; from: Reference }[];
  /** The names of values that come back. */
  readonly results: readonly { name: string; field: Spot }[];
}

/** What names and addresses stand for. */
interface Names {
  valueOf(name: string): Reference | undefined;
  addressOf(address: bigint): bigint;
}

/** What members of `ANY` are wide; others are as long as they are. */
const ANY_WIDTHS: Readonly<Record<string, Place["bytes"]>> = {
  ANYRES8: 1,
  ANYRES16: 2,
  ANYRES32: 4,
  ANYRES64: 8,
  ANYPTR: 8,
  ANYPTR64: 8,
};

/** The arguments of a struct, however deep they lie in structs and arrays. */
export function leavesOf(arg: Arg): Arg[] {
  if (arg.kind === "group") return arg.args.flatMap(leavesOf);
  if (arg.kind === "member" && arg.arg && ANY_WIDTHS[arg.name] === undefined) {
    return leavesOf(arg.arg);
  }
  return [arg];
}

/** The memory of an argument; `places` are those of its numbers, which have 8 bytes each without them. */
export function bytesOf(
  arg: Arg,
  names: Names,
  places?: readonly Place[],
): Written {
  const patches: { field: Spot; from: Reference }[] = [];
  const results: { name: string; field: Spot }[] = [];
  const parts: { offset: number; bytes: Uint8Array }[] = [];
  let end = 0;
  function add(leaf: Arg, field: Spot): void {
    const { offset, bytes } = field;
    switch (leaf.kind) {
      case "number":
        parts.push({ offset, bytes: numberBytes(leaf.value, bytes) });
        break;
      case "pointer":
        parts.push({
          offset,
          bytes: numberBytes(names.addressOf(leaf.address ?? 0n), bytes),
        });
        break;
      case "variable": {
        const from = names.valueOf(leaf.name);
        if (from) {
          const plus = leaf.plus ? { plus: leaf.plus } : {};
          patches.push({ field, from: { ...from, ...plus } });
        } else parts.push({ offset, bytes: new Uint8Array(bytes).fill(0xff) });
        break;
      }
      case "result":
        results.push({ name: leaf.name, field });
        add(leaf.value, field);
        break;
      case "member":
        if (leaf.arg) add(leaf.arg, field);
    }
  }
  for (const [i, leaf] of leavesOf(arg).entries()) {
    if (places && places[i] === undefined) break;
    const offset = places?.[i]?.offset ?? end;
    if (leaf.kind === "bytes") {
      parts.push({ offset, bytes: leaf.bytes });
      end = offset + leaf.bytes.length;
      continue;
    }
    const any = leaf.kind === "member" ? ANY_WIDTHS[leaf.name] : undefined;
    const bytes = places?.[i]?.bytes ?? any ?? 8;
    add(leaf, { offset, bytes });
    end = offset + bytes;
  }
  const last = Math.max(
    end,
    ...parts.map(({ offset, bytes }) => offset + bytes.length),
  );
  const whole = new Uint8Array(last);
  for (const { offset, bytes } of parts) whole.set(bytes, offset);
  return { address: 0n, bytes: whole, patches, results };
}

function numberBytes(value: bigint, bytes: number): Uint8Array {
  return Uint8Array.from(
    { length: bytes },
    (_, i) => Number(value >> BigInt(8 * i) & 0xffn),
  );
}
