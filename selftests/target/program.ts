// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs of system calls as data: calls of several processes, in which what
 * an earlier call gave takes the place of a number. A program is carried out
 * whole, whatever its calls come to.
 *
 * @module
 */

import { EFAULT } from "../../impl/uapi/errno.ts";
import type { Caller, Target } from "./target.ts";
import { ProcessDied } from "./target_failure.ts";
import type { Argument, Call, Kind } from "./verbs.ts";

/** A value that an earlier step gave. It is 0 where that step gave no such bytes. */
export interface Reference {
  /** Which step, from 0. */
  readonly step: number;
  /** Where the value lies in what came back; the result, where this is undefined. */
  readonly field?: { readonly offset: number; readonly bytes: 1 | 2 | 4 | 8 };
  /** What is added to it, as in an address behind another one. */
  readonly plus?: bigint;
}

/** A value that is put into an argument. */
export interface Patch {
  /** The argument's place in the call. */
  readonly arg: number;
  /** Where in bytes it goes; the whole argument, a number, where this is undefined. */
  readonly field?: { readonly offset: number; readonly bytes: 1 | 2 | 4 | 8 };
  /** Where it comes from. */
  readonly from: Reference;
}

/** A call of a program. */
export interface Step {
  /**
   * The process that makes it. The first is 0, each `fork` makes the next one,
   * even if it fails. An argument that names a process holds such a number too.
   */
  readonly process: number;
  /** What is called, with 0 or anything in the place of what is patched. */
  readonly call: Call;
  /** What is put in first; absent for nothing. */
  readonly patches?: readonly Patch[];
}

/** The steps of a program. */
export type Program = readonly Step[];

/** What a step came to. */
export type Outcome =
  | {
    readonly kind: "returned";
    /** What the call returned; 0 where it returns nothing. Of a `fork`, the number that programs have for the process. */
    readonly result: number;
    /** What came back: the struct, what was read, numbers of 8 bytes each. */
    readonly back: Uint8Array;
  }
  /** The process may not touch the memory that a peek or poke named. */
  | { readonly kind: "fault" }
  /** It ended over the call, or has ended like this before. */
  | { readonly kind: "died"; readonly reason: string }
  /** There never was such a process, or it has exited. */
  | { readonly kind: "gone" };

/** What a call came to that was made. */
export type Made = Extract<Outcome, { kind: "returned" | "fault" }>;

const NOTHING = new Uint8Array(0);
const GONE: Outcome = { kind: "gone" };
const FAULT: Made = { kind: "fault" };

/** The number that lies in bytes, little-endian; what would be behind their end is 0. */
export function readValue(
  from: Uint8Array,
  { offset, bytes }: { readonly offset: number; readonly bytes: number },
): bigint {
  let value = 0n;
  for (let i = bytes - 1; i >= 0; i--) {
    value = value << 8n | BigInt(from[offset + i] ?? 0);
  }
  return value;
}

/** The value of a reference, as 64 bits. */
function valueOf(
  { step, field, plus = 0n }: Reference,
  outcomes: readonly Outcome[],
): bigint {
  const outcome = outcomes[step];
  if (outcome?.kind !== "returned") return plus;
  const value = field ? readValue(outcome.back, field) : BigInt(outcome.result);
  return wrapped(value + plus);
}

/** A value within 64 bits, signed or unsigned. */
function wrapped(value: bigint): bigint {
  const isWithin = value < 0n ? value >> 63n === -1n : value >> 64n === 0n;
  return isWithin ? value : BigInt.asUintN(64, value);
}

/** Writes the lowest bytes of a value; what would lie behind the end is left out. */
function put(
  into: Uint8Array,
  { offset, bytes }: NonNullable<Patch["field"]>,
  value: bigint,
): void {
  for (let i = 0; i < bytes && offset + i < into.length; i++) {
    into[offset + i] = Number(value >> BigInt(8 * i) & 0xffn);
  }
}

/** A call with arguments of its own, which it may write to. */
export function fresh({ verb, args }: Call): Call & { args: Argument[] } {
  const copies = args.map((arg) => typeof arg === "object" ? arg.slice() : arg);
  return { verb, args: copies };
}

/** A value as an argument of a kind takes it. */
function asArgument(kind: Kind, value: bigint): Argument {
  return kind === "u64" ? BigInt.asUintN(64, value) : Number(value);
}

/** The call of a step with all values in their places; its arguments are its own. */
export function resolve(
  { call, patches = [] }: Step,
  outcomes: readonly Outcome[],
): Call & { args: Argument[] } {
  const { verb, args } = fresh(call);
  for (const { arg, field, from } of patches) {
    const value = valueOf(from, outcomes);
    if (field) put(args[arg] as Uint8Array, field, value);
    else args[arg] = asArgument(verb.args[arg]![1], value);
  }
  return { verb, args };
}

/** What a call gave, of which the arguments are as it left them. */
export function outcomeOf({ verb, args }: Call, result: number): Made {
  if (verb.faults && result === -EFAULT.code) return FAULT;
  const parts: Uint8Array[] = [];
  for (const [i, [, kind]] of verb.args.entries()) {
    if (kind === "struct") parts.push(args[i] as Uint8Array);
    if (kind === "numbers") parts.push(bytesOf(args[i] as number[]));
    if (kind === "into") {
      const read = verb.returns ? Math.max(result, 0) : undefined;
      parts.push((args[i] as Uint8Array).subarray(0, read));
    }
  }
  return { kind: "returned", result, back: joined(parts) };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length <= 1) return parts[0] ?? NOTHING;
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function bytesOf(numbers: readonly number[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer);
}

