// SPDX-License-Identifier: GPL-2.0-only

/**
 * Targets without some operations of the test ioctl: a test ends where it asks
 * for one of them.
 *
 * @module
 */

import { type Revision, REVISIONS } from "../../impl/uapi/revision.ts";
import { IOMMU_TEST_CMD } from "../../impl/uapi/selftest.ts";
import type { Caller, TargetInfo } from "../../selftests/target/target.ts";
import { type Call, isIoctl, structOf } from "../../selftests/target/verbs.ts";
import { testOpName } from "../traces/describe_ioctl.ts";

/** A test asked for an operation that its target does not have. */
export class LacksOperation extends Error {
  override name = "LacksOperation";

  /** `op` is undefined where the call asks for no operation at all. */
  constructor(op: string | undefined) {
    super(
      `needs the test ioctl${op === undefined ? "" : `'s operation ${op}`}`,
    );
  }
}

/** The calls of a test on a target; a call of an operation that it lacks rejects with {@link LacksOperation}. */
export function withoutLackingOps(
  caller: Caller,
  { testOps, uapi }: TargetInfo,
): Caller {
  if (testOps === undefined) return caller;
  const revision = REVISIONS[uapi as keyof typeof REVISIONS];
  return {
    spawn: (needs) => caller.spawn(needs),
    make: (process, calls) => {
      for (const call of calls) refuseLacking(call, testOps, revision);
      return caller.make(process, calls);
    },
  };
}

/** What is no operation, or none that can be read, needs a target that has some. */
function refuseLacking(
  call: Call,
  testOps: readonly string[],
  revision: Revision,
): void {
  const { args: [, cmd] } = call;
  if (!isIoctl(call) || cmd !== IOMMU_TEST_CMD) return;
  const struct = structOf(call);
  const op = struct && testOpName(IOMMU_TEST_CMD, struct, revision);
  const has = op === undefined ? testOps.length > 0 : testOps.includes(op);
  if (!has) throw new LacksOperation(op);
}
