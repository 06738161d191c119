// SPDX-License-Identifier: GPL-2.0-only

/**
 * BARs: the memory and the ports of a device, and the registers in it.
 *
 * What a program can map is a {@link MemoryObject}, which exists while the
 * device answers; the device has a copy of all that it has seen. So a store
 * that nobody could trap is found by comparing the two ({@link Bar.poll}), and
 * one that was trapped is told to the device at once ({@link Bar.store}).
 *
 * A look that finds something takes the registers again and again until none
 * has changed meanwhile, and only then tells them: what a program stored before
 * a doorbell is there when the doorbell is seen.
 *
 * Invariant: between two polls the copy and the memory differ only in what a
 * program stored and the device has not seen. While the device does not answer
 * there is no memory, and the copy is all there is.
 *
 * @module
 */

import type { MemoryObject } from "../kernel/interfaces/memory_object.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import { numberOf, store } from "./bytes.ts";
import { type Slot, Stores } from "./stores.ts";
import {
  PCI_BASE_ADDRESS_MEM_PREFETCH,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_SPACE_IO,
} from "./config_space.ts";

/** How a BAR is made. */
export interface BarOptions {
  /** Bytes, a power of two. */
  readonly size: number;
  /** Ports in place of memory; default false. */
  readonly io?: boolean;
  /** Its address has 64 bits, so that it takes the next BAR's place too; default false. */
  readonly wide?: boolean;
  /** It can be read ahead; default false. */
  readonly prefetchable?: boolean;
}

/** One register, or an array of equal ones. */
export interface Register {
  /** Its offset in the BAR. */
  readonly at: number;
  /** Bytes: 1, 2, 4 or 8; default 4. */
  readonly bytes?: number;
  /** How many there are; default 1. */
  readonly count?: number;
  /** Bytes from one to the next; default as long as one is. */
  readonly stride?: number;
  /** Its value after a reset; default 0. */
  readonly reset?: number;
  /** A program cannot change it. */
  readonly readOnly?: boolean;
  /**
   * A program wrote it: it has the value already, which `set` may change. It
   * must come to an end whatever the value is. What DMA of the device itself
   * writes here meanwhile is stored, but not told.
   */
  readonly write?: (value: number, old: number, index: number) => void;
}

/** A register of a BAR, with all said. */
interface Place extends Required<Omit<Register, "write" | "readOnly">> {
  readonly react: (value: number, old: number, index: number) => void;
}

/** One BAR. */
export class Bar {
  /** Bytes. */
  readonly size: number;
  /** The bits of its type in configuration space. */
  readonly flags: number;
  readonly #seen: Uint8Array;
  readonly #places: Place[] = [];
  readonly #stores: Stores;
  /** Whether the device acts on a store at this moment. */
  #acts = false;
  #memory: MemoryObject | undefined;

