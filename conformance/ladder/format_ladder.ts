// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ladder as text for people.
 *
 * @module
 */

import { bold, dim, green, red, stripAnsiCode, yellow } from "@std/fmt/colors";
import { causesOf } from "../reports/causes.ts";
import type { Commands } from "../reports/failure_facts.ts";
import type { Column } from "../reports/results.ts";
import { skipReasons } from "../reports/results.ts";
import { implementation, oneLine, otherWays } from "../reports/summary.ts";
import { countsOf, isDone, type Rung } from "./climb.ts";

/** Causes of failures that are told. */
const MOST_CAUSES = 8;
/** Tests that are named as those that a step unlocks. */
const NAMED = 6;
/** Characters of a line. */
const LINE_LENGTH = 80;

/** How far a target is: a line for each step, and what to write next. */
export function formatLadder(
  column: Omit<Column, "results">,
  rungs: readonly Rung[],
  commands: Commands,
  color: boolean,
): string {
  const here = rungs.findIndex((rung) => !isDone(rung));
  const lines = [
    bold(
      `${column.spec}: ${
        implementation({ ...column, results: [] })
      }, uAPI ${column.uapi}`,
    ),
    "",
    ...table(rungs, here),
    "",
    ...here < 0
      ? [green("Every step is there.")]
      : hereLines(column, rungs[here]!, commands),
  ];
  const text = lines.join("\n") + "\n";
  return color ? text : stripAnsiCode(text);
}

function table(rungs: readonly Rung[], here: number): string[] {
  const width = Math.max(...rungs.map(({ step }) => step.name.length));
  return rungs.map((rung, index) => {
    const { step, tests } = rung;
    const counts = countsOf(rung);
    const number = String(index + 1).padStart(2);
    const name = step.name.padEnd(width);
    const of = `of ${String(tests.length).padStart(4)}`;
    if (counts === undefined) return dim(`   ${number}  ${name}     - ${of}`);
    const more = otherWays(counts).join(", ");
    const passed = String(counts.pass).padStart(4);
    const line = `${number}  ${name}  ${passed} ${of}${more && `  ${more}`}`;
    if (index === here) return red(`-> ${line}  <- you are here`);
    return `   ${isDone(rung) ? green(line) : yellow(line)}`;
  });
}

/** What is to be done on a step. */
function hereLines(
  column: Omit<Column, "results">,
  { step, results = [], tests }: Rung,
  commands: Commands,
): string[] {
  const { pass } = countsOf({ step, results, tests })!;
  const causes = causesOf({ columns: [{ ...column, results }] });
  const failed = causes.slice(0, MOST_CAUSES).flatMap(({ first, others }) => {
    const { id, message, failure } = first.result;
    const more = others.length > 0 ? `, and ${others.length} like it` : "";
    const where = failure?.where === undefined ? "" : ` (${failure.where})`;
    return [
      `  ${oneLine(message!)}${where}`,
      dim(`    ${id}${more}`),
    ];
  });
  const left = causes.length - MOST_CAUSES;
  const skipped = skipReasons(results)
    .map(([reason, times]) => yellow(`  ${times} skipped: ${reason}`));
  const [first] = causes;
  return [
    bold(
      `You are at "${step.name}": ${pass} of its ${tests.length} tests pass.`,
    ),
    ...fact("next", step.next),
    ...step.ioctls.length > 0 ? fact("ioctls", step.ioctls.join(", ")) : [],
    ...step.ops.length > 0 ? fact("test ops", step.ops.join(", ")) : [],
    ...step.capabilities.length > 0
      ? fact(
        "name",
        `${
          step.capabilities.join(", ")
        } among the capabilities, once it is there`,
      )
      : [],
    ...fact("see", step.where),
    ...fact("unlocks", named(tests.map(({ id }) => id))),
    ...failed.length > 0 ? ["", bold("What fails there"), ...failed] : [],
    ...left > 0 ? [`  and ${left} other causes`] : [],
    ...skipped,
    ...first
      ? ["", `Run one: ${commands.rerun(column.spec, first.first.result)}`]
      : [],
  ];
}

function named(ids: readonly string[]): string {
  const left = ids.length - NAMED;
  const more = left > 0 ? `, and ${left} more` : "";
  return ids.slice(0, NAMED).join(", ") + more;
}

/** A name, and words in lines that fit. */
function fact(name: string, text: string): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && 12 + line.length + word.length > LINE_LENGTH) {
      lines.push(word);
    } else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.map((line, index) =>
    `  ${dim((index === 0 ? name : "").padEnd(8))}  ${line}`
  );
}
