// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs a program to its end, and tells what it did.
 *
 * @module
 */

import type { Kernel } from "../../impl/kernel.ts";
import { type Watcher, watchers } from "../calls/watcher.ts";
import { FailingStep, type Step } from "../watch/failing_step.ts";
import { LeftBehind } from "../watch/left_behind.ts";
import { Log } from "../watch/log.ts";
import type { ProgramStatus } from "../watch/status.ts";
import type { StartOptions } from "./program.ts";
import { hostKernel, start } from "./start.ts";

/** How a program is run. What is left out is as this process has it. */
export interface RunOptions extends Omit<StartOptions, "faults"> {
  /** What it reads; default nothing. */
  readonly input?: string;
  /** Which step of the kernel fails, from 1 on, counted over all its processes; default none. */
  readonly failNth?: number;
  /** Takes a line for each call that the model answers, as strace would write it. */
  readonly log?: (line: string) => void;
}

/** What came of a program. */
export interface RunResult extends ProgramStatus {
  /** What it wrote to standard output; empty unless that was piped. */
  readonly stdout: string;
  /** What it wrote to standard error; empty unless that was piped. */
  readonly stderr: string;
  /** What it left behind: objects, pins, charges, and what the kernel warned about, a sentence each. */
  readonly left: readonly string[];
  /** The step that failed; undefined if none did. */
  readonly failed: Step | undefined;
  /** The machine that it met. */
  readonly kernel: Kernel;
}

/**
 * Runs a program on a model until it and all its children have ended. Its
 * output is piped unless the options say otherwise. Throws a `CannotRun`.
 *
 * ```ts
 * import { run } from "@iommufd/kit/host";
 *
 * const { code, left } = await run("./client", ["--its", "--arguments"]);
 * if (code !== 0 || left.length > 0) console.log(code, left);
 * ```
 */
export async function run(
  program: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  const { input, failNth, log, ...given } = options;
  const kernel = options.kernel ?? hostKernel();
  const left = new LeftBehind();
  const step = failNth === undefined
    ? undefined
    : new FailingStep(failNth, kernel.revision.name);
  const all: (Watcher | undefined)[] = [
    step,
    log && new Log(log),
    left,
    options.watcher,
  ];
  const running = start(program, args, {
    stdout: "piped",
    stderr: "piped",
    ...input !== undefined && { stdin: "piped" },
    ...given,
    kernel,
    watcher: watchers(all.filter((each) => each !== undefined)),
    ...step && { faults: step.faults },
  });
  const { stdout = "piped", stderr = "piped" } = options;
  const [status, out, err] = await Promise.all([
    running.status,
    stdout === "piped" ? new Response(running.stdout).text() : "",
    stderr === "piped" ? new Response(running.stderr).text() : "",
    input === undefined ? undefined : send(running.stdin, input),
  ]);
  return {
    ...status,
    stdout: out,
    stderr: err,
    left: left.report(kernel),
    failed: step?.failed,
    kernel,
  };
}

/** Sends a text, as far as somebody reads it. */
async function send(
  stream: WritableStream<Uint8Array>,
  text: string,
): Promise<void> {
  try {
    await new Response(text).body!.pipeTo(stream);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
