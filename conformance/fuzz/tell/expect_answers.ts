// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the tests that are written of findings call.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import { implTarget } from "../../../selftests/target/impl_target.ts";
import { runProgram } from "../../../selftests/target/program.ts";
import { Words } from "../../protocol/codec.ts";
import { parseOutcomes } from "../../protocol/program.ts";
import type { TargetSpec } from "../../targets/target_spec.ts";
import { compare } from "../compare/compare.ts";
import { Masks } from "../compare/masks.ts";
import type { Likeness } from "../machine/likeness.ts";
import { bytesOf } from "../program/bytes.ts";
import { parseProgram } from "../program/text.ts";
import { MACHINE } from "../run/on_model.ts";
import { checkNeeds } from "./machine.ts";

export type { Likeness };

/** What is run, and what is expected. */
export interface Expectation {
  /** What it runs on; undefined for the model. */
  readonly target: TargetSpec | undefined;
  readonly uapi: RevisionName;
  /** What the model's machine has in the place of what most have. */
  readonly machine: Likeness;
  /** What a target must have. */
  readonly needs: readonly string[];
  /** The text of the program. */
  readonly program: string;
  /** What each step comes to, in the words of the adapter protocol. */
  readonly answers: readonly string[];
  /** What is left afterwards. */
  readonly left: readonly string[];
}

/** The bytes that a text says, as in a program. */
export function bytes(text: string): Uint8Array {
  return bytesOf(text, 2 ** 16)!;
}

/** Runs the program. Rejects with an Error that says what differs first. */
export async function expectAnswers(expected: Expectation): Promise<void> {
  const { target: spec, uapi, machine, needs, left } = expected;
  const program = parseProgram(expected.program, uapi);
  const words = new Words(expected.answers.join(" ; "));
  const theirs = { outcomes: parseOutcomes(program, words), problems: left };
  const target = await (spec?.open(uapi, {}) ??
    implTarget(uapi, { ...MACHINE, ...machine }));
  try {
    checkNeeds(needs, target.info);
    const outcomes = await runProgram(target, program);
    const problems = await target.reset();
    const masks = new Masks(uapi);
    const difference = compare(
      program,
      theirs,
      { outcomes, problems },
      masks,
    );
    if (difference) {
      throw new Error(
        difference.text.replaceAll(" here", " expected")
          .replaceAll(" there", " answered"),
      );
    }
  } finally {
    await target.close();
  }
}
