// SPDX-License-Identifier: GPL-2.0-only

/**
 * Table of objects by id that gives out the lowest free id, as Linux's
 * allocating xarray does.
 *
 * @module
 */

import { KernelBug } from "./kernel_bug.ts";
import { EBUSY } from "../uapi/errno.ts";
import { popLowest, pushHeap } from "./heap.ts";

/** Stands in the table for an id that is given out but has no object yet. */
const RESERVED: unique symbol = Symbol("reserved");

/** Objects by id. An id is free, reserved, or published with its object. */
export class IdTable<T extends NonNullable<unknown>> {
  #first: number;
  readonly #max: number;
  /** What an id stands for, at index `id - first`; nothing lies beyond the highest id in use. */
  readonly #entries: (T | typeof RESERVED | undefined)[] = [];
  /**
   * Min-heap of free ids. Ids below the highest one in use are all in it if
   * they are free; ids above may be in it, and count for nothing.
   */
  readonly #free: number[] = [];
  #size = 0;

  /** A table of ids from `first` to `max`, inclusive (Linux: struct xa_limit). */
  constructor(limits: { readonly first: 0 | 1; readonly max: number }) {
    this.#first = limits.first;
    this.#max = limits.max;
  }

  /** Ids in use: published and reserved ones. */
  get size(): number {
    return this.#size;
  }

  /** Whether no id is in use (Linux: xa_empty). */
  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /**
   * Reserves the lowest free id: {@link get} does not find it before
   * {@link publish}. Throws EBUSY if none is free. (Linux: xa_alloc with
   * XA_ZERO_ENTRY.) O(log n).
   */
  alloc(): number {
    const entries = this.#entries;
    const top = this.#first + entries.length;
    let id = this.#free[0];
    if (id !== undefined && id < top) {
      popLowest(this.#free);
    } else {
      if (top > this.#max) throw EBUSY.because("no id is free");
      if (id !== undefined) this.#free.length = 0;
      id = top;
    }
    entries[id - this.#first] = RESERVED;
    this.#size++;
    return id;
  }

  /** Gives a reserved id its object (Linux: xa_store). */
  publish(id: number, value: T): void {
    if (!this.isReserved(id)) {
      throw new KernelBug(`Cannot publish id ${id}: it is not reserved`);
    }
    this.#entries[id - this.#first] = value;
  }

  /** The object of an id; undefined if the id is free or only reserved (Linux: xa_load). */
  get(id: number): T | undefined {
    const entry = this.#entries[id - this.#first];
    return entry === RESERVED ? undefined : entry;
  }

  /** Takes the object of an id away; the id is in use for good (Linux: xa_store of XA_ZERO_ENTRY). */
  retire(id: number): void {
    if (this.get(id) === undefined) {
      throw new KernelBug(`Cannot retire id ${id}: it is not published`);
    }
    this.#entries[id - this.#first] = RESERVED;
  }

  /** Whether an id is given out but not published. */
  isReserved(id: number): boolean {
    return this.#entries[id - this.#first] === RESERVED;
  }

  /** The ids in use, published or reserved, ascending. */
  *ids(): Generator<number, void, undefined> {
    for (const [index, entry] of this.#entries.entries()) {
      if (entry !== undefined) yield index + this.#first;
    }
  }

  /**
   * Frees an id and returns the object that it had; undefined if it was
   * reserved or free (Linux: xa_erase). O(log n).
   *
   * As in Linux, erasing id 0 of a table that begins at 1 makes it an id like
   * any other: what kept it from being given out was an entry (XA_ZERO_ENTRY).
   * A table without ids in use has not got that entry yet.
   */
  erase(id: number): T | undefined {
    const entries = this.#entries;
    if (id === 0 && this.#first === 1 && !this.isEmpty) {
      this.#first = 0;
      entries.unshift(undefined);
      pushHeap(this.#free, 0);
      return undefined;
    }
    const entry = entries[id - this.#first];
    if (entry === undefined) return undefined;
    this.#size--;
    if (id - this.#first < entries.length - 1) {
      entries[id - this.#first] = undefined;
      pushHeap(this.#free, id);
    } else {
      do entries.pop(); while (
        entries.length > 0 && entries[entries.length - 1] === undefined
      );
    }
    return entry === RESERVED ? undefined : entry;
  }

  /**
   * The published ids with their objects, ascending. Ids may be published and
   * erased meanwhile: those behind the current one are seen as they are when
   * their turn comes (Linux: xa_for_each).
   */
  *[Symbol.iterator](): Generator<[id: number, value: T], void, undefined> {
    for (let index = 0; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && entry !== RESERVED) {
        yield [index + this.#first, entry];
      }
    }
  }
}
