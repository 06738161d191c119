// SPDX-License-Identifier: GPL-2.0-only

/**
 * The subcommand `check-adapter TARGET`.
 *
 * @module
 */

import { green, red, yellow } from "@std/fmt/colors";
import type { Host } from "../lib/host.ts";
import type { TargetSpec } from "../targets/target_spec.ts";
import { printable } from "../lib/printable.ts";
import { UsageError } from "../lib/usage_error.ts";
import { checkAdapter, type CheckResult } from "./check_adapter.ts";

/** Characters of a line of the protocol that are shown. */
const LINE_LENGTH = 200;

/** What `check-adapter --help` prints. */
const HELP = `Exercises an adapter verb by verb, and says what is wrong with it,
with the request in which that showed (>) and its reply (<).

Usage: deno task conformance check-adapter TARGET

  TARGET  stdio:CMD ARGS…, unix:PATH, tcp:HOST:PORT: anything that speaks the
          protocol of protocol.md

Exit codes: 0 nothing is wrong, 1 something is, 2 the command line is wrong, 3
the adapter could not be started or does not greet.
`;

/** Runs the subcommand with its arguments; resolves to the exit code. Throws {@link UsageError}. */
export async function runCheckAdapter(
  args: readonly string[],
  host: Host,
  parseTarget: (spec: string) => TargetSpec,
): Promise<number> {
  const [spec, ...more] = args;
  if (spec === "--help" || spec === "-h") {
    host.out(HELP);
    return 0;
  }
  if (spec === undefined || more.length > 0) {
    throw new UsageError(
      "check-adapter needs one target, as in check-adapter stdio:./adapter.",
    );
  }
  const { connect } = parseTarget(spec);
  if (connect === undefined) {
    throw new UsageError(
      `Target "${spec}" is no adapter: it does not speak the protocol of protocol.md.`,
    );
  }
  const counts = { ok: 0, wrong: 0, skip: 0 };
  try {
    for await (const result of checkAdapter(connect)) {
      counts[result.status]++;
      host.out(formatResult(result, host.color));
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    host.err(printable(`Cannot start target "${spec}": ${why}\n`));
    return 3;
  }
  const { ok, wrong, skip } = counts;
  host.out(`\n${ok} ok, ${wrong} wrong, ${skip} skipped\n`);
  return wrong > 0 ? 1 : 0;
}

function formatResult(
  { name, status, message, last }: CheckResult,
  color: boolean,
): string {
  const paint = { ok: green, wrong: red, skip: yellow }[status];
  const word = status.padEnd(5);
  const text = message === undefined ? name : `${name}: ${message}`;
  const lines = [`${color ? paint(word) : word}  ${text}`];
  if (last) lines.push(`       > ${shown(last.request)}`);
  if (last?.reply !== undefined) lines.push(`       < ${shown(last.reply)}`);
  return lines.join("\n") + "\n";
}

/** A line of the protocol; a long one is cut. */
function shown(line: string): string {
  const text = line.length <= LINE_LENGTH
    ? line
    : `${line.slice(0, LINE_LENGTH)}… (${line.length} characters)`;
  return printable(text);
}
