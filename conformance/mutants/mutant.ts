// SPDX-License-Identifier: GPL-2.0-only

/**
 * A mutant: the model with one fault in it, and the test that must notice.
 *
 * @module
 */

import { NEWEST, type RevisionName } from "../../impl/uapi/revision.ts";

/** A fault of one line. */
export interface Mutant {
  /** What it is called on the command line and in the report. */
  readonly name: string;
  /** The file, from the root of the project on. */
  readonly file: string;
  /** Text that stands in the file exactly once. */
  readonly find: string;
  /** What stands there instead. */
  readonly replace: string;
  /** What is wrong with the model then, in a sentence. */
  readonly breaks: string;
  /** Id of the conformance test that must fail. */
  readonly killer: string;
  /** The revision in which it must fail; default the newest. */
  readonly uapi?: RevisionName;
}

/** Mutants of one file. */
export function inFile(
  file: string,
  faults: readonly Omit<Mutant, "file">[],
): readonly Mutant[] {
  return faults.map((fault) => ({ file, ...fault }));
}

/** A test in a revision. */
export interface TestName {
  /** The revision. */
  readonly uapi: RevisionName;
  /** The test's id. */
  readonly id: string;
}

/** The test that must kill a mutant. */
export function killerOf({ uapi = NEWEST, killer }: Mutant): TestName {
  return { uapi, id: killer };
}

/** A test's name for a person: the revision only where it is not the default one. */
export function describeTest({ uapi, id }: TestName): string {
  return uapi === NEWEST ? id : `${id} [${uapi}]`;
}
