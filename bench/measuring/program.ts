// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs steps on a process of the model, with as little around each system call
 * as possible.
 *
 * A struct is passed by value, as users of this package do: placed before a
 * guard page, and copied back. That is part of what is timed.
 *
 * @module
 */

import type { Process } from "../../impl/kernel/simulated/process.ts";
import {
  IMPL_CALLS,
  type ImplCalls,
  invoke,
} from "../../selftests/target/impl_target.ts";
import { structOf, withStruct } from "../../selftests/target/verbs.ts";
import {
  type CallStep,
  type Step,
  type SweptField,
  unexpected,
} from "./steps.ts";

/** Steps that are ready to run, again and again. */
export class Program {
  readonly #ops: readonly (() => void)[];

  /** Prepares steps for a process. */
  constructor(process: Process, steps: readonly Step[]) {
    this.#ops = steps.map((step) => compile(process, step));
  }

  /** Makes all calls. Throws an Error if one does not return what it must. */
  run(): void {
    for (const op of this.#ops) op();
  }
}

function compile(process: Process, step: Step): () => void {
  if ("fork" in step) {
    // A child is another process each time.
    return () => {
      const child = process.fork();
      new Program(child, step.fork).run();
      child.exit();
    };
  }
  const { call, times, ret } = step;
  const calls: ImplCalls = IMPL_CALLS;
  const how = calls[call.verb.name]!;
  const struct = new Struct(step);
  const { args } = withStruct(call, struct.bytes);
  return () => {
    // The kernel wrote its answer there the last time.
    struct.rewind();
    for (let left = times;;) {
      const got = invoke(how, process, args);
      if (got !== ret) throw unexpected(step, got);
      if (--left === 0) return;
      struct.advance();
    }
  };
}

/** The struct of a step, whose fields move on. */
class Struct {
  readonly bytes: Uint8Array;
  readonly #sent: Uint8Array;
  readonly #view: DataView;
  readonly #fields: readonly SweptField[];
  readonly #first: readonly number[];
  readonly #values: number[];

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

  rewind(): void {
    this.bytes.set(this.#sent);
    for (let i = 0; i < this.#first.length; i++) {
      this.#values[i] = this.#first[i]!;
    }
  }

  /** Two halves instead of a bigint, which would be garbage for each call. */
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
