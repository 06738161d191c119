// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which ioctls and test operations tests use: measured, by running them on the
 * model, so that it cannot be wrong for a test that changed.
 *
 * @module
 */

import { IOMMU_TEST_CMD } from "../../impl/uapi/selftest.ts";
import { type RevisionName, REVISIONS } from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { WEAKER } from "../../selftests/ioctls/mock_ioctls.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { type Call, isIoctl, structOf } from "../../selftests/target/verbs.ts";
import { type Caller, TargetProcess } from "../../selftests/target/target.ts";
import { ioctlName, testOpName } from "../traces/describe_ioctl.ts";
import { TEST_OP_NAMES } from "../protocol/hello.ts";

/** The names of the ioctls and test operations that each test cannot do without, by its id. */
export type Uses = Readonly<Record<string, readonly string[]>>;

/** The operations with which nothing is left out: those that a test can do without are not asked for. */
const NEEDED_OPS = TEST_OP_NAMES.filter((name) => !(name in WEAKER));

/** Runs tests on the model and notes what they use. */
export async function measureUses(
  uapi: RevisionName,
  tests: readonly Test[],
): Promise<Uses> {
  const target = await implTarget(uapi);
  const revision = REVISIONS[uapi];
  const info = { ...target.info, testOps: NEEDED_OPS };

  function nameOf(call: Call): string {
    const number = Number(call.args[1]);
    if (number !== IOMMU_TEST_CMD) return ioctlName(number);
    const struct = structOf(call);
    return struct && testOpName(number, struct, revision) || "IOMMU_TEST_CMD";
  }

  const uses: Record<string, readonly string[]> = {};
  for (const test of tests) {
    const used = new Set<string>();
    const caller: Caller = {
      spawn: (needs) => target.spawn(needs),
      make(process, calls) {
        for (const call of calls) if (isIoctl(call)) used.add(nameOf(call));
        return target.make(process, calls);
      },
    };
    if (test.skipsItself === undefined) {
      const process = await TargetProcess.spawn(caller, test.needs);
      await test.run(process, info);
      await target.reset();
    }
    uses[test.id] = [...used].sort();
  }
  await target.close();
  return uses;
}