/** The processes of a program that is being carried out, and what its steps came to. */
class Run {
  readonly outcomes: Outcome[] = [];
  /** The target's numbers; how one ended that is no more; undefined for one that never was. */
  readonly #processes: (number | Outcome | undefined)[];
  /** The call of the next step, where somebody wanted to know it already. */
  #next: { step: Step; call: Call & { args: Argument[] } } | undefined;

  constructor(first: number) {
    this.#processes = [first];
  }

  /** The process that makes a step, and its call; how it ended, where there is none. */
  begin(step: Step): { number: number; call: Call } | Outcome {
    const number = this.#processes[step.process] ?? GONE;
    if (typeof number !== "number") return this.#gone(step, number);
    const call = this.#resolve(step);
    for (const [i, [, kind]] of call.verb.args.entries()) {
      if (kind !== "process") continue;
      const other = this.#processes[call.args[i] as number] ?? GONE;
      if (typeof other !== "number") return this.#gone(step, GONE);
      call.args[i] = other;
    }
    return { number, call };
  }

  /** The target's number of a process; undefined where there is none. */
  numberOf(process: number): number | undefined {
    const number = this.#processes[process];
    return typeof number === "number" ? number : undefined;
  }

  /** The same as `begin`, and nothing is noted; undefined where there is no such process. */
  resolved(step: Step): { number: number; call: Call } | undefined {
    const number = this.numberOf(step.process);
    return number === undefined
      ? undefined
      : { number, call: this.#resolve(step) };
  }

  #resolve(step: Step): Call & { args: Argument[] } {
    if (this.#next?.step !== step) {
      this.#next = { step, call: resolve(step, this.outcomes) };
    }
    return this.#next.call;
  }

  /** Notes what it gave. */
  returned(step: Step, call: Call, result: number): Outcome {
    const { verb } = call;
    if (verb.returns === "process") {
      this.#processes.push(result);
      result = this.#processes.length - 1;
    }
    if (verb.ends) this.#processes[step.process] = GONE;
    return this.#note(outcomeOf(call, result));
  }

  /** Notes that the process ended over a step. */
  died(step: Step, reason: string): Outcome {
    const died: Outcome = { kind: "died", reason };
    this.#processes[step.process] = died;
    return this.#gone(step, died);
  }

  #gone({ call: { verb } }: Step, outcome: Outcome): Outcome {
    if (verb.returns === "process") this.#processes.push(undefined);
    return this.#note(outcome);
  }

  #note(outcome: Outcome): Outcome {
    this.#next = undefined;
    this.outcomes.push(outcome);
    return outcome;
  }
}

/** Something that makes calls at once: the model. */
interface Machine {
  spawn(needs?: readonly string[]): number;
  make(process: number, calls: readonly Call[]): number[];
}

/** A program on the model, a step at a time: for who decides on the next step by what the last one gave. */
export class StepByStep {
  readonly #machine: Machine;
  readonly #run: Run;

  /** Makes the first process. */
  constructor(machine: Machine) {
    this.#machine = machine;
    this.#run = new Run(machine.spawn());
  }

  /** What the steps came to so far. */
  get outcomes(): readonly Outcome[] {
    return this.#run.outcomes;
  }

  /** The machine's number of a process of the program; undefined where there is none. */
  numberOf(process: number): number | undefined {
    return this.#run.numberOf(process);
  }

  /**
   * The machine's number of the process that would make a step, and its call;
   * undefined where there is none. The bytes of the call are those that
   * {@link make} makes it with, and changes.
   */
  resolved(step: Step): { number: number; call: Call } | undefined {
    return this.#run.resolved(step);
  }

  /** Carries out the next step. */
  make(step: Step): Outcome {
    const begun = this.#run.begin(step);
    if ("kind" in begun) return begun;
    const { number, call } = begun;
    const [result] = this.#machine.make(number, [call]);
    return this.#run.returned(step, call, result!);
  }
}

/** Carries a program out on the model. */
export function runAtOnce(machine: Machine, program: Program): Outcome[] {
  const run = new StepByStep(machine);
  return program.map((step) => run.make(step));
}

/** Carries a program out call by call, on a target that does not take it whole. */
async function runCallByCall(
  target: Caller,
  program: Program,
): Promise<Outcome[]> {
  const run = new Run(await target.spawn());
  for (const step of program) {
    const begun = run.begin(step);
    if ("kind" in begun) continue;
    const { number, call } = begun;
    try {
      const [result] = await target.make(number, [call]);
      run.returned(step, call, result!);
    } catch (error) {
      if (!(error instanceof ProcessDied)) throw error;
      run.died(step, error.reason);
    }
  }
  return run.outcomes;
}

/** Carries a program out on a target: whole if it can, or call by call. */
export function runProgram(
  target: Target,
  program: Program,
): Promise<Outcome[]> {
  return target.program?.(program) ?? runCallByCall(target, program);
}
