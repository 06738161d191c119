// SPDX-License-Identifier: GPL-2.0-only

/**
 * A target as a side: programs are sent ahead, so that it never waits; it is
 * started again when it breaks.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import {
  type Program,
  runProgram,
  type Target,
  TargetFailure,
} from "../../../selftests/target/target.ts";
import { TestTarget } from "../../targets/test_target.ts";
import type { OpenOptions, TargetSpec } from "../../targets/target_spec.ts";
import type { Ran } from "../compare/compare.ts";
import { type Failure, isFailure, type Side } from "./side.ts";

/** How many programs are sent ahead. */
const AHEAD = 8;

/** A program that somebody waits for. */
interface Job {
  readonly program: Program;
  readonly resolve: (ran: Ran | Failure) => void;
}

/** A program that was sent. */
interface Sent extends Job {
  readonly answer: Promise<Ran | Failure>;
}

/** A target as a side. */
export class TargetSide implements Side {
  readonly name: string;
  readonly uapi: RevisionName;
  readonly #target: TestTarget;
  readonly #waiting: Job[] = [];
  #sent: Sent[] = [];
  #running: Promise<void> | undefined;
  /** How often it was started again. */
  restarts = 0;

  private constructor(
    name: string,
    uapi: RevisionName,
    target: TestTarget,
  ) {
    this.name = name;
    this.uapi = uapi;
    this.#target = target;
  }

  /** Starts a target. Rejects with what its `open` rejects with. */
  static async open(
    target: TargetSpec,
    uapi: RevisionName,
    options: OpenOptions & { readonly timeoutMs: number },
  ): Promise<TargetSide> {
    const started = await TestTarget.start(
      () => target.open(uapi, options),
      options.timeoutMs,
    );
    return new TargetSide(target.spec, uapi, started);
  }

  /** The version of what is tested. */
  get version(): string {
    return this.#target.info.version;
  }

  get capabilities(): readonly string[] {
    return this.#target.info.capabilities;
  }

  run(program: Program): Promise<Ran | Failure> {
    return new Promise((resolve) => {
      this.#waiting.push({ program, resolve });
      this.#running ??= this.#work();
    });
  }

  async close(): Promise<void> {
    await this.#running;
    await this.#target.close();
  }

  /** Works until nobody waits. */
  async #work(): Promise<void> {
    while (this.#waiting.length + this.#sent.length > 0) {
      const broken = await this.#mend();
      if (broken) {
        this.#waiting.shift()!.resolve(broken);
        continue;
      }
      await this.#target.run((target) => this.#answerOne(target));
    }
    // At once: whoever comes from here on finds nobody at work.
    this.#running = undefined;
  }

  /** Starts the target again if it is broken; says why that is not possible. */
  async #mend(): Promise<Failure | undefined> {
    if (!this.#target.broken) return undefined;
    try {
      await this.#target.restart();
      this.restarts++;
      return undefined;
    } catch (error) {
      return { failed: "start", message: messageOf(error) };
    }
  }

  /** Sends what can be sent, and takes the answer to the oldest. */
  async #answerOne(target: Target): Promise<void> {
    // What is asked for call by call would mix with the next program.
    const ahead = target.program ? AHEAD : 1;
    while (this.#sent.length < ahead && this.#waiting.length > 0) {
      const job = this.#waiting.shift()!;
      this.#sent.push({ ...job, answer: attempt(target, job.program) });
    }
    const { answer, resolve } = this.#sent.shift()!;
    const ran = await answer;
    // What is left behind would be in the way of what comes next.
    if (isFailure(ran) || ran.problems.some(isLasting)) {
      // The others were not to blame: they run on the next one.
      this.#waiting.unshift(...this.#sent);
      this.#sent = [];
      await this.#target.retire();
    }
    resolve(ran);
  }
}

/** True for what outlasts a program, unlike a file, which is taken away. */
function isLasting(problem: string): boolean {
  return !/^the file /i.test(problem);
}

/** Runs a program and ends its processes. */
async function attempt(
  target: Target,
  program: Program,
): Promise<Ran | Failure> {
  try {
    const [outcomes, problems] = target.program
      ? await Promise.all([target.program(program), target.reset()])
      : [await runProgram(target, program), await target.reset()];
    if (outcomes.length === program.length) return { outcomes, problems };
    const message =
      `It says what ${outcomes.length} steps came to, of ${program.length}`;
    return { failed: "error", message };
  } catch (error) {
    const failed = error instanceof TargetFailure ? error.status : "crash";
    const stderr = target.takeStderr?.() ?? "";
    return {
      failed,
      message: messageOf(error),
      ...stderr !== "" && { stderr },
    };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
