// SPDX-License-Identifier: GPL-2.0-only

/**
 * Transcripts: the calls of one test as requests and replies of the adapter
 * protocol (protocol.md), in a text file.
 *
 * A line that begins with `>` is a request, one with `<` the reply to it, one
 * with `#` a comment; the comments at the beginning say which test it was.
 *
 * @module
 */

import { formatBytes, formatNumber, formatText } from "../protocol/codec.ts";
import { PROTOCOL_VERSION } from "../protocol/client.ts";
import type { TargetInfo } from "../../selftests/target/target.ts";

/** A word of a request or reply: a number, a text, or bytes. */
export type Word = number | bigint | string | Uint8Array;

/** What came back from a call. */
export type Reply =
  /** It was carried out. */
  | { readonly kind: "ok"; readonly values: readonly Word[] }
  /** It named memory that the process does not have. */
  | { readonly kind: "fault" }
  /** The process died in it, or the target could not carry it out. */
  | { readonly kind: "died" | "error"; readonly reason: string };

/** A call as it was made and answered. */
export interface RecordedCall {
  /** The process that made it, from 1; 0 for what was asked of the target itself. */
  readonly process: number;
  /** The protocol's name for it. */
  readonly verb: string;
  /** Its arguments. */
  readonly args: readonly Word[];
  /** The calls that a batch consists of. */
  readonly batch?: readonly RecordedCall[];
  /** What came back; undefined while it is on its way. */
  reply?: Reply;
}

/** Ends a transcript that does not have all calls. */
export const CUT = "The recording ends here: the test made too many calls";

/** The transcript of a test's calls; `about` are lines for its head. */
export function formatTranscript(
  info: TargetInfo,
  calls: readonly RecordedCall[],
  about: readonly string[],
  cut: boolean,
): string {
  const lines = about.map((line) => `# ${line.replaceAll("\n", "\n#   ")}`);
  let sequence = 1;
  lines.push(
    `> ${sequence} 0 hello ${PROTOCOL_VERSION}`,
    `< ${sequence} ok ${hello(info)}`,
  );
  for (const call of calls) {
    sequence++;
    lines.push(`> ${sequence} ${call.process} ${formatRequest(call)}`);
    if (call.reply === undefined) lines.push("# no reply came");
    else lines.push(`< ${sequence} ${formatReply(call.reply, call.batch)}`);
  }
  if (cut) lines.push(`# ${CUT}`);
  return lines.join("\n") + "\n";
}

/** The values of the reply to `hello`. */
function hello(info: TargetInfo): string {
  const { name, version, uapi, pageSize, hugePageSize, capabilities } = info;
  return [
    `protocol=${PROTOCOL_VERSION}`,
    `name=${asName(name)}`,
    `version=${asName(version)}`,
    `uapi=${uapi}`,
    `page=${pageSize}`,
    `hugepage=${hugePageSize}`,
    `capabilities=${capabilities.map(asName).join(",")}`,
  ].join(" ");
}

/** A text in the characters that a name may have. */
function asName(text: string): string {
  return text.replace(/[^\w.-]/g, "-");
}

function formatRequest({ verb, args, batch }: RecordedCall): string {
  const words = [verb, ...args.map(formatWord)];
  if (batch) words.push(batch.map(formatRequest).join(" ; "));
  return words.join(" ");
}

function formatReply(
  reply: Reply,
  batch: readonly RecordedCall[] | undefined,
): string {
  switch (reply.kind) {
    case "fault":
      return "fault";
    case "died":
    case "error":
      return `${reply.kind} ${formatText(reply.reason)}`;
    case "ok":
      return ["ok", ...batch ? batchValues(batch) : valuesOf(reply)].join(" ");
  }
}

/** The values of the calls of a batch. */
function batchValues(batch: readonly RecordedCall[]): string[] {
  return batch.flatMap(({ reply }, index) => [
    ...index > 0 ? [";"] : [],
    ...reply?.kind === "ok" ? valuesOf(reply) : ["fault"],
  ]);
}

function valuesOf({ values }: { readonly values: readonly Word[] }): string[] {
  return values.map(formatWord);
}

function formatWord(word: Word): string {
  if (typeof word === "string") return formatText(word);
  return word instanceof Uint8Array ? formatBytes(word) : formatNumber(word);
}
