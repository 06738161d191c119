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

import { printable } from "../lib/printable.ts";
import type { TargetInfo } from "../../selftests/target/target.ts";
import { formatHello, PROTOCOL_VERSION } from "../protocol/hello.ts";

/** A request without its sequence number, and the reply to it. */
export interface Exchange {
  /** What was asked for. */
  readonly request: string;
  /** Undefined where none came. */
  reply: string | undefined;
}

/** Ends a transcript that does not have all calls. */
const CUT = "The recording ends here: the test made too many calls";

/** The transcript of what was asked of a target; `about` are lines for its head. */
export function formatTranscript(
  info: TargetInfo,
  exchanges: readonly Exchange[],
  about: readonly string[],
  cut: boolean,
): string {
  const hello = {
    request: `0 hello ${PROTOCOL_VERSION}`,
    reply: `ok ${formatHello(info)}`,
  };
  const lines = printable(about)
    .map((text) => `# ${text.replaceAll("\n", "\n#   ")}`);
  for (const [index, { request, reply }] of [hello, ...exchanges].entries()) {
    const sequence = index + 1;
    lines.push(
      `> ${sequence} ${request}`,
      reply === undefined ? "# no reply came" : `< ${sequence} ${reply}`,
    );
  }
  if (cut) lines.push(`# ${CUT}`);
  return lines.join("\n") + "\n";
}
