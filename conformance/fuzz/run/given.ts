// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that are given in files, in place of random ones.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Program } from "../../../selftests/target/program.ts";
import type { Host } from "../../lib/host.ts";
import { UsageError } from "../../lib/usage_error.ts";
import { parseProgram } from "../program/text.ts";
import { importSyzkaller } from "../syzkaller/import.ts";
import type { Sample } from "./fuzzer.ts";
import type { Ran } from "../compare/compare.ts";

/** A file with a program. */
export interface Given {
  readonly path: string;
  /** In whose words it is. */
  readonly by: "us" | "syzkaller";
}

/** Reads a program from a file. Throws {@link UsageError}. */
export function readProgram(
  { readText, err }: Pick<Host, "readText" | "err">,
  { path, by }: Given,
  uapi: RevisionName,
): Program {
  const text = readText(path);
  if (text === undefined) throw new UsageError(`There is no file "${path}".`);
  try {
    if (by === "us") return parseProgram(text, uapi);
    const { program, notes } = importSyzkaller(text, uapi);
    for (const note of notes) err(`${path}: ${note}\n`);
    return program;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`Cannot read "${path}": ${error.message}`);
  }
}

/** The program of a file, once; it may lead anywhere. */
export function givenProgram(
  program: Program,
  path: string,
  ours: (program: Program) => Ran,
): () => Promise<Sample | undefined> {
  const samples: Sample[] = [
    { program, ours: ours(program), seed: path, reached: [] },
  ];
  return () => Promise.resolve(samples.pop());
}
