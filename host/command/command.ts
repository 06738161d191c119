// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the command does, apart from the system it works with.
 *
 * @module
 */

import { orUsageError, UsageError } from "../../conformance/lib/usage_error.ts";
import type { IommufdOptions } from "../../impl/iommufd/kernel.ts";
import type { Kernel } from "../../impl/kernel.ts";
import { errnoOfStep } from "../../impl/kernel/fault_steps.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import { type Watcher, watchers } from "../calls/watcher.ts";
import { Drawing } from "../watch/drawing.ts";
import { FailingStep } from "../watch/failing_step.ts";
import { type DeviceSources, plugDevices } from "./devices.ts";
import { HELP } from "./help.ts";
import { LeftBehind } from "../watch/left_behind.ts";
import { Log } from "../watch/log.ts";
import { type Options, parseOptions } from "./options.ts";
import { CannotRun, type RunningProgram, type Start } from "../run/program.ts";
import { signalNumber } from "../watch/status.ts";
import { sweep, type SweptRun } from "./sweep.ts";
import { Transcript } from "../watch/transcript.ts";

/** What was left behind is a failure, or the program could not be run. */
const EXIT_FAILURE = 125;
/** The command line is wrong. */
const EXIT_USAGE = 2;
/** A run of a sweep ended badly. */
const EXIT_BAD_SWEEP = 1;

/** Signals that are passed on to the program. */
const PASSED_ON = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
] as const;
/** Those of them that a terminal sends to the program as well. */
const FROM_TERMINAL: readonly Deno.Signal[] = ["SIGINT", "SIGQUIT"];

/** What is chosen of a machine. */
export type KernelChoice =
  & { readonly revision: RevisionName }
  & Pick<IommufdOptions, "vfioContainer" | "vfioNoIommu">;

/** What the command works with. */
export interface Environment {
  /** Writes to standard output. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Creates a file, or empties it; the function it returns appends to it. */
  create(path: string): (text: string) => void;
  /** Whether the signals of a terminal reach the program too. */
  readonly hasTerminal: boolean;
  /** Calls `act` for each signal; what is returned takes that back. */
  onSignal(signal: Deno.Signal, act: () => void): () => void;
  /** A machine for programs of this host. */
  createKernel(options: KernelChoice): Kernel;
  /** Where devices come from. */
  readonly devices: DeviceSources;
  /** Starts a program. */
  readonly start: Start;
}

/** Runs the command with its arguments; resolves to the exit code. */
export async function runCommand(
  args: readonly string[],
  environment: Environment,
): Promise<number> {
  try {
    const options = parseOptions(args);
    switch (options.action) {
      case "help":
        environment.out(HELP);
        return 0;
      case "run":
        return await runOne(options, environment);
      case "sweep":
        return await runSweep(options, environment);
    }
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof CannotRun)) {
      throw error;
    }
    environment.err(`run: ${error.message}\n`);
    return error instanceof CannotRun ? error.code : EXIT_USAGE;
  }
}

/** A machine with the devices that were asked for. */
async function machineOf(
  { uapi, container, devices }: Options,
  environment: Environment,
): Promise<Kernel> {
  const kernel = environment.createKernel({
    revision: uapi,
    vfioContainer: container,
    vfioNoIommu: devices.some(({ hasIommu }) => !hasIommu),
  });
  await plugDevices(kernel, devices, environment.devices);
  return kernel;
}

/** What each run of the program is started with. */
function settingsOf(options: Options, kernel: Kernel) {
  const { uid, memlock, pollMs, trapsStores } = options;
  return { kernel, uid, memlock, pollMs, trapsStores };
}

/** Runs the program once, and tells what was asked for. */
async function runOne(
  options: Options,
  environment: Environment,
): Promise<number> {
  const kernel = await machineOf(options, environment);
  const observers = new Observers(options, kernel, environment);
  const { step } = observers;
  const program = await environment.start(options.program, options.args, {
    ...settingsOf(options, kernel),
    stdin: "inherit",
    watcher: watchers(observers.all),
    ...step && { faults: step.faults },
  });
  const forget = passSignals(program, observers.drawing, environment);
  try {
    const status = await program.status;
    for (const what of program.complaints) environment.err(`run: ${what}\n`);
    const clean = observers.report();
    return options.audit && !clean ? EXIT_FAILURE : status.code;
  } finally {
    for (const each of forget) each();
  }
}

/** All who watch one run. */
class Observers {
  readonly #options: Options;
  readonly #kernel: Kernel;
  readonly #err: (text: string) => void;
  readonly #left = new LeftBehind();
  readonly #transcript:
    | { made: Transcript; write: (text: string) => void }
    | undefined;
  /** Draws, if that was asked for. */
  readonly drawing: Drawing | undefined;
  /** The step that fails, if one is to. */
  readonly step: FailingStep | undefined;
  /** All of them. */
  readonly all: readonly Watcher[];

