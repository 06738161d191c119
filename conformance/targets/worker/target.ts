// SPDX-License-Identifier: GPL-2.0-only

/**
 * `worker:./x.ts`: the target of a module as `module:` takes it, in a worker.
 * One that loops and never waits can be ended there.
 *
 * @module
 */

import {
  type Outcome,
  type Program,
  type Target,
  TargetFailure,
  type TargetInfo,
  type Timing,
} from "../../../selftests/target/target.ts";
import type { Argument, Call } from "../../../selftests/target/verbs.ts";
import { DEFAULT_REPLY_TIMEOUT_MS } from "../../protocol/channel.ts";
import { within } from "../../lib/within.ts";
import { startedSpec } from "../adapter_targets.ts";
import { refuseTarget, type TargetSpec } from "../target_spec.ts";
import {
  type FromWorker,
  type Method,
  receiveFailure,
  type Started,
  type ToWorker,
} from "./messages.ts";

/** Milliseconds that a module has to start, at least. */
const MIN_START_MS = 10_000;

/** Reads the name of a module: a path, or any other specifier that can be imported. Throws {@link UsageError}. */
export function parseWorker(name: string, spec: string): TargetSpec {
  if (name === "") {
    refuseTarget(spec, "worker: needs a module, as in worker:./target.ts.");
  }
  return startedSpec(spec, ({ timeoutMs = DEFAULT_REPLY_TIMEOUT_MS }) => {
    const limitMs = Math.max(timeoutMs, MIN_START_MS);
    return WorkerTarget.start(name, limitMs);
  });
}

/** Who waits for an answer. */
interface Waiting {
  readonly resolve: (answer: FromWorker) => void;
  readonly reject: (failure: TargetFailure) => void;
}

/** A target at the other end of a worker. */
class WorkerTarget implements Target {
  readonly info: TargetInfo;
  readonly program?: (program: Program) => Promise<Outcome[]>;
  readonly #worker: WorkerEnd;

  private constructor(worker: WorkerEnd, { info, program }: Started) {
    this.#worker = worker;
    this.info = info;
    if (program) {
      this.program = (program) => this.#ask("program", program);
    }
  }

  /** Takes the module. Rejects where it does not make a target in time. */
  static async start(module: string, limitMs: number): Promise<WorkerTarget> {
    const worker = new WorkerEnd();
    try {
      const started = await within(limitMs, worker.ask({ module }));
      if (started === undefined) {
        throw new Error(
          `The module made no target within ${limitMs / 1000} seconds`,
        );
      }
      return new WorkerTarget(worker, started.value as Started);
    } catch (error) {
      worker.end();
      throw error;
    }
  }

  spawn(needs?: readonly string[]): Promise<number> {
    return this.#ask("spawn", needs);
  }

  make(process: number, calls: readonly Call[]): Promise<number[]> {
    return this.#call("make", calls, process, calls);
  }

  time(
    process: number,
    times: number,
    calls: readonly Call[],
  ): Promise<Timing> {
    return this.#call("time", calls, process, times, calls);
  }

  reset(): Promise<string[]> {
    return this.#ask("reset");
  }

  close(): Promise<void> {
    this.#worker.end();
    return Promise.resolve();
  }

  async #ask<T>(method: Method, ...args: readonly unknown[]): Promise<T> {
    const { value } = await this.#worker.ask({ method, args });
    return value as T;
  }

  /** Asks to make calls, and writes to their arguments what came back. */
  async #call<T>(
    method: Method,
    calls: readonly Call[],
    ...args: readonly unknown[]
  ): Promise<T> {
    const { value, written } = await this.#worker.ask({ method, args });
    for (const [i, back] of written!.entries()) {
      for (const [j, each] of back.entries()) write(calls[i]!.args[j]!, each);
    }
    return value as T;
  }
}

/** Lets an argument hold what its copy does. */
function write(arg: Argument, copy: Argument): void {
  if (arg instanceof Uint8Array) arg.set(copy as Uint8Array);
  else if (Array.isArray(arg)) {
    arg.splice(0, arg.length, ...(copy as number[]));
  }
}

/** An answer that is no failure. */
type Answer = Exclude<FromWorker, { failure: unknown }>;

/** The run's end of a worker. */
class WorkerEnd {
  readonly #worker = new Worker(new URL("./inside.ts", import.meta.url), {
    type: "module",
  });
  readonly #waiting: Waiting[] = [];
  #failure: TargetFailure | undefined;

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) =>
      this.#waiting.shift()?.resolve(data);
    this.#worker.onerror = (event) => {
      // Else it is an error of this program.
      event.preventDefault();
      this.#fail(new TargetFailure("crash", `The module: ${event.message}`));
    };
  }

  /** Asks something; rejects with what the module throws. */
  async ask(message: ToWorker): Promise<Answer> {
    const answer = await new Promise<FromWorker>((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(message);
    });
    if ("failure" in answer) throw receiveFailure(answer.failure);
    return answer;
  }

  /** Ends the worker, whatever it does. */
  end(): void {
    this.#fail(new TargetFailure("error", "The target was closed"));
  }

  #fail(failure: TargetFailure): void {
    this.#failure ??= failure;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}
