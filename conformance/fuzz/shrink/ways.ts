// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that do as much in another way, of which something may be left out
 * then: the same steps in another order, and by another device file.
 *
 * @module
 */

import type { Program } from "../../../selftests/target/program.ts";
import { withArg } from "./patched.ts";
import { movedTo } from "./steps.ts";

/** The other ways. */
export function* otherWays(program: Program): Generator<Program> {
  yield* otherFiles(program);
  // What differs is in the last step: another one is last, or right before it.
  for (const place of [program.length - 1, program.length - 2]) {
    for (let i = place - 1; i >= 0; i--) {
      const other = movedTo(program, i, place);
      if (other) yield other;
    }
  }
}

/** Files that answer the same ioctls: those of the second charge processes, without an option that says so. */
const FILES = ["/dev/iommu", "/dev/vfio/vfio"];

/** The program with the other file in the place of one that is opened. */
function* otherFiles(program: Program): Generator<Program> {
  for (const [i, step] of program.entries()) {
    const [path] = step.call.args;
    if (step.call.verb.name !== "open" || !FILES.includes(String(path))) {
      continue;
    }
    for (const file of FILES.filter((each) => each !== path)) {
      yield program.with(i, withArg(step, 0, file));
    }
  }
}
