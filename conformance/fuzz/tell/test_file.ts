// SPDX-License-Identifier: GPL-2.0-only

/**
 * A finding as a `deno test`.
 *
 * @module
 */

import { formatOutcomes } from "../../protocol/program.ts";
import { formatProgram } from "../program/text.ts";
import { machineText, needsOf } from "./machine.ts";
import { aboutFinding, type Finding } from "./finding.ts";

/** Which side's answers are expected. */
export type Expected = "ours" | "theirs";

/**
 * A file that runs the program and expects the answers of one side, the
 * model's unless told: on the model, or on what `TARGET` names.
 */
export function denoTestOf(
  finding: Finding,
  expected: Expected = "ours",
): string {
  const { program, uapi, difference, machine } = finding;
  const { outcomes, problems } = finding[expected];
  const name = finding.names[expected];
  const about = aboutFinding(finding).map((line) =>
    `// ${line.replaceAll("\n", " ")}\n`
  ).join("");
  return `${about}//
// deno test -A FILE                        what the model answers
// TARGET=linux-vm:${uapi} deno test -A FILE     what a target answers
// It passes where that is what ${name} answered.

import {
  ${machine?.firmware ? "bytes, " : ""}expectAnswers,
  type Likeness,
} from ${moduleText("./expect_answers.ts")};
import { parseTarget } from ${moduleText("../../targets.ts")};

// What the model's machine has in the place of what most have.
const MACHINE: Likeness = ${machineText(machine)};

// What a target must have.
const NEEDS: string[] = ${JSON.stringify(needsOf(finding))};

const PROGRAM = ${templateText(formatProgram(program, uapi))};

// In the words of the adapter protocol.
const ANSWERS = [
${
    formatOutcomes(program, outcomes).join(" ").split(" ; ")
      .map((words) => `  ${JSON.stringify(words)},\n`).join("")
  }];

const LEFT: string[] = ${JSON.stringify(problems)};

Deno.test(${JSON.stringify(difference.text)}, async () => {
  const spec = Deno.env.get("TARGET");
  await expectAnswers({
    target: spec === undefined ? undefined : parseTarget(spec),
    uapi: ${JSON.stringify(uapi)},
    machine: MACHINE,
    needs: NEEDS,
    program: PROGRAM,
    answers: ANSWERS,
    left: LEFT,
  });
});
`;
}

function moduleText(path: string): string {
  return JSON.stringify(import.meta.resolve(path));
}

function templateText(text: string): string {
  return `\`\n${text.replace(/[\\`$]/g, "\\$&")}\``;
}
