// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs as text: a line for each step, to be read and written by hand.
 *
 * ```text
 * $0 = open("/dev/iommu", O_RDWR)
 * $1 = ioctl($0, IOMMU_IOAS_ALLOC, {})
 * ioctl($0, IOMMU_IOAS_MAP, {flags: READABLE, ioasId: $1.outIoasId, length: 0x1000})
 * ```
 *
 * Empty lines, and what stands behind `#`, mean nothing.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { canonical } from "./canonical.ts";
import { StepFormat } from "./format.ts";
import { StepParser } from "./parse.ts";
import { Scanner } from "./scanner.ts";

/**
 * A program as text. Read back it is the same, in its canonical form. What is
 * usual is left out: fields that are 0, the size of a struct.
 */
export function formatProgram(program: Program, uapi: RevisionName): string {
  return formatSteps(program, uapi).map((line) => `${line}\n`).join("");
}

/** The lines of a program; a step has a label if another one refers to it. */
export function formatSteps(program: Program, uapi: RevisionName): string[] {
  const steps = canonical(program);
  const used = new Set(
    steps.flatMap(({ patches = [] }) => patches.map(({ from }) => from.step)),
  );
  const format = new StepFormat(steps, uapi);
  return steps.map((step, i) =>
    `${used.has(i) ? `$${i} = ` : ""}${format.step(step)}`
  );
}

/**
 * Reads a program. Throws a {@link UsageError} that names the line and what is
 * allowed there.
 */
export function parseProgram(text: string, uapi: RevisionName): Program {
  const parser = new StepParser(uapi);
  for (const [index, content] of text.split("\n").entries()) {
    const line = new Scanner(content, index + 1);
    if (!line.isAtEnd) parser.step(line);
  }
  return canonical(parser.program);
}
