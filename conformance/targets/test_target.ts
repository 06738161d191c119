// SPDX-License-Identifier: GPL-2.0-only

/**
 * A target through the starts of a run.
 *
 * @module
 */

import {
  type Target,
  type TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import { printable } from "../lib/printable.ts";
import { CommandError } from "../lib/exit_code.ts";
import { within } from "../lib/within.ts";

/** How often a start is tried before it counts as failed. */
const ATTEMPTS = 3;
/** Milliseconds that a target which was started again has to show that it works, at most. */
const SIGN_OF_LIFE_MS = 5000;

/** A target that does not start, or that does nothing. What it said about that is printable. */
export class TargetStartError extends CommandError {
  override name = "TargetStartError";
  override readonly exitCode = 3;

  constructor(message: string) {
    super(printable(message));
  }
}

/** A target that can be started again: after {@link restart} it is another one. */
export class TestTarget {
  readonly #open: () => Promise<Target>;
  readonly #limitMs: number;
  #target: Target;
  /** True if something ran on it since it was started. */
  used = false;
  /** True if something broke it since it was started. */
  broken = false;

  private constructor(
    open: () => Promise<Target>,
    target: Target,
    timeoutMs: number,
  ) {
    this.#open = open;
    this.#target = target;
    this.#limitMs = Math.min(timeoutMs, SIGN_OF_LIFE_MS);
  }

  /** Starts a target whose tests may take `timeoutMs`. Rejects with what `open` rejects with. */
  static async start(
    open: () => Promise<Target>,
    timeoutMs: number,
  ): Promise<TestTarget> {
    return new TestTarget(open, await open(), timeoutMs);
  }

  /** What the target says about itself. */
  get info(): TargetInfo {
    return this.#target.info;
  }

  /** Notes that something may have broken it: what is left of it is ended. */
  async retire(): Promise<void> {
    this.broken = true;
    await this.#target.close();
  }

  /** Hands the target to `use`. */
  run<T>(use: (target: Target) => Promise<T>): Promise<T> {
    this.used = true;
    return use(this.#target);
  }

  /**
   * Ends the target and starts it anew. Rejects with {@link TargetStartError}
   * when none comes up that can spawn a process and end it.
   */
  async restart(): Promise<void> {
    if (!this.broken) await this.retire();
    let why: unknown;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        const target = await this.#open();
        const sick = await signOfLife(target, this.#limitMs);
        if (sick === undefined) {
          this.#target = target;
          this.used = false;
          this.broken = false;
          return;
        }
        why = sick;
        await target.close();
      } catch (error) {
        why = error;
      }
    }
    const message = why instanceof Error ? why.message : String(why);
    throw new TargetStartError(
      `The target was started again ${ATTEMPTS} times and did not work: ${message}`,
    );
  }

  /** Ends the target, unless it was retired. */
  async close(): Promise<void> {
    if (!this.broken) await this.#target.close();
  }
}

/** Makes a process and ends it. Resolves to an error if the target cannot even do that. */
async function signOfLife(target: Target, limitMs: number): Promise<unknown> {
  async function live(): Promise<{ error?: unknown }> {
    try {
      const process = await TargetProcess.spawn(target);
      await process.exit();
      await target.reset();
      return {};
    } catch (error) {
      return { error };
    }
  }
  const outcome = await within(limitMs, live());
  if (outcome) return outcome.error;
  const seconds = limitMs / 1000;
  return new Error(
    `It did not spawn and end a process within ${seconds} seconds`,
  );
}
