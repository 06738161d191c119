// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs the command on fakes, with files that are kept in memory.
 *
 * @module
 */

import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { runCommand } from "../command/command.ts";
import type { EndingSignal } from "../lib/ending.ts";
import { FakeTarget, type FakeTargetOptions } from "./fake_target.ts";

/** What a command did. */
export interface CommandOutcome {
  /** Its exit code. */
  code: number;
  /** What it wrote to standard output. */
  out: string;
  /** What it wrote to standard error. */
  err: string;
  /** The files, those it wrote and those it found. */
  readonly files: Record<string, string>;
}

/** How the fakes behave. */
export interface CommandFakes extends FakeTargetOptions {
  /** The target does not start. */
  readonly startError?: Error;
  /** It does not start either when it is asked for its revisions, as an adapter has to. */
  readonly askError?: Error;
  /** Standard error is a terminal. */
  readonly terminal?: boolean;
  /** Called when the run begins, with what a signal would do. */
  readonly onRun?: (stop: (signal: EndingSignal) => void) => void;
  /** Called when a target is to start, which waits for what is returned. */
  readonly onOpen?: () => Promise<void>;
  /** Files that are there. */
  readonly files?: Readonly<Record<string, string>>;
  /** How the targets of some specs behave otherwise. */
  readonly targets?: Readonly<
    Record<
      string,
      & FakeTargetOptions
      & Pick<CommandFakes, "startError" | "askError">
    >
  >;
}

/** Runs the command with its arguments on these tests. */
export async function runOnFakes(
  args: readonly string[],
  tests: readonly Test[],
  fakes: CommandFakes = {},
): Promise<CommandOutcome> {
  const files = { ...fakes.files };
  const outcome: CommandOutcome = { code: -1, out: "", err: "", files };
  function write(path: string, text: string): void {
    if (path.startsWith("/missing/")) throw new Error("No such directory");
    if (path.startsWith("/full/")) throw new Error("No space left");
    files[path] = text;
  }
  outcome.code = await runCommand(args, {
    host: {
      out: (text) => outcome.out += text,
      err: (text) => outcome.err += text,
      color: false,
      errIsTerminal: fakes.terminal ?? false,
      create(path) {
        write(path, "");
        return (text) => files[path] += text;
      },
      prepare(path) {
        if (path.startsWith("/missing/")) throw new Error("No such directory");
        return (text) => write(path, text);
      },
      save: write,
      now: () => new Date(Date.UTC(2026, 10, 28)),
      machine: () => ({
        os: "linux",
        arch: "x86_64",
        processors: 2,
        deno: "2.9.6",
      }),
      onSignal(stop) {
        fakes.onRun?.(stop);
        return () => {};
      },
      readText: (path) => files[path],
    },
    command: "deno task conformance",
    allTests: (uapi) => tests.filter((test) => test.uapi.includes(uapi)),
    parseTarget: (spec) => ({
      spec,
      revisions: () =>
        Promise.try(() => {
          const { askError, uapi } = { ...fakes, ...fakes.targets?.[spec] };
          if (askError) throw askError;
          return uapi ? [uapi] : [...REVISION_NAMES];
        }),
      async open(uapi) {
        const options = { ...fakes, ...fakes.targets?.[spec], uapi };
        if (options.startError) throw options.startError;
        await options.onOpen?.();
        return await Promise.resolve(new FakeTarget(options));
      },
    }),
  });
  return outcome;
}
