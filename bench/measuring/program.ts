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
} from "../../selftests/target/impl_calls.ts";
import { withStruct } from "../../selftests/target/verbs.ts";
import { type Step, unexpected } from "./steps.ts";
import { SweptStruct } from "./swept_struct.ts";

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
  const struct = new SweptStruct(step);
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