  constructor(options: Options, kernel: Kernel, environment: Environment) {
    const { uapi, failNth, log, transcript } = options;
    this.#options = options;
    this.#kernel = kernel;
    this.#err = environment.err;
    if (options.inspect) this.drawing = new Drawing(kernel);
    if (failNth > 0) this.step = new FailingStep(failNth, uapi);
    const create = (what: string, path: string) =>
      orUsageError(
        `Cannot write the ${what} to "${path}"`,
        () => environment.create(path),
      );
    if (transcript !== undefined) {
      const made = new Transcript(uapi, failNth);
      const write = create("transcript", transcript);
      this.#transcript = { made, write };
    }
    const write = log === "" ? environment.err : log && create("log", log);
    const observers: (Watcher | undefined)[] = [
      this.step,
      write ? new Log(write) : undefined,
      this.#transcript?.made,
      this.drawing,
      this.#left,
    ];
    this.all = observers.filter((each) => each !== undefined);
  }

  /** Tells what there is to tell when the programs are gone; true if nothing was left behind. */
  report(): boolean {
    const { program, args, audit } = this.#options;
    this.#transcript?.write(
      this.#transcript.made.text([`program ${[program, ...args].join(" ")}`]),
    );
    if (this.drawing) this.#err(`${this.drawing.text()}\n`);
    if (this.step) this.#note(failureOf(this.step));
    const left = this.#left.report(this.#kernel);
    const [first, ...rest] = left;
    if (audit) { for (const what of left) this.#note(what); }
    else if (first !== undefined) {
      const more = rest.length === 0
        ? ""
        : ` (and ${rest.length} more: --audit lists them)`;
      this.#note(`${first}${more}`);
    }
    return left.length === 0;
  }

  #note(text: string): void {
    this.#err(`run: ${text}\n`);
  }
}

/** Which step failed, and what came of it. */
function failureOf({ failed, outcome, count }: FailingStep): string {
  if (failed === undefined) return `No step failed: there were ${count}.`;
  const { number, name, call } = failed;
  return `Step ${number}, ${name}, failed in ${call} with ${
    errnoOfStep(name)
  }: the call ${outcome === "went on" ? outcome : `returned ${outcome}`}.`;
}

/** Passes signals on; draws for SIGUSR1 if drawings were asked for. Returns what takes that back. */
function passSignals(
  program: RunningProgram,
  drawing: Drawing | undefined,
  environment: Environment,
): (() => void)[] {
  return PASSED_ON.map((signal) =>
    environment.onSignal(signal, () => {
      if (drawing !== undefined && signal === "SIGUSR1") {
        environment.err(`${drawing.text()}\n`);
        return;
      }
      const hasIt = environment.hasTerminal && FROM_TERMINAL.includes(signal);
      if (!hasIt) program.kill(signal);
    })
  );
}

/** Runs the program again and again. */
async function runSweep(
  options: Options,
  environment: Environment,
): Promise<number> {
  const stop = new AbortController();
  const forget = PASSED_ON.map((signal) =>
    environment.onSignal(signal, () => stop.abort(signal))
  );
  try {
    const { bad, left } = await sweep(
      (nth) => sweptRun(nth, options, environment, stop.signal),
      environment.out,
    );
    if (bad > 0) return EXIT_BAD_SWEEP;
    return options.audit && left > 0 ? EXIT_FAILURE : 0;
  } catch (error) {
    const { aborted, reason: signal } = stop.signal;
    if (!aborted || error !== signal) throw error;
    environment.err(`run: The sweep was ended by ${signal}.\n`);
    return 128 + signalNumber(signal);
  } finally {
    for (const each of forget) each();
  }
}

/** One run of a sweep. Throws the name of the signal that stops it. */
async function sweptRun(
  nth: number,
  options: Options,
  environment: Environment,
  stop: AbortSignal,
): Promise<SweptRun> {
  const kernel = await machineOf(options, environment);
  const step = new FailingStep(nth, options.uapi);
  const left = new LeftBehind();
  const program = await environment.start(options.program, options.args, {
    ...settingsOf(options, kernel),
    stdin: "null",
    stdout: "null",
    stderr: "null",
    faults: step.faults,
    watcher: watchers([step, left]),
  });
  const kill = () => program.kill("SIGKILL");
  stop.addEventListener("abort", kill);
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    kill();
  }, options.timeoutMs);
  const status = await program.status;
  clearTimeout(timer);
  stop.removeEventListener("abort", kill);
  stop.throwIfAborted();
  return {
    status: hung ? undefined : status,
    step,
    left: left.report(kernel),
    warnings: kernel.warnings.list,
  };
}
