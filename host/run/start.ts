// SPDX-License-Identifier: GPL-2.0-only

/**
 * Starts programs on a model.
 *
 * @module
 */

import { Kernel } from "../../impl/kernel.ts";
import type { KernelOptions } from "../../impl/kernel/core.ts";
import type { IommufdOptions } from "../../impl/iommufd/kernel.ts";
import { HostMachine } from "../memory/machine.ts";
import { ProgramError } from "../supervise/find_program.ts";
import type { Program } from "../supervise/program.ts";
import { Supervisor } from "../supervise/supervisor.ts";
import { MissingNeeds } from "../sys/needs.ts";
import { Sys } from "../sys/sys.ts";
import { type ProgramStatus, signalNumber, statusOf } from "../watch/status.ts";
import {
  CannotRun,
  type RunningProgram,
  type StartOptions,
} from "./program.ts";
import { openStream, readableOf, type Stream, writableOf } from "./stdio.ts";

/** Linux: ENOENT. */
const ENOENT = 2;

/** What can be said of a kernel for real programs: all but what it runs on. */
export type HostKernelOptions =
  & Pick<KernelOptions, "revision">
  & Partial<IommufdOptions>;

/** A kernel for real programs, whose memory is that of their processes; it has the type1 container unless the options say otherwise. Throws a {@link CannotRun} if this host cannot. */
export function hostKernel(options: HostKernelOptions = {}): Kernel {
  return new Kernel({
    vfioContainer: "type1",
    ...options,
    machine: new HostMachine(systemCalls()),
  });
}

/** The system calls of this process, or why there are none. */
const loaded = load();

/** Loads them once and for all: of a test that is the first to need them, Deno would say that it leaks them. */
function load(): Sys | CannotRun {
  try {
    return Sys.shared;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return new CannotRun(125, why);
  }
}

/** The system calls of this process. Throws a {@link CannotRun}. */
function systemCalls(): Sys {
  if (loaded instanceof CannotRun) throw loaded;
  return loaded;
}

/**
 * Starts a program on a model: a path, or a name to be looked for in PATH. It
 * goes on until it has ended: `status` says how. Throws a {@link CannotRun}.
 */
export function start(
  program: string,
  args: readonly string[] = [],
  options: StartOptions = {},
): RunningProgram {
  const sys = systemCalls();
  const { cwd } = options;
  const env = {
    ...options.clearEnv ? {} : Deno.env.toObject(),
    ...options.env,
  };
  const kernel = options.kernel ?? hostKernel();
  const supervisor = supervisorOf(kernel, options);
  const { stdin = "null", stdout = "inherit", stderr = "inherit" } = options;
  const streams = [stdin, stdout, stderr]
    .map((stdio, fd) => openStream(sys, fd, stdio)) as Streams;
  const [fd0, fd1, fd2] = streams.map(({ theirs }) => theirs);
  try {
    const started = supervisor.start({
      program,
      args,
      env,
      ...cwd !== undefined && { cwd },
      stdio: [fd0!, fd1!, fd2!],
    });
    return new Started(started, supervisor, kernel, sys, streams);
  } catch (error) {
    supervisor.close();
    for (const { own } of streams) if (own !== undefined) sys.close(own);
    throw cannotRun(error);
  } finally {
    for (const { theirs, closes } of streams) if (closes) sys.close(theirs);
  }
}

function supervisorOf(
  kernel: Kernel,
  { uid, memlock, pollMs, trapsStores, faults, watcher }: StartOptions,
): Supervisor {
  try {
    return new Supervisor({
      kernel,
      pretence: { uid, memlock },
      pollMs,
      trapsStores,
      ...faults && { faults },
      ...watcher && { watcher },
    });
  } catch (error) {
    throw cannotRun(error);
  }
}

type Streams = [Stream, Stream, Stream];

/** What people are told of a program that could not be started. */
function cannotRun(error: unknown): unknown {
  if (error instanceof MissingNeeds) {
    const list = error.missing.map((what) => `\n  ${what}`).join("");
    return new CannotRun(125, `This host cannot run programs:${list}`);
  }
  if (!(error instanceof ProgramError)) return error;
  return new CannotRun(error.errno === ENOENT ? 127 : 126, error.message);
}

/** See {@link RunningProgram}. */
class Started implements RunningProgram {
  readonly kernel: Kernel;
  readonly status: Promise<ProgramStatus>;
  readonly pid: number;
  readonly #program: Program;
  readonly #supervisor: Supervisor;
  readonly #stdin: WritableStream<Uint8Array> | undefined;
  readonly #stdout: ReadableStream<Uint8Array> | undefined;
  readonly #stderr: ReadableStream<Uint8Array> | undefined;
  #running = true;

  constructor(
    program: Program,
    supervisor: Supervisor,
    kernel: Kernel,
    sys: Sys,
    streams: Streams,
  ) {
    const [stdin, stdout, stderr] = streams;
    this.#supervisor = supervisor;
    this.#program = program;
    this.kernel = kernel;
    this.pid = program.pid;
    this.#stdin = stdin.own === undefined
      ? undefined
      : writableOf(sys, stdin.own);
    const readable = ({ own }: Stream) =>
      own === undefined ? undefined : readableOf(sys, own);
    this.#stdout = readable(stdout);
    this.#stderr = readable(stderr);
    this.status = this.#end();
  }

  get stdin(): WritableStream<Uint8Array> {
    return piped(this.#stdin, "stdin");
  }

  get stdout(): ReadableStream<Uint8Array> {
    return piped(this.#stdout, "stdout");
  }

  get stderr(): ReadableStream<Uint8Array> {
    return piped(this.#stderr, "stderr");
  }

  get complaints(): readonly string[] {
    return this.#program.complaints;
  }

  kill(signal: Deno.Signal = "SIGTERM"): void {
    if (this.#running) this.#program.kill(signalNumber(signal));
  }

  async #end(): Promise<ProgramStatus> {
    try {
      const { code = 0, signal = 0 } = await this.#program.ended;
      return statusOf(code << 8 | signal);
    } catch (error) {
      throw cannotRun(error);
    } finally {
      this.#running = false;
      this.#supervisor.close();
    }
  }
}

function piped<T>(stream: T | undefined, name: string): T {
  if (stream !== undefined) return stream;
  throw new TypeError(`${name} is not piped`);
}
