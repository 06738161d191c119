// SPDX-License-Identifier: GPL-2.0-only

/**
 * The text of syzkaller's programs: a call in a line, its arguments as trees.
 * Syntax: syzkaller's docs/program_syntax.md.
 *
 * @module
 */

import type { Scanner } from "../program/scanner.ts";

/** An argument. */
export type Arg =
  | { readonly kind: "number"; readonly value: bigint }
  /** What another call gave: `r1+0x4`. */
  | { readonly kind: "variable"; readonly name: string; readonly plus: bigint }
  /** A value that is given a name when it comes back: `<r1=>0x0`. */
  | { readonly kind: "result"; readonly name: string; readonly value: Arg }
  /** `&(0x7f0000000000)=…`; no address for `&AUTO`. */
  | {
    readonly kind: "pointer";
    readonly address: bigint | undefined;
    /** What is there; undefined for memory that is not written. */
    readonly to: Arg | undefined;
    readonly isAny: boolean;
  }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** A struct or an array. */
  | { readonly kind: "group"; readonly args: readonly Arg[] }
  /** A member of a union, by its name. */
  | {
    readonly kind: "member";
    readonly name: string;
    readonly arg: Arg | undefined;
  };

/** A line. */
export interface SyzCall {
  /** What the result is called. */
  readonly variable: string | undefined;
  readonly name: string;
  readonly args: readonly Arg[];
  /** `(fail_nth: 3)` and the like, as they stand. */
  readonly properties: ReadonlyMap<string, string>;
}

/** Where the addresses of programs begin. */
export const SYZ_BASE = 0x7f00_0000_0000n;
/** What nothing is there for. */
const NIL: Arg = { kind: "number", value: 0n };

/** Reads a call. Throws {@link UsageError}. */
export function parseSyzCall(line: Scanner): SyzCall {
  const variable = line.match(/(r\d+)\s*=/)?.[1];
  const name = line.match(/[A-Za-z_][\w$]*/)?.[0] ??
    line.refuse("a call such as close(r0) is expected");
  line.expect("(", name);
  const args = parseArgs(line, ")", name);
  const properties = new Map<string, string>();
  if (line.skip("(")) {
    do {
      const property = line.match(/(\w+)(?::\s*(-?\w+))?/) ??
        line.refuse("a property such as fail_nth: 3 is expected");
      properties.set(property[1]!, property[2] ?? "");
    } while (line.skip(","));
    line.expect(")", "a property");
  }
  if (!line.isAtEnd) line.refuse("nothing is expected behind the call");
  return { variable, name, args, properties };
}

function parseArgs(line: Scanner, end: string, where: string): Arg[] {
  const args: Arg[] = [];
  while (!line.skip(end)) {
    args.push(parseArg(line));
    if (!line.isNext(end)) line.expect(",", where);
  }
  return args;
}

function parseArg(line: Scanner): Arg {
  const result = line.match(/<(r\d+)=>/)?.[1];
  if (result !== undefined) {
    return { kind: "result", name: result, value: parseArg(line) };
  }
  if (line.skip("&")) return parsePointer(line);
  if (line.skip("{")) {
    return { kind: "group", args: parseArgs(line, "}", "a struct") };
  }
  if (line.skip("[")) {
    return { kind: "group", args: parseArgs(line, "]", "an array") };
  }
  const member = line.match(/@(\w+)(=?)/);
  if (member) {
    const arg = member[2] === "=" ? parseArg(line) : undefined;
    return { kind: "member", name: member[1]!, arg };
  }
  if (line.match(/nil\b/) || line.match(/AUTO\b/)) return NIL;
  const variable = line.match(/(r\d+)(\/0x[\da-f]+)?(\+0x[\da-f]+)?/);
  if (variable) {
    if (variable[2]) line.refuse("a value that is divided is not known here");
    return {
      kind: "variable",
      name: variable[1]!,
      plus: BigInt(variable[3]?.slice(1) ?? 0),
    };
  }
  const number = line.match(/0[xX][\da-fA-F]+|-?\d+/)?.[0];
  if (number !== undefined) return { kind: "number", value: BigInt(number) };
  return { kind: "bytes", bytes: parseBytes(line) };
}

/** What stands behind the `&`. */
function parsePointer(line: Scanner): Arg {
  const isAuto = line.match(/AUTO/) !== undefined;
  const place = isAuto
    ? undefined
    : line.match(/\((0x[\da-f]+)(?:\/0x[\da-f]+)?\)/) ??
      line.refuse("an address such as &(0x7f0000000000) is expected");
  const address = place && BigInt(place[1]!);
  const isAny = line.match(/=ANY(?==)/) !== undefined;
  if (!line.skip("=")) {
    return { kind: "pointer", address, to: undefined, isAny };
  }
  const isNil = line.match(/nil\b/) !== undefined;
  return {
    kind: "pointer",
    address,
    to: isNil ? undefined : parseArg(line),
    isAny,
  };
}

/** Bytes in quotes: hex between double ones, text between single ones; `/0x10` says how many there are. */
function parseBytes(line: Scanner): Uint8Array {
  const hex = line.match(/"([\da-f]*)"/)?.[1];
  const text = hex === undefined
    ? line.match(/'((?:\\.|[^'\\])*)'/)?.[1]
    : undefined;
  if (hex === undefined && text === undefined) {
    return line.refuse("an argument of syzkaller's is expected");
  }
  const bytes = hex === undefined ? unescaped(text!) : Uint8Array.fromHex(hex);
  const length = line.match(/\/(0x[\da-f]+|\d+)/)?.[1];
  if (length === undefined) return bytes;
  const padded = new Uint8Array(Number(length));
  padded.set(bytes.subarray(0, padded.length));
  return padded;
}

const ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
};

function unescaped(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const [all, hex, escaped] of text.matchAll(/\\x([\da-f]{2})|\\(.)|./g)) {
    if (hex !== undefined) bytes.push(parseInt(hex, 16));
    else if (escaped !== undefined) {
      bytes.push(ESCAPES[escaped] ?? escaped.charCodeAt(0));
    } else bytes.push(all.charCodeAt(0));
  }
  return Uint8Array.from(bytes);
}
