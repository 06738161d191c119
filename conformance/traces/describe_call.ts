// SPDX-License-Identifier: GPL-2.0-only

/**
 * Recorded calls in words, for failure reports.
 *
 * @module
 */

import { errnoName } from "../../impl/uapi/errno.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import { describeStruct, ioctlName, ioctlNameWith } from "./describe_ioctl.ts";
import type { MadeCall } from "../reports/results.ts";
import type { RecordedCall, Word } from "./transcript.ts";

/** Numbers from here on are addresses and lengths. */
const FIRST_HEX = 4096;

/** What people call a call, where the protocol has another name for it. */
const NAMES: Readonly<Record<string, string>> = {
  ioctlarg: "ioctl",
  memfd: "memfd_create",
  dropcap: "drop_capability",
  vmstatus: "vm_status",
  failnth: "set_fail_nth",
  failnthleft: "fail_nth_left",
};

/** Calls whose first value is no result. */
const WITHOUT_RESULT: ReadonlySet<string> = new Set([
  "batch",
  "exit",
  "fork",
  "peek",
  "pipe",
  "poke",
  "vmstatus",
]);

/** A call as it would stand in a trace, and the struct that an ioctl was given. */
export function describeCall(
  call: RecordedCall,
  revision: Revision,
): MadeCall {
  const { verb, process, args } = call;
  const name = NAMES[verb] ?? verb;
  // The processes of a test count from 1: the first is its own.
  const who = process <= 1 ? "" : ` in child ${process - 1}`;
  const text = `${name}(${formatArgs(call, revision)})${outcome(call)}${who}`;
  if (verb !== "ioctl") return { call: text };
  const [, cmd, sent] = args;
  const struct = describeStruct(Number(cmd), sent as Uint8Array, revision);
  return struct ? { call: text, struct } : { call: text };
}

/** The arguments; of a struct nothing, of other bytes their number. */
function formatArgs(
  { verb, args, batch }: RecordedCall,
  revision: Revision,
): string {
  switch (verb) {
    case "ioctl": {
      const [fd, cmd, sent] = args;
      const bytes = sent as Uint8Array;
      return `${fd}, ${ioctlNameWith(Number(cmd), bytes, revision)}`;
    }
    case "ioctlarg": {
      const [fd, cmd, arg] = args;
      return `${fd}, ${ioctlName(Number(cmd))}, ${formatArg(arg!)}`;
    }
    case "open":
      return (args[1] === O_RDWR ? args.slice(0, 1) : args)
        .map(formatArg).join(", ");
    case "batch":
      return String(batch!.length);
    default:
      return args.map(formatArg).join(", ");
  }
}

/** Small numbers in decimal, addresses and lengths in hexadecimal. */
function formatArg(arg: Word): string {
  if (typeof arg === "string") return JSON.stringify(arg);
  if (arg instanceof Uint8Array) return formatArg(arg.length);
  return arg >= FIRST_HEX ? `0x${arg.toString(16)}` : String(arg);
}

/** What came back. */
function outcome({ verb, reply }: RecordedCall): string {
  switch (reply?.kind) {
    case undefined:
    case "error":
    case "died":
      return ", not answered";
    case "fault":
      return ", memory that it does not have";
    case "ok": {
      if (WITHOUT_RESULT.has(verb)) return " = 0";
      const ret = Number(reply.values[0]);
      return ` = ${ret < 0 ? errnoName(ret) : formatArg(ret)}`;
    }
  }
}
