// SPDX-License-Identifier: GPL-2.0-only

/**
 * A call that was made, for people: its arguments, its struct by fields as it
 * went in and came back, what it returned, and why it failed.
 *
 * @module
 */

import {
  ioctlNameOf,
  shapeOfStep,
} from "../../../conformance/fuzz/program/layout.ts";
import {
  namedText,
  namingOf,
  numberText,
} from "../../../conformance/fuzz/program/names.ts";
import { type Errno, errnoName } from "../../../impl/uapi/errno.ts";
import {
  cName,
  formatRole,
  formatValue,
} from "../../../impl/uapi/layout/format.ts";
import { fieldsOf, type Struct } from "../../../impl/uapi/layout/struct.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type {
  Outcome,
  Program,
  Step,
} from "../../../selftests/target/program.ts";
import { type Call, structOf } from "../../../selftests/target/verbs.ts";

/** A field of a struct, or an argument of a call. */
export interface ToldValue {
  /** As C has it. */
  readonly name: string;
  /** What went in. */
  readonly sent: string;
  /** What came back, where that is not what went in. */
  readonly back: string | undefined;
  /** What it means; nothing for an argument. */
  readonly meaning: string;
}

/** A call that was made. */
export interface MadeCall {
  /** Its name, with what chooses its struct: `IOMMU_IOAS_MAP`. */
  readonly name: string;
  /** Who made it, counted from 0 as in programs. */
  readonly process: number;
  /** Arguments but the struct. */
  readonly args: readonly ToldValue[];
  /** The name of the struct in C; undefined without one. */
  readonly struct: string | undefined;
  /** The fields that the struct has in this revision. */
  readonly fields: readonly ToldValue[];
  /** What it returned, as `0` or `EINVAL`, or how it ended. */
  readonly result: string;
  /** Whether that is an error. */
  readonly isFailed: boolean;
  /** Why it failed. */
  readonly why: string | undefined;
}

/** A step that was made. */
interface Made {
  readonly program: Program;
  readonly step: Step;
  /** As it was made: with all values in their places, where there was a process. */
  readonly before: Call;
  readonly outcome: Outcome;
  /** What the kernel threw, if it did. */
  readonly errno: Errno | undefined;
}

/** Tells a step. */
export function tellCall(
  { program, step, before: call, outcome, errno }: Made,
  uapi: RevisionName,
): MadeCall {
  const resolved: Step = { ...step, call };
  const shape = shapeOfStep(program, resolved, uapi);
  const sent = structOf(call);
  const back = outcome.kind === "returned" ? outcome.back : undefined;
  return {
    name: shape?.name ?? nameOf(program, resolved),
    process: step.process,
    args: argumentsOf(call, back),
    struct: shape?.layout.name,
    fields: shape && sent ? fieldsIn(shape.layout, sent, back ?? sent) : [],
    ...resultOf(call, outcome, errno),
  };
}

function nameOf(program: Program, step: Step): string {
  const { verb, args } = step.call;
  const command = verb.args.findIndex(([, kind]) => kind === "command");
  const plain = verb.title ?? verb.name;
  if (command < 0) return plain;
  return ioctlNameOf(Number(args[command]), program, step) ?? plain;
}

function argumentsOf(
  { verb, args }: Call,
  back: Uint8Array | undefined,
): ToldValue[] {
  return verb.args.flatMap(([name, kind], i) => {
    const told = (sent: string, back?: string) => ({
      name: name.toLowerCase(),
      sent,
      back,
      meaning: "",
    });
    const arg = args[i]!;
    switch (kind) {
      case "command":
      case "struct":
        return [];
      case "text":
        return told(JSON.stringify(arg));
      case "process":
        return told(`P${arg}`);
      case "numbers":
        return numbersIn(name, back);
      case "bytes":
        return told(hexOf(arg as Uint8Array));
      case "into":
        return told(
          `${(arg as Uint8Array).length} bytes`,
          back && hexOf(back),
        );
      default: {
        const naming = namingOf(verb.name, name);
        const value = arg as number | bigint;
        return told(naming ? namedText(value, naming) : numberText(value));
      }
    }
  });
}

/** Numbers that came back, by their names. */
function numbersIn(names: string, back: Uint8Array | undefined): ToldValue[] {
  const view = back && new DataView(back.buffer, back.byteOffset);
  return names.toLowerCase().split(" ").map((name, i) => ({
    name,
    sent: "",
    back: view && String(view.getBigInt64(8 * i, true)),
    meaning: "",
  }));
}

/** Bytes that are told; of more, the first ones. */
const MAX_BYTES = 32;

function hexOf(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, MAX_BYTES).toHex().replaceAll(/../g, "$& ");
  return bytes.length > MAX_BYTES
    ? `${shown}… ${bytes.length} bytes`
    : shown.trim();
}

/** The fields that lie in the bytes. */
function fieldsIn(
  layout: Struct<object>,
  sent: Uint8Array,
  back: Uint8Array,
): ToldValue[] {
  const [before, after] = [sent, back].map((bytes) => {
    const whole = new Uint8Array(Math.max(layout.size, bytes.length));
    whole.set(bytes);
    return layout.decode(whole) as Record<string, number | bigint>;
  });
  return fieldsOf(layout)
    .filter(({ offset }) => offset < sent.length)
    .map((field) => {
      const [old, now] = [before![field.name]!, after![field.name]!];
      return {
        name: cName(field.name),
        sent: formatValue(field, old),
        back: now === old ? undefined : formatValue(field, now),
        meaning: formatRole(field),
      };
    });
}

function resultOf(
  { verb }: Call,
  outcome: Outcome,
  errno: Errno | undefined,
): Pick<MadeCall, "result" | "isFailed" | "why"> {
  switch (outcome.kind) {
    case "fault":
      return {
        result: "EFAULT",
        isFailed: true,
        why: "the process does not have this memory, or may not touch it",
      };
    case "died":
      return { result: "died", isFailed: true, why: outcome.reason };
    case "gone":
      return {
        result: "not made",
        isFailed: true,
        why: "there is no such process at this point",
      };
    case "returned": {
      const { result } = outcome;
      if (result < 0) {
        const why = errno?.code === -result ? errno.why() : undefined;
        return { result: errnoName(result), isFailed: true, why };
      }
      const text = verb.returns === "process"
        ? `P${result}`
        : numberText(result);
      return { result: text, isFailed: false, why: undefined };
    }
  }
}
