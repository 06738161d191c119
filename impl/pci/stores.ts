// SPDX-License-Identifier: GPL-2.0-only

/**
 * Finds what programs stored to registers where nobody could see it: by
 * comparing the memory with what the device has seen, a word at a time, as a
 * processor stores them.
 *
 * @module
 */

import type { MemoryObject } from "../kernel/interfaces/memory_object.ts";
import { numberOf } from "./bytes.ts";

/** How often the words are taken at most before what has come is told: a program may store without end. */
const PASSES = 8;

/** One register, or one of an array. */
export interface Slot {
  /** Its offset. */
  readonly at: number;
  /** Bytes. */
  readonly bytes: number;
  /** A program cannot change it: such are told first, to be put right. */
  readonly readOnly: boolean;
  /** A program wrote it. */
  readonly tell: (value: number, old: number) => void;
}

/** A register that a program wrote. */
interface Found {
  readonly number: number;
  readonly old: number;
  value: number;
}

/** Looks at the registers of one BAR. */
export class Stores {
  readonly #seen: Uint8Array;
  readonly #seenWords: Int32Array;
  readonly #slots: Slot[] = [];
  /** The words that have registers, in order. */
  #words = new Int32Array(0);
  /** The numbers of the registers in each of these. */
  #slotsIn: readonly (readonly number[])[] = [];
  /** Those that were found and not told yet. */
  readonly #untold = new Set<Found>();

  /** `seen` is what the device has seen, from a multiple of 4 bytes on. */
  constructor(seen: Uint8Array) {
    this.#seen = seen;
    this.#seenWords = new Int32Array(seen.buffer, 0, seen.length / 4);
  }

  /** Looks at these too from now on, after those that it has. */
  watch(slots: Iterable<Slot>): void {
    this.#slots.push(...slots);
    const numbers = new Map<number, number[]>();
    for (const [number, { at, bytes }] of this.#slots.entries()) {
      for (let word = at >> 2; word <= (at + bytes - 1) >> 2; word++) {
        const there = numbers.get(word);
        if (there === undefined) numbers.set(word, [number]);
        else there.push(number);
      }
    }
    const words = [...numbers.keys()].sort((a, b) => a - b);
    this.#words = Int32Array.from(words);
    this.#slotsIn = words.map((word) => numbers.get(word)!);
  }

  /** Looks once, and tells the registers that were written, of which one may be known by a byte of it; returns whether there is one. */
  look(memory: MemoryObject, touched?: number): boolean {
    const first = this.#next(memory, 0);
    const found: Found[] = [];
    for (const number of this.#slotsAt(touched)) this.#note(found, number);
    if (first < 0 && found.length === 0) return false;
    this.#take(memory, first, found);
    for (const each of found) this.#untold.add(each);
    for (const readOnly of [true, false]) {
      for (const each of found) {
        const { number, old, value } = each;
        const slot = this.#slots[number]!;
        if (slot.readOnly !== readOnly) continue;
        this.#untold.delete(each);
        // One that has been set meanwhile is as the device wants it.
        const isNew = value !== old || has(slot, touched);
        if (isNew && this.#valueOf(slot) === value) slot.tell(value, old);
      }
    }
    return true;
  }

  /** What is found and not told yet: in the middle of a look. */
  *untold(): Generator<{ readonly at: number; readonly bytes: Uint8Array }> {
    for (const { number } of this.#untold) {
      const { at, bytes } = this.#slots[number]!;
      yield { at, bytes: this.#seen.slice(at, at + bytes) };
    }
  }

  /** Takes words that changed until none changes any more, and notes their registers, in order. */
  #take(memory: MemoryObject, first: number, found: Found[]): void {
    for (let pass = 0, i = first; pass < PASSES && i >= 0; pass++) {
      for (; i >= 0; i = this.#next(memory, i + 1)) {
        for (const number of this.#slotsIn[i]!) this.#note(found, number);
        const word = this.#words[i]!;
        this.#seenWords[word] = memory.word(word);
      }
      i = this.#next(memory, 0);
    }
    found.sort((a, b) => a.number - b.number);
    for (const each of found) {
      each.value = this.#valueOf(this.#slots[each.number]!);
    }
  }

  /** Notes what a register was before, once. */
  #note(found: Found[], number: number): void {
    if (found.some((each) => each.number === number)) return;
    const old = this.#valueOf(this.#slots[number]!);
    found.push({ number, old, value: old });
  }

  /** The registers that have a byte. */
  #slotsAt(offset: number | undefined): readonly number[] {
    if (offset === undefined) return [];
    const at = this.#words.indexOf(offset >> 2);
    const numbers = at < 0 ? [] : this.#slotsIn[at]!;
    return numbers.filter((number) => has(this.#slots[number]!, offset));
  }

  /** Which of the words, from one on, is the next that has changed; -1 for none. */
  #next(memory: MemoryObject, from: number): number {
    const words = this.#words;
    const seen = this.#seenWords;
    for (let i = from; i < words.length; i++) {
      const word = words[i]!;
      if (memory.word(word) !== seen[word]) return i;
    }
    return -1;
  }

  #valueOf({ at, bytes }: Slot): number {
    return numberOf(this.#seen, at, bytes);
  }
}

/** Whether a byte is a register's. */
function has({ at, bytes }: Slot, offset: number | undefined): boolean {
  return offset !== undefined && offset >= at && offset < at + bytes;
}
