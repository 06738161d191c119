// SPDX-License-Identifier: GPL-2.0-only

/**
 * Makes programs at random, a step at a time, by what the model answered to
 * the steps before.
 *
 * @module
 */

import { IOCTLS } from "../../../impl/uapi/ioctls.ts";
import type { Ioctl, IoctlStruct } from "../../../impl/uapi/ioctl.ts";
import { type Field, fieldsOf } from "../../../impl/uapi/layout/struct.ts";
import { O_RDWR } from "../../../impl/uapi/mman.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import { existsIn } from "../../../impl/uapi/revision/versions.ts";
import type { Random } from "../../../selftests/harness/random.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  type Outcome,
  type Program,
  type Step,
  StepByStep,
} from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";

/** What programs are about. */
export interface Profile {
  /** In words. */
  readonly about: string;
}

/** A program, and what it came to on the model. */
export interface Generated {
  readonly program: Program;
  readonly outcomes: readonly Outcome[];
  readonly problems: readonly string[];
}

/** How a program is made. */
export interface GenerateOptions {
  readonly model: Model;
  readonly uapi: RevisionName;
  readonly random: Random;
  /** Steps. */
  readonly length: number;
  readonly profile: Profile;
  /** Is asked before each step: false leaves it out. */
  readonly before?: (model: Model, run: StepByStep, step: Step) => boolean;
}

/** The profiles by name. */
export const PROFILES: Readonly<Record<string, Profile>> = {
  mixed: { about: "everything" },
};

const MEMORY = 0x1000_0000;
const PAGE = 4096;

/** Makes a program. */
export function generate(options: GenerateOptions): Generated {
  const { model, uapi, random, length, before } = options;
  const run = new StepByStep(model);
  const program: Step[] = [];
  function add(step: Step): void {
    if (before?.(model, run, step) === false) return;
    program.push(step);
    run.make(step);
  }
  add({ process: 0, call: call("open", "/dev/iommu", O_RDWR) });
  add({ process: 0, call: call("mmap", MEMORY, 64 * PAGE, 3, 0x32, -1, 0) });
  const rows = IOCTLS.filter((row) =>
    hasStruct(row) && existsIn(uapi, row.ioctl)
  );
  for (let i = 2; i < length; i++) {
    const row = rows[random.below(rows.length)] as IoctlStruct<object>;
    const values = fieldsOf(row).flatMap((field) =>
      field.role.kind === "size" ? [] : [[field.name, valueOf(field, random)]]
    );
    const struct = row.encode(Object.fromEntries(values));
    add({ process: 0, call: call("ioctl", 3, row.ioctl.number, struct) });
  }
  return { program, outcomes: run.outcomes, problems: model.reset() };
}

function hasStruct(row: Ioctl): boolean {
  return "fields" in row;
}

/** A value for a field. */
function valueOf({ role, type }: Field, random: Random): number | bigint {
  const small = random.below(role.kind === "pointer" ? 64 : 8);
  if (type !== "u64") return small;
  return BigInt((role.kind === "pointer" ? MEMORY : 0) + small * PAGE);
}
