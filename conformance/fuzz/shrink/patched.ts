// SPDX-License-Identifier: GPL-2.0-only

/**
 * Steps with something else in one place.
 *
 * @module
 */

import {
  type Patch,
  readValue,
  type Step,
} from "../../../selftests/target/program.ts";
import type { Argument } from "../../../selftests/target/verbs.ts";

/** Where in a step a number is: what a patch says of it. */
export type NumberPlace = Pick<Patch, "arg" | "field">;

/** A step with another argument. */
export function withArg(step: Step, index: number, arg: Argument): Step {
  const { verb, args } = step.call;
  return { ...step, call: { verb, args: args.with(index, arg) } };
}

/** The number in a place, which is 0 as far as it lies behind the end. */
export function valueAt({ call }: Step, { arg, field }: NumberPlace): bigint {
  if (field === undefined) return BigInt(call.args[arg] as number | bigint);
  return readValue(call.args[arg] as Uint8Array, field);
}

/** A step with another number in a place; what would lie behind the end is left out. */
export function withValue(
  step: Step,
  { arg, field }: NumberPlace,
  value: bigint,
): Step {
  const { verb, args } = step.call;
  if (field === undefined) {
    const isWide = verb.args[arg]![1] === "u64";
    return withArg(step, arg, isWide ? value : Number(value));
  }
  const bytes = (args[arg] as Uint8Array).slice();
  for (let i = 0; i < field.bytes && field.offset + i < bytes.length; i++) {
    bytes[field.offset + i] = Number(value >> BigInt(8 * i) & 0xffn);
  }
  return withArg(step, arg, bytes);
}

/** A step without one of its patches. */
export function withoutPatch(step: Step, patch: Patch): Step {
  const { process, call, patches = [] } = step;
  const others = patches.filter((each) => each !== patch);
  return { process, call, ...others.length > 0 && { patches: others } };
}

/** A step with a patch in the place of another one. */
export function withPatch(step: Step, patch: Patch, now: Patch): Step {
  const { patches = [] } = step;
  return {
    ...step,
    patches: patches.map((each) => each === patch ? now : each),
  };
}
