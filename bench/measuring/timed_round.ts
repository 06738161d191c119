// SPDX-License-Identifier: GPL-2.0-only

/**
 * A round of a scenario as one list of calls, for the timing loop of a target.
 *
 * @module
 */

import type { TimedCall, Timing } from "../../selftests/target/target.ts";
import { errnoName } from "../../impl/uapi/errno.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import type { Phase } from "./scenario.ts";
import type { IoctlStep, Step, SweptField } from "./steps.ts";

/** A call of the list. */
interface RoundCall {
  readonly call: TimedCall;
  /** The key of the operation that it is part of. */
  readonly key: string | undefined;
  /** What it must return. */
  readonly ret: number;
}

/** The calls of all phases, in order. */
export class TimedRound {
  readonly #calls: readonly RoundCall[];

  private constructor(calls: readonly RoundCall[]) {
    this.#calls = calls;
  }

  /** The round of these phases; undefined if a step of theirs is none of the calls that a target can time. */
  static of(phases: readonly Phase[]): TimedRound | undefined {
    const calls: RoundCall[] = [];
    for (const { measures: key, steps } of phases) {
      for (const step of steps) {
        const made = callsOf(step);
        if (made === undefined) return undefined;
        for (const { call, ret } of made) calls.push({ call, key, ret });
      }
    }
    return new TimedRound(calls);
  }

  /** The calls, with structs that nobody wrote to. */
  calls(): TimedCall[] {
    return this.#calls.map(({ call }) =>
      call.call === "ioctl" ? { ...call, arg: call.arg.slice() } : call
    );
  }

  /**
   * Nanoseconds that the calls of each operation took together. Throws an
   * Error if one did not return what it must.
   */
  sums({ nanoseconds, results }: Timing): Map<string, number> {
    const sums = new Map<string, number>();
    for (const [i, { call, key, ret }] of this.#calls.entries()) {
      const got = results[i]!;
      if (got !== ret) throw new Error(unexpected(call, got, ret));
      if (key === undefined) continue;
      sums.set(key, (sums.get(key) ?? 0) + nanoseconds[i]!);
    }
    return sums;
  }
}

type MadeCall = Omit<RoundCall, "key">;

/** The calls of a step one by one; undefined if they cannot be timed. */
function callsOf(step: Step): MadeCall[] | undefined {
  switch (step.call) {
    case "ioctl":
      return Array.from(
        { length: step.times },
        (_, i) => ({ call: repetition(step, i), ret: step.ret }),
      );
    case "ioctlArg": {
      const { fd, cmd, arg, times, ret } = step;
      const call = { call: "ioctlArg", fd, cmd, arg } as const;
      return new Array<MadeCall>(times).fill({ call, ret });
    }
    case "open": {
      const call = { call: "open", path: "/dev/iommu", flags: O_RDWR } as const;
      return [{ call, ret: step.ret }];
    }
    case "close": {
      const { fd, times, ret } = step;
      const call = { call: "close", fd } as const;
      return new Array<MadeCall>(times).fill({ call, ret });
    }
    case "read":
    case "write":
    case "fork":
      return undefined;
  }
}

/** An ioctl whose swept fields moved on `times` times. */
function repetition(
  { fd, cmd, arg, sweep }: IoctlStep,
  times: number,
): TimedCall {
  const bytes = arg.slice();
  const view = new DataView(bytes.buffer);
  for (const field of sweep) moveOn(view, field, times);
  return { call: "ioctl", fd, cmd, arg: bytes };
}

function moveOn(
  view: DataView,
  { offset, size, by }: SweptField,
  times: number,
): void {
  if (size === 8) {
    const first = view.getBigUint64(offset, true);
    view.setBigUint64(offset, first + BigInt(by * times), true);
  } else {
    view.setUint32(offset, view.getUint32(offset, true) + by * times, true);
  }
}

function unexpected(call: TimedCall, got: number, wanted: number): string {
  const what = "cmd" in call
    ? `${call.call} 0x${call.cmd.toString(16)}`
    : call.call;
  return `Cannot measure: ${what} returned ${result(got)} instead of ${
    result(wanted)
  }`;
}

function result(ret: number): string {
  return ret < 0 ? errnoName(ret) : String(ret);
}
