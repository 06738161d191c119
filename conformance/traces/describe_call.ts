// SPDX-License-Identifier: GPL-2.0-only

/**
 * Recorded calls in words, for failure reports.
 *
 * @module
 */

import { errnoName } from "../../impl/uapi/errno.ts";
import { formatNumber } from "../../impl/uapi/layout/format.ts";
import type { Ioctl } from "../../impl/uapi/ioctl.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import {
  type Argument,
  type Call,
  structOf,
} from "../../selftests/target/verbs.ts";
import type { OpenFiles } from "../api_coverage/open_files.ts";
import type { MadeCall, SentStruct } from "../reports/results.ts";
import {
  describeArg,
  describeStruct,
  ioctlName,
  ioctlNameWith,
  ioctlsOn,
} from "./describe_ioctl.ts";
import type { RecordedCalls } from "./recorded_calls.ts";

const NOT_ANSWERED = ", not answered";

/**
 * A call as it would stand in a trace, and the struct that an ioctl was given.
 * Without an index, all the calls that were made together. `files` are those
 * that were open then.
 */
export function describeCall(
  recorded: RecordedCalls,
  index: number | undefined,
  revision: Revision,
  files: OpenFiles,
): MadeCall {
  const { process, calls, results } = recorded;
  const who = process === 1 ? "" : ` in ${processName(process)}`;
  if (index === undefined) {
    return { call: `batch(${calls.length})${NOT_ANSWERED}${who}` };
  }
  const call = recorded.sent[index]!;
  const { verb, args } = call;
  const name = verb.title ?? verb.name;
  const table = ioctlsOn(files.get(process, Number(args[0]))?.kind);
  const listed = formatArguments(call, revision, table);
  const text = `${name}(${listed})${outcome(call, results?.[index])}${who}`;
  const describe = (call: Call) => {
    const bytes = structOf(call);
    return bytes && describeStruct(Number(args[1]), bytes, revision, table);
  };
  const struct = describe(call);
  if (struct === undefined) return { call: text };
  const back = recorded.answered?.[index];
  const gave = back && changes(struct, describe(back)!);
  return { call: text, struct, ...gave && { gave } };
}

/** The fields that came back as something else; undefined if none did. */
function changes(sent: SentStruct, back: SentStruct): MadeCall["gave"] {
  const changed = Object.entries(back.fields)
    .filter(([name, value]) => sent.fields[name] !== value);
  return changed.length > 0 ? Object.fromEntries(changed) : undefined;
}

/** The processes of a test count from 1: the first is its own. */
function processName(process: number): string {
  return `child ${process - 1}`;
}

/** The arguments; of a struct nothing, of other bytes their number. */
function formatArguments(
  call: Call,
  revision: Revision,
  table: readonly Ioctl[],
): string {
  const { verb, args } = call;
  const struct = structOf(call);
  return verb.args.flatMap(([, kind], i) => {
    switch (kind) {
      case "command":
        return struct
          ? ioctlNameWith(Number(args[i]), struct, revision, table)
          : ioctlName(Number(args[i]), table);
      case "struct":
      case "numbers":
        return [];
      case "process":
        return processName(Number(args[i]));
      case "u64":
        return verb.args[i - 1]?.[1] === "command"
          ? describeArg(Number(args[i - 1]), args[i] as number | bigint, table)
          : formatArgument(args[i]!);
      default:
        return formatArgument(args[i]!);
    }
  }).join(", ");
}

/** Small numbers in decimal, addresses and lengths in hexadecimal. */
function formatArgument(arg: Argument): string {
  if (typeof arg === "string") return JSON.stringify(arg);
  if (typeof arg === "object") return formatArgument(arg.length);
  return formatNumber(arg);
}

/** What came back. */
function outcome({ verb }: Call, result: number | undefined): string {
  if (result === undefined) return NOT_ANSWERED;
  if (verb.faults && result < 0) return ", memory that it does not have";
  if (verb.returns === "process") return ` = ${processName(result)}`;
  return ` = ${result < 0 ? errnoName(result) : formatArgument(result)}`;
}
