// SPDX-License-Identifier: GPL-2.0-only

/**
 * The structs that the repetitions of a step are given.
 *
 * @module
 */

import { structOf } from "../../selftests/target/verbs.ts";
import type { CallStep, SweptField } from "./steps.ts";

/** The struct of a step, whose fields move on. */
export class SweptStruct {
  /** It as it is now; empty where a call has none. */
  readonly bytes: Uint8Array;
  readonly #sent: Uint8Array;
  readonly #view: DataView;
  readonly #fields: readonly SweptField[];
  readonly #first: readonly number[];
  readonly #values: number[];

  /** It as it is for the first call, once it was rewound. */
  constructor({ call, sweep }: CallStep) {
    const sent = structOf(call) ?? new Uint8Array(0);
    const first = new DataView(sent.buffer, sent.byteOffset, sent.length);
    this.bytes = new Uint8Array(sent.length);
    this.#sent = sent;
    this.#view = new DataView(this.bytes.buffer);
    this.#fields = sweep;
    this.#first = sweep.map(({ offset, size }) =>
      size === 8
        ? Number(first.getBigUint64(offset, true))
        : first.getUint32(offset, true)
    );
    this.#values = [...this.#first];
  }

  /** Makes it that of the first call. */
  rewind(): void {
    this.bytes.set(this.#sent);
    for (let i = 0; i < this.#first.length; i++) {
      this.#values[i] = this.#first[i]!;
    }
  }

  /** Makes it that of the next call. Two halves instead of a bigint, which would be garbage for each call. */
  advance(): void {
    for (let i = 0; i < this.#fields.length; i++) {
      const { offset, size, by } = this.#fields[i]!;
      const value = this.#values[i]! + by;
      this.#values[i] = value;
      this.#view.setUint32(offset, value % 2 ** 32, true);
      if (size === 8) {
        this.#view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
      }
    }
  }
}
