// SPDX-License-Identifier: GPL-2.0-only

/**
 * A finding as a program in C, without dependencies.
 *
 * @module
 */

import { errnoName } from "../../../impl/uapi/errno.ts";
import { cName } from "../../../impl/uapi/layout/format.ts";
import { fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import {
  type Outcome,
  type Program,
  readValue,
  type Step,
} from "../../../selftests/target/program.ts";
import type { Verb } from "../../../selftests/target/verbs.ts";
import { stepName } from "../compare/compare.ts";
import { MASKS } from "../compare/masks.ts";
import { canonical } from "../program/canonical.ts";
import { placeOf, placesBack, shapeOfStep } from "../program/layout.ts";
import { formatSteps } from "../program/text.ts";
import { bytesOfC, callOf, MOST_AT_LEAST } from "./c_calls.ts";
import { C_AFTER, C_BEFORE } from "./c_runtime.ts";
import type { Expected } from "./test_file.ts";
import { runOptions } from "./machine.ts";
import { aboutFinding, type Finding } from "./finding.ts";

/**
 * The program: it makes the calls, prints each answer that is not the one of
 * that side (the model, unless told), and exits with 1 if there is any. A
 * program that runs itself anew cannot be told in C.
 */
export function cProgramOf(
  finding: Finding,
  expected: Expected = "ours",
): string {
  const { uapi, names } = finding;
  const program = canonical(finding.program);
  const { outcomes } = finding[expected];
  const lines = formatSteps(program, uapi);
  const steps = program.map((step, i) =>
    [
      `/* ${asComment(lines[i]!)} */`,
      callOf(step, i),
      checkOf(finding, program, i, outcomes[i]),
    ].join("\n")
  );
  const table = program.map((_, i) => rowOf(finding, program, i, outcomes[i]));
  const processes = 1 +
    program.filter(({ call: { verb } }) => verb.name === "fork").length;
  const numbers = program.flatMap(({ process, call }) => [
    process,
    ...call.verb.args.flatMap(([, kind], i) =>
      kind === "process" ? [Number(call.args[i])] : []
    ),
  ]);
  const about = aboutFinding(finding)
    .map((line) => ` * ${asComment(line)}\n`).join("");
  return `/*
${about} * Build it with: gcc -Wall -Wextra -o finding FILE
 * and run it as root, or by: deno task run --uapi ${uapi} ${
    runOptions(finding)
  } -- ./finding
 * It exits with 1 unless all answers are those of ${
    asComment(names[expected])
  }.
 */
#define STEPS ${program.length}
#define PROCESSES ${Math.max(processes, ...numbers.map((each) => each + 1))}
#define MOST ${mostBytes(program)}
${C_BEFORE}
${steps.join("\n\n")}

static const struct {
	const char *name;
	int process;
	int forks;
	int exits;
	void (*make)(int step);
	enum kind kind;
	void (*check)(int step);
} steps[STEPS] = {
${table.join("\n")}
};
${C_AFTER}`;
}

/** The most bytes that a call reads or writes. */
function mostBytes(program: Program): number {
  const lengths = program.flatMap(({ call: { args } }) =>
    args.map((arg) => arg instanceof Uint8Array ? arg.length : 0)
  );
  return Math.max(MOST_AT_LEAST, ...lengths);
}

function asComment(text: string): string {
  return text.replaceAll("*/", "* /").replaceAll("\n", " ");
}

function rowOf(
  { uapi }: Finding,
  program: Program,
  index: number,
  outcome: Outcome | undefined,
): string {
  const step = program[index]!;
  const { process, call: { verb } } = step;
  const { name, ends }: Verb = verb;
  const kind = (outcome?.kind ?? "returned").toUpperCase();
  return `\t{ ${JSON.stringify(stepName(program, step, uapi))}, ${process}, ${
    name === "fork" ? 1 : 0
  }, ${ends ? 1 : 0}, step_${index}, ${kind}, check_${index} },`;
}

/** The function that looks at what a step gave. */
function checkOf(
  { uapi }: Finding,
  program: Program,
  index: number,
  outcome: Outcome | undefined,
): string {
  const step = program[index]!;
  const name = JSON.stringify(stepName(program, step, uapi));
  const lines: string[] = [];
  if (outcome?.kind === "returned") {
    const { result, back } = outcome;
    const modulo = MASKS.map((mask) => mask.resultModulo?.(step.call))
      .find((each) => each !== undefined);
    const text = result < 0 ? errnoName(result) : `0x${result.toString(16)}`;
    lines.push(
      `expect(step, ${name}, ${result}, ${JSON.stringify(text)}, ${
        modulo ?? `INT64_MAX`
      });`,
      ...checksOfBack(program, step, uapi, back, name),
    );
  }
  const body = lines.length > 0 ? lines : ["(void)step;"];
  return `static void check_${index}(int step)\n{\n${
    body.map((line) => `\t${line}\n`).join("")
  }}`;
}

/** Looks at fields by name where they tell all, else at bytes. */
function checksOfBack(
  program: Program,
  step: Step,
  uapi: Finding["uapi"],
  back: Uint8Array,
  name: string,
): string[] {
  if (back.length === 0) return [];
  const shape = shapeOfStep(program, step, uapi);
  const places = shape
    ? fieldsOf(shape.layout).map((field) => ({
      ...placeOf(shape.layout, field),
      name: cName(field.name),
    }))
    : placesBack(program, step, uapi);
  const whole = places.filter(({ offset, bytes }) =>
    offset + bytes <= back.length
  );
  const index = program.indexOf(step);
  const masked = MASKS.flatMap((mask) => mask.placesIn?.(program, index) ?? []);
  const isHidden = (at: number) =>
    masked.some(({ offset, bytes }) => at >= offset && at < offset + bytes);
  const told = new Set(
    whole.flatMap(({ offset, bytes }) =>
      Array.from({ length: bytes }, (_, i) => offset + i)
    ),
  );
  if (told.size < back.length && masked.length === 0) {
    return [
      `static const unsigned char expected[] = ${bytesOfC(back)};`,
      `expect_bytes(step, ${name}, expected, ${back.length});`,
    ];
  }
  return whole.filter(({ offset }) => !isHidden(offset)).map((place) =>
    `expect_field(step, ${name}, "${place.name}", ${place.offset}, ${place.bytes}, 0x${
      readValue(back, place).toString(16)
    });`
  );
}
