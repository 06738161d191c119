// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs whose ioctls come with the bytes that lie at their argument: neither
 * memory nor what was written to it is needed for them then.
 *
 * @module
 */

import {
  type Patch,
  type Program,
  readValue,
  type Reference,
  type Step,
} from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { without } from "./steps.ts";

/** Bytes that an ioctl may look at behind its argument. */
const MOST_BYTES = 256;

/** An address: what an earlier step gave, or nothing, and a number. */
interface Address {
  readonly from: Reference | undefined;
  readonly at: bigint;
}

/** An address that is an argument. */
function addressAt(
  { call: { args }, patches = [] }: Step,
  arg: number,
): Address {
  const from = patches.find((patch) => patch.arg === arg)?.from;
  return { from, at: from ? from.plus ?? 0n : BigInt(args[arg] as number) };
}

/** How far an address is behind another one; undefined where that depends on what steps give. */
function distance(address: Address, start: Address): number | undefined {
  const [a, b] = [address.from, start.from];
  const isSame = a?.step === b?.step && a?.field?.offset === b?.field?.offset;
  return isSame ? Number(address.at - start.at) : undefined;
}

/** What steps wrote behind an address. */
interface Written {
  readonly steps: number[];
  readonly bytes: Uint8Array;
  readonly patches: Patch[];
  /** How many bytes there are up to the last one that was written. */
  readonly length: number;
}

/** What steps before one wrote to memory behind an address, which was 0. */
function writtenBefore(
  program: Program,
  index: number,
  start: Address,
): Written {
  const bytes = new Uint8Array(MOST_BYTES);
  const steps: number[] = [];
  let patches: Patch[] = [];
  let length = 0;
  for (const [i, step] of program.slice(0, index).entries()) {
    const { process, call: { verb, args } } = step;
    if (verb.name !== "poke" || process !== program[index]!.process) continue;
    const at = distance(addressAt(step, 0), start);
    const now = args[1] as Uint8Array;
    const end = (at ?? 0) + now.length;
    if (at === undefined || at < 0 || end > MOST_BYTES) continue;
    bytes.set(now, at);
    steps.push(i);
    // What was put there before is gone.
    patches = patches.filter(({ field }) =>
      field!.offset + field!.bytes <= at || field!.offset >= end
    );
    for (const { arg, field, from } of step.patches ?? []) {
      if (arg !== 1) continue;
      const { offset, bytes } = field!;
      patches.push({ arg: 2, field: { offset: at + offset, bytes }, from });
    }
    length = Math.max(length, end);
  }
  return { steps, bytes, patches, length };
}

/** How many bytes an ioctl may look at, the fewest first: a number, a text with its end, as many as they say, or many. */
function lengthsOf({ bytes, length }: Written): number[] {
  const told = Number(readValue(bytes, { offset: 0, bytes: 4 }));
  return [4 * Math.ceil(length / 4), 4 * Math.ceil((length + 1) / 4), told]
    .filter((each) => each >= length && each <= MOST_BYTES)
    .concat(MOST_BYTES);
}

/**
 * The program with the bytes of an ioctl in the place of their address: without
 * the steps that wrote them, or with those if others need them too.
 */
export function* inlined(program: Program, index: number): Generator<Program> {
  const { process, call: { verb, args }, patches = [] } = program[index]!;
  if (verb.name !== "ioctlarg") return;
  const start = addressAt(program[index]!, 2);
  if (start.from === undefined && start.at === 0n) return;
  const written = writtenBefore(program, index, start);
  const { steps, bytes } = written;
  const on = patches.filter(({ arg }) => arg === 0);
  for (const length of new Set(lengthsOf(written))) {
    const [fd, command] = args as [number, number];
    const inline = program.with(index, {
      process,
      call: call("ioctl", fd, command, bytes.slice(0, length)),
      patches: [...on, ...written.patches],
    });
    if (steps.length > 0) yield without(inline, steps);
    yield inline;
  }
}
