// SPDX-License-Identifier: GPL-2.0-only

/**
 * The host broken on purpose, in one place, and the test that must notice.
 *
 * @module
 */

/** A fault of one line. */
export interface HostMutant {
  /** What it is called on the command line and in the report. */
  readonly name: string;
  /** The file, from the root of the project on. */
  readonly file: string;
  /** Text that stands in the file exactly once. */
  readonly find: string;
  /** What stands there instead. */
  readonly replace: string;
  /** What a program or its user would suffer, in a sentence. */
  readonly breaks: string;
  /** The test that must fail. */
  readonly killer: Killer;
}

/** A test: its file, from the root of the project on; what is described; what it does. */
export type Killer = readonly [file: string, about: string, it: string];

/** Mutants of one file. */
export function inFile(
  file: string,
  faults: readonly Omit<HostMutant, "file">[],
): readonly HostMutant[] {
  return faults.map((fault) => ({ file, ...fault }));
}
