// SPDX-License-Identifier: GPL-2.0-only

/**
 * What there is to tell about a failure, as names and values, for the reports
 * that show it to a person.
 *
 * @module
 */

import { RULES } from "../../selftests/rules/rules.ts";
import { type MadeCall, otherProblems, type TestResult } from "./results.ts";
import { runsPhrase } from "./summary.ts";

/** The commands that a report can tell a person. */
export interface Commands {
  /** Runs just that test on that target again. */
  rerun(spec: string, result: TestResult): string;
  /** Plays a transcript back. */
  replay(path: string): string;
}

/** A name of a few letters, and what it stands for. */
export type Fact = readonly [name: string, value: string];

/** The facts about a failed test of a target, but for the message, the stack and the transcript's text. */
export function failureFacts(
  spec: string,
  result: TestResult,
  commands: Commands,
): Fact[] {
  const { failure, expected, transcript } = result;
  const facts: Fact[] = result.rules.map((
    code,
  ) => ["rule", `${code}: ${RULES[code].says}`]);
  if (expected) {
    facts.push(["reason", expected.reason], ["link", expected.link]);
  }
  if (failure?.assertion !== undefined) {
    facts.push(
      ["checked", failure.assertion],
      ["expected", failure.expected!],
      ["actual", failure.actual!],
    );
  }
  if (failure?.where !== undefined) facts.push(["where", failure.where]);
  if (failure?.lastCall) {
    facts.push(...callFacts(failure.lastCall, "call"));
  }
  if (failure?.lastIoctl) facts.push(...callFacts(failure.lastIoctl, "ioctl"));
  if (failure?.before) {
    facts.push(["before", failure.before.map(callLine).join("\n")]);
  }
  for (const problem of otherProblems(result)) facts.push(["left", problem]);
  if (failure?.stderr !== undefined) {
    facts.push(["stderr", failure.stderr.trimEnd()]);
  }
  const runs = runsPhrase(result);
  if (runs !== undefined) facts.push(["runs", runs]);
  facts.push(["rerun", commands.rerun(spec, result)]);
  if (transcript?.path !== undefined) {
    facts.push(
      ["calls", transcript.path],
      ["replay", commands.replay(transcript.path)],
    );
  }
  return facts;
}

/** A call with its number in the transcript, and its struct. */
function callFacts(
  { call, struct, gave, request }: MadeCall,
  name: string,
): Fact[] {
  return [
    [request === undefined ? name : `${name} ${request}`, call],
    ...struct
      ? [["struct", `${struct.name} ${inBraces(struct.fields)}`]] as const
      : [],
    ...gave ? [["gave", inBraces(gave)]] as const : [],
  ];
}

/** The same in a line. */
function callLine({ call, struct, gave, request }: MadeCall): string {
  return [
    ...request === undefined ? [] : [`${request} `],
    call,
    ...struct ? [inBraces(struct.fields)] : [],
    ...gave ? [`gave ${inBraces(gave)}`] : [],
  ].join(" ");
}

function inBraces(fields: Readonly<Record<string, string>>): string {
  const parts = Object.entries(fields)
    .map(([field, value]) => `${field} ${value}`);
  return `{ ${parts.join(", ")} }`;
}
