// SPDX-License-Identifier: GPL-2.0-only

/**
 * Makes a program of what a test does: addresses that the kernel chose become
 * references to the calls that gave them, everything else stays as it is.
 *
 * @module
 */

import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  type Outcome,
  outcomeOf,
  type Patch,
  type Program,
  type Reference,
  type Step,
} from "../../../selftests/target/program.ts";
import type { Target, TargetInfo } from "../../../selftests/target/target.ts";
import {
  type Argument,
  type Call,
  isSent,
} from "../../../selftests/target/verbs.ts";

/** Memory, and the step whose result it lies behind. */
interface Given {
  readonly step: number;
  /** What that step gave. */
  readonly base: number;
  readonly start: number;
  readonly length: number;
}

/** Arguments that are addresses. */
const ADDRESSES = ["ADDR", "NEWADDR", "ARG"];
/** Bytes of an address. */
const BYTES = 8;

/** A model whose calls are remembered as a program, until it is reset. */
export class ProgramRecorder implements Target {
  readonly info: TargetInfo;
  readonly #model: Model;
  readonly #steps: Step[] = [];
  readonly #outcomes: Outcome[] = [];
  readonly #given: Given[] = [];
  /** The numbers that the program has for the model's processes. */
  readonly #slots = new Map<number, number>();

  /** Nothing was done yet; `info` is what tests are told. */
  constructor(model: Model, info: TargetInfo = model.info) {
    this.info = info;
    this.#model = model;
  }

  /** What was done. */
  get recorded(): Program {
    return this.#steps;
  }

  /** What it came to. */
  get outcomes(): readonly Outcome[] {
    return this.#outcomes;
  }

  spawn(needs?: readonly string[]): Promise<number> {
    const number = this.#model.spawn(needs);
    this.#slots.set(number, 0);
    return Promise.resolve(number);
  }

  make(process: number, calls: readonly Call[]): Promise<number[]> {
    return Promise.try(() => calls.map((call) => this.#make(process, call)));
  }

  #make(process: number, call: Call): number {
    const { verb, args } = call;
    this.#steps.push({
      process: this.#slots.get(process)!,
      call: { verb, args: args.map((arg, i) => this.#kept(call, arg, i)) },
      patches: args.flatMap((arg, i) => this.#patches(call, arg, i)),
    });
    const [result] = this.#model.make(process, [call]);
    if (verb.returns === "process") this.#slots.set(result!, this.#slots.size);
    this.#outcomes.push(this.#outcomeOf(call, result!));
    const length = { mmap: args[1], mremap: args[2] }[verb.name];
    if (length !== undefined && result! >= 0) {
      this.#give(result!, Number(length));
    }
    return result!;
  }

  /** Notes memory that the last step gave: where other memory was, perhaps. */
  #give(start: number, length: number): void {
    const known = this.#givenAt(BigInt(start));
    const { step, base } = known ?? {
      step: this.#steps.length - 1,
      base: start,
    };
    this.#given.push({ step, base, start, length });
  }

  /** What a call came to, as programs have it. */
  #outcomeOf(call: Call, result: number): Outcome {
    const slot = this.#slots.get(result);
    const isSlot = call.verb.returns === "process" && slot !== undefined;
    const outcome = outcomeOf(call, isSlot ? slot : result);
    // The test goes on to write to what came back.
    return outcome.kind === "returned"
      ? { ...outcome, back: outcome.back.slice() }
      : outcome;
  }

  /** An argument as a program has it. */
  #kept({ verb }: Call, arg: Argument, i: number): Argument {
    if (verb.args[i]![1] === "process") return this.#slots.get(arg as number)!;
    return typeof arg === "object" ? arg.slice() : arg;
  }

  /** What of an argument is an address that the kernel chose. */
  #patches({ verb }: Call, arg: Argument, i: number): Patch[] {
    const [name, kind] = verb.args[i]!;
    if (ADDRESSES.includes(name)) {
      const from = this.#find(BigInt(arg as number | bigint));
      return from ? [{ arg: i, from }] : [];
    }
    return isSent(kind) ? this.#patchesIn(arg as Uint8Array, i) : [];
  }

  #patchesIn(bytes: Uint8Array, arg: number): Patch[] {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const patches: Patch[] = [];
    for (let offset = 0; offset + BYTES <= bytes.length; offset += BYTES) {
      const from = this.#find(view.getBigUint64(offset, true));
      if (from) patches.push({ arg, field: { offset, bytes: BYTES }, from });
    }
    return patches;
  }

  /** The memory that an address is in, or right behind. */
  #givenAt(address: bigint): Given | undefined {
    return this.#given.findLast(({ start, length }) =>
      address >= BigInt(start) && address <= BigInt(start + length)
    );
  }

  /** The address as one of memory that was given, if it is. */
  #find(address: bigint): Reference | undefined {
    const given = this.#givenAt(address);
    if (!given) return undefined;
    const plus = address - BigInt(given.base);
    return { step: given.step, ...plus && { plus } };
  }

  reset(): Promise<string[]> {
    return Promise.try(() => this.#model.reset());
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
