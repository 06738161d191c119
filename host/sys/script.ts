// SPDX-License-Identifier: GPL-2.0-only

/**
 * Scripts: lists of system calls that the generated code makes without
 * returning here, so that what is no program of this language, such as a fresh
 * child before its exec, needs no compiled code either.
 *
 * Each entry has where its result goes and which entry is next, by the
 * result's sign: that is enough for loops and conditions. A result can go into
 * an argument of another entry.
 *
 * @module
 */

import type { Argument } from "./load.ts";
import type { Block, Sys } from "./sys.ts";
import type { SyscallName } from "./numbers.ts";

/** Words of an entry: number, six arguments, where the result goes, three next entries. */
const WORDS = 11;
const RESULT_AT = 7;
const NEXT_AT = 8;
/** What a result is until there is one: no call returns this. */
const NONE = -(2n ** 63n);

/** Which entry follows, by the result. Without one the script ends. */
export interface Next {
  /** After an errno. */
  readonly negative?: Entry;
  /** After 0. */
  readonly zero?: Entry;
  /** After more. */
  readonly positive?: Entry;
}

/** One call of a script. */
export class Entry {
  readonly #block: Block;
  readonly #result: Block;

  /** Takes memory for it. */
  constructor(
    sys: Sys,
    name: SyscallName,
    args: readonly Argument[],
  ) {
    this.#block = sys.alloc(8 * WORDS);
    this.#result = sys.alloc(8);
    this.#put(0, sys.nr[name]);
    args.forEach((value, i) => this.setArgument(i, value));
    this.#put(RESULT_AT, this.#result.address);
    this.#result.view.setBigInt64(0, NONE, true);
  }

  /** Where it is, to be run. */
  get address(): number {
    return this.#block.address;
  }

  /** The address of an argument, for what fills it in. */
  addressOfArgument(index: number): number {
    return this.#block.address + 8 * (1 + index);
  }

  /** Its result; undefined before there is one, or if that went elsewhere. */
  get result(): number | undefined {
    const result = this.#result.view.getBigInt64(0, true);
    return result === NONE ? undefined : Number(result);
  }

  /** Forgets its result. */
  reset(): void {
    this.#result.view.setBigInt64(0, NONE, true);
  }

  /** Sets an argument. */
  setArgument(index: number, value: Argument): void {
    this.#put(1 + index, value);
  }

  /** Has the result stored elsewhere, such as in an argument of another entry. */
  storeAt(address: number): void {
    this.#put(RESULT_AT, address);
  }

  /** Says what is next. */
  then({ negative, zero, positive }: Next): void {
    this.#put(NEXT_AT, negative?.address ?? 0);
    this.#put(NEXT_AT + 1, zero?.address ?? 0);
    this.#put(NEXT_AT + 2, positive?.address ?? 0);
  }

  #put(word: number, value: Argument): void {
    this.#block.view.setBigInt64(8 * word, BigInt(value), true);
  }
}

/**
 * Chains entries that follow each other unless one fails; then `failed` is
 * next. Returns the last, whose next is still to be said.
 */
export function chain(entries: readonly Entry[], failed: Entry): Entry {
  for (const [i, entry] of entries.entries()) {
    const next = entries[i + 1];
    entry.then({
      negative: failed,
      ...(next === undefined ? {} : { zero: next, positive: next }),
    });
  }
  return entries.at(-1)!;
}
