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

import type { Block } from "./sys.ts";
import type { Numbers, SyscallName } from "./numbers.ts";

/** Where entries take their memory, and the numbers of their calls. */
export interface ScriptMemory {
  /** Numbers by name. */
  readonly nr: Numbers;
  /** Memory that lives as long as the script. */
  alloc(bytes: number): Block;
}

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
  #result: Block;

  /** Takes memory for it; arguments that are left out are 0. */
  constructor(
    memory: ScriptMemory,
    name: SyscallName,
    args: readonly number[] = [],
  ) {
    this.#block = memory.alloc(8 * WORDS);
    this.#result = memory.alloc(8);
    this.#put(0, memory.nr[name]);
    args.forEach((value, i) => this.#put(1 + i, value));
    this.#put(RESULT_AT, this.#result.address);
    this.#result.view.setBigInt64(0, NONE, true);
  }

  /** Where it is, to be run. */
  get address(): number {
    return this.#block.address;
  }

  /** Its result; undefined before there is one. */
  get result(): number | undefined {
    const result = this.#result.view.getBigInt64(0, true);
    return result === NONE ? undefined : Number(result);
  }

  /** Where its result goes. The lower half is 0 until then, unlike an errno or a descriptor above 0. */
  get resultAddress(): number {
    return this.#result.address;
  }

  /** Has the result stored in an argument of another entry, where {@link result} finds it too. */
  storeIn(entry: Entry, index: number): void {
    this.#result = entry.argument(index);
    this.#put(RESULT_AT, this.#result.address);
    this.#result.view.setBigInt64(0, NONE, true);
  }

  /** The memory of an argument. */
  argument(index: number): Block {
    const { address, bytes: { buffer, byteOffset } } = this.#block;
    const at = 8 * (1 + index);
    return {
      address: address + at,
      bytes: new Uint8Array(buffer, byteOffset + at, 8),
      view: new DataView(buffer, byteOffset + at, 8),
    };
  }

  /** Says what is next. */
  then({ negative, zero, positive }: Next): void {
    this.#put(NEXT_AT, negative?.address ?? 0);
    this.#put(NEXT_AT + 1, zero?.address ?? 0);
    this.#put(NEXT_AT + 2, positive?.address ?? 0);
  }

  #put(word: number, value: number): void {
    this.#block.view.setBigInt64(8 * word, BigInt(value), true);
  }
}

/**
 * Has entries follow each other, whatever sign their results have, but after an
 * errno `failed` is next. The last one's next is still to be said.
 */
export function chain(entries: readonly Entry[], failed: Entry): void {
  entries.forEach((entry, i) => {
    const next = entries[i + 1];
    if (next === undefined) return;
    entry.then({ negative: failed, zero: next, positive: next });
  });
}