  /** All zero, not answering. Throws a RangeError for a size that is no power of two, or too small. */
  constructor({ size, io, wide, prefetchable }: BarOptions) {
    const least = io ? 4 : 16;
    if (!(size >= least) || size % 1 !== 0 || Math.log2(size) % 1 !== 0) {
      throw new RangeError(
        `A BAR has a power of two of bytes, at least ${least}, not ${size}`,
      );
    }
    this.size = size;
    this.flags = io
      ? PCI_BASE_ADDRESS_SPACE_IO
      : (wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0) |
        (prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
    this.#seen = new Uint8Array(size);
    this.#stores = new Stores(this.#seen);
  }

  /** Whether it is ports. */
  get isIo(): boolean {
    return this.flags === PCI_BASE_ADDRESS_SPACE_IO;
  }

  /** Whether its address has 64 bits, so that it takes the next place too. */
  get isWide(): boolean {
    return !this.isIo && (this.flags & PCI_BASE_ADDRESS_MEM_TYPE_64) !== 0;
  }

  /** What can be mapped: there while it answers. */
  get memory(): MemoryObject | undefined {
    return this.#memory;
  }

  /** Declares registers; returns how the device gets and sets them. Throws a RangeError for one outside. */
  declare<Name extends string>(
    table: Readonly<Record<Name, Register>>,
  ): Registers<Name> {
    const places = {} as Record<Name, Place>;
    for (const name of Object.keys(table) as Name[]) {
      const { at, bytes = 4, count = 1, stride = bytes, reset = 0, ...rest } =
        table[name];
      const end = at + (count - 1) * stride + bytes;
      if (!(at >= 0 && end <= this.size)) {
        throw new RangeError(`The register ${name} is not in its BAR`);
      }
      const { readOnly = false, write = () => {} } = rest;
      const react = readOnly
        ? (_: number, old: number, index: number) =>
          this.#put(place, index, old)
        : this.#alone(write);
      const place: Place = { at, bytes, count, stride, reset, react };
      places[name] = place;
      this.#places.push(place);
      this.#stores.watch(slotsOf(place, readOnly));
      for (let index = 0; index < count; index++) {
        this.#put(place, index, reset);
      }
    }
    return {
      get: (name, index = 0) =>
        numberOf(this.#seen, offsetOf(places[name], index), places[name].bytes),
      set: (name, value, index = 0) => this.#put(places[name], index, value),
    };
  }

  /** Calls `write` unless the device acts on another store: what its own DMA stores here meanwhile would have it act without end. */
  #alone(write: NonNullable<Register["write"]>): Place["react"] {
    return (value, old, index) => {
      if (this.#acts) return;
      this.#acts = true;
      try {
        write(value, old, index);
      } finally {
        this.#acts = false;
      }
    };
  }

  /** It answers from now on, through `memory`, which is empty and which it takes over. */
  enable(memory: MemoryObject): void {
    this.#memory = memory;
    this.resize(true);
  }

  /** It answers no more: what is mapped of it raises a bus error. */
  disable(): void {
    if (this.#memory === undefined) return;
    this.resize(false);
    this.#memory.put();
    this.#memory = undefined;
  }

  /** Gives its memory the pages that it has, or none, for as long as it does not answer. */
  resize(answers: boolean): void {
    const memory = this.#memory!;
    if (answers) {
      memory.truncate(Math.max(this.size, PAGE_SIZE));
      memory.write(0, this.#seen);
    } else {
      memory.read(0, this.#seen);
      memory.truncate(0);
    }
  }

  /**
   * All registers are as after a reset, and other memory is zero. What a look
   * found beside the store that resets stays: a driver waits before it resets,
   * and does not afterwards.
   */
  reset(): void {
    const newer = [...this.#stores.untold()];
    this.#seen.fill(0);
    this.#memory?.punch(0, this.size);
    for (const place of this.#places) {
      for (let index = 0; index < place.count; index++) {
        this.#put(place, index, place.reset);
      }
    }
    for (const { at, bytes } of newer) this.write(at, bytes);
  }

  /** Fills `to` from byte `offset` on, all within the BAR. */
  read(offset: number, to: Uint8Array): void {
    if (this.#isThere) this.#memory!.read(offset, to);
    else to.set(this.#seen.subarray(offset, offset + to.length));
  }

  /** Writes memory of the device by itself: no register takes notice. */
  write(offset: number, from: Uint8Array): void {
    this.#seen.set(from, offset);
    if (this.#isThere) this.#memory!.write(offset, from);
  }

  /** A program's store of `from` at `offset`: each register that it touches takes notice, also of what it had already. */
  store(offset: number, from: Uint8Array): void {
    const end = offset + from.length;
    const before = this.#seen.slice(offset, end);
    this.write(offset, from);
    this.#react(offset, end, (at, count) => {
      const old = this.#seen.slice(at, at + count);
      const from = Math.max(offset, at);
      const to = Math.min(end, at + count);
      old.set(before.subarray(from - offset, to - offset), from - at);
      return numberOf(old, 0, count);
    });
  }

  /** A program stored `length` bytes at `offset` of its memory, of which the last page may be longer than the BAR: as {@link store}. */
  stored(offset: number, length: number): void {
    if (offset >= this.size) return;
    const bytes = new Uint8Array(Math.min(length, this.size - offset));
    this.read(offset, bytes);
    this.store(offset, bytes);
  }

  /** A program stored something from byte `offset` on, nobody knows how long: the register that has the byte takes notice, and those that have changed. */
  touched(offset: number): void {
    if (this.#isThere) this.#stores.look(this.#memory!, offset);
  }

  /** Looks for what programs stored since the last time. Returns whether there was something. */
  poll(): boolean {
    return this.#isThere && this.#stores.look(this.#memory!);
  }

  get #isThere(): boolean {
    return this.#memory !== undefined && this.#memory.size > 0;
  }

  /** Calls the registers that overlap [offset, end). */
  #react(
    offset: number,
    end: number,
    oldAt: (at: number, count: number) => number,
  ): void {
    for (const place of this.#places) {
      const first = Math.max(
        0,
        Math.ceil((offset - place.bytes + 1 - place.at) / place.stride),
      );
      for (let index = first; index < place.count; index++) {
        const at = offsetOf(place, index);
        if (at >= end) break;
        const old = oldAt(at, place.bytes);
        place.react(numberOf(this.#seen, at, place.bytes), old, index);
      }
    }
  }

  #put(place: Place, index: number, value: number): void {
    const bytes = new Uint8Array(place.bytes);
    store(bytes, 0, place.bytes, value);
    this.write(offsetOf(place, index), bytes);
  }
}

/** How a device gets and sets its registers. */
export interface Registers<Name extends string> {
  /** The value of a register, the one with a number of an array. */
  get(name: Name, index?: number): number;
  /** Gives a register a value: programs read it from now on. */
  set(name: Name, value: number, index?: number): void;
}

/** The registers of a place, one by one. */
function slotsOf(place: Place, readOnly: boolean): Slot[] {
  const { bytes, count, react } = place;
  return Array.from({ length: count }, (_, index) => ({
    at: offsetOf(place, index),
    bytes,
    readOnly,
    tell: (value, old) => react(value, old, index),
  }));
}

function offsetOf({ at, stride }: Place, index: number): number {
  return at + index * stride;
}
