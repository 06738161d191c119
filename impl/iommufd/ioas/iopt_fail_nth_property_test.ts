// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random sequences of ioctls against the naive model, with a step of each ioctl
 * made to fail. If the ioctl fails the model stays as it is, and so must the
 * kernel; then the same ioctl, without a failure, does what the model says.
 *
 * As in Linux an ioctl may go on although a step of it failed: a second attempt
 * is made for some memory, a smaller buffer taken. And where the answer is all
 * that failed, the work may be done: unmapped memory stays unmapped. A mock
 * device that a failure left without an IOMMU is another kind: it is given back.
 */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { EFAULT, errnoName } from "../../uapi/errno.ts";
import { IOMMU_DESTROY, IommuDestroy } from "../../uapi/iommufd.ts";
import { REVISION_NAMES, type RevisionName } from "../../uapi/revision.ts";
import { anyStep, IoptRun, type Step } from "../testing/iopt_run.ts";
import {
  baseSetting,
  type ModelCall,
  type ModelResult,
  type Setting,
} from "../testing/iopt_state.ts";
import { SelftestDevice } from "../selftest/selftest_device.ts";

/**
 * Errnos that a step which is made to fail ends in. EADDRINUSE is what a mock
 * device without an IOMMU may get: its domain has no pages as small.
 */
const INJECTED = [
  "ENOMEM",
  "EFAULT",
  "ENOENT",
  "EINVAL",
  "ENODEV",
  "EADDRINUSE",
];

/** How calls ended in which a step failed. */
interface Outcomes {
  /** With an errno, and nothing changed. */
  undone: number;
  /** With EFAULT, all done but the answer. */
  unanswered: number;
  /** As if no step had failed. */
  survived: number;
}

/** A run in which a step of each call is made to fail. */
class FailingRun extends IoptRun {
  /** Which step of the next calls fails. */
  nth = 0;
  readonly #outcomes: Outcomes;

  constructor(setting: Setting, outcomes: Outcomes) {
    super(setting);
    this.#outcomes = outcomes;
  }

  protected override perform<T>(call: ModelCall<T>): ModelResult<T> {
    const { process } = this;
    process.setFailNth(this.nth);
    const ret = call.issue();
    const hit = process.failNthLeft() === 0;
    process.setFailNth(0);
    // Of other errnos the failure is not the reason: the model must know it.
    const failed = ret < 0 && INJECTED.includes(errnoName(ret));
    if (hit && this.#givesOthersBack()) return super.perform(call);
    if (!hit || !failed) {
      if (hit) this.#outcomes.survived++;
      return this.compare(call, ret);
    }
    if (this.#isUnchanged()) this.#outcomes.undone++;
    else this.#followUnanswered(call, ret);
    return super.perform(call);
  }

  /** Destroys devices without an IOMMU; whether there was one. */
  #givesOthersBack(): boolean {
    for (const object of this.ctx.objects) {
      if (!(object instanceof SelftestDevice) || object.idev.dev.group) {
        continue;
      }
      const cmd = IommuDestroy.encode({ id: object.id });
      assertEquals(this.ioctl(IOMMU_DESTROY, cmd), 0);
      return true;
    }
    return false;
  }

  /** Whether the kernel is still as the model is. */
  #isUnchanged(): boolean {
    const { list } = this.kernel.warnings;
    assertEquals(list, []);
    try {
      this.check();
      return true;
    } catch {
      // What was looked up in vain has warned.
      list.length = 0;
      return false;
    }
  }

  /** The call changed something: it must have done all that the model does, or failed as it does. */
  #followUnanswered<T>(call: ModelCall<T>, ret: number): void {
    const { errno, value } = this.predict(call);
    if (errno === undefined) {
      assert(call.answersLast, `${call.what} is half done`);
      assertEquals(errnoName(ret), EFAULT.name, call.what);
      call.lost?.(value!);
      this.#outcomes.unanswered++;
    } else {
      assertEquals(errnoName(ret), errno.name, call.what);
    }
    this.settle();
    this.check();
  }

  /** A failure that makes a domain look unfit leads to a new one: then it is not shared. */
  protected override sharedDomain(
    ioas: number,
    hwptId: number,
  ): object | undefined {
    if (hwptId === 0) return super.sharedDomain(ioas, hwptId);
    return this.domains.find((domain) => domain.hwptId === hwptId)?.token;
  }
}

/** A run that does not know that work may be done without an answer. */
class StrictRun extends FailingRun {
  protected override perform<T>(call: ModelCall<T>): ModelResult<T> {
    return super.perform({ ...call, answersLast: false });
  }
}

/** An operation, and which step of its calls fails; steps beyond the last one fail nothing. */
type FailingStep = Step & { readonly nth: number };

const failingStep: fc.Arbitrary<FailingStep> = fc.tuple(
  anyStep,
  fc.oneof(...[6, 12, 40].map((max) => fc.integer({ min: 1, max }))),
).map(([step, nth]) => ({ ...step, nth }));

/** Runs sequences of up to 40 operations; returns how the calls with a failure ended. */
function runSequences(
  setting: Setting,
  options: {
    readonly runs: number;
    readonly seed: number;
    readonly Run: typeof FailingRun;
  },
): Outcomes {
  const outcomes = { undone: 0, unanswered: 0, survived: 0 };
  const { runs, seed, Run } = options;
  fc.assert(
    fc.property(
      fc.array(failingStep, { maxLength: 40, size: "max" }),
      (steps) => {
        const run = new Run(setting, outcomes);
        for (const step of steps) {
          run.nth = step.nth;
          run.step(step);
        }
        run.finish();
      },
    ),
    { seed, numRuns: runs },
  );
  return outcomes;
}

/** Settings that differ in the steps that there are. */
function settings(revision: RevisionName): Setting[] {
  const base = baseSetting(revision);
  return [
    base,
    { ...base, memoryLimit: 40, scattered: true },
    { ...base, lockLimit: 12, privateMemory: true },
  ];
}

for (const revision of REVISION_NAMES) {
  Deno.test(`an ioctl that a failure hits changes nothing, and then does what it should: ${revision}`, () => {
    for (const [seed, setting] of settings(revision).entries()) {
      const options = { runs: 250, seed, Run: FailingRun };
      const outcomes = runSequences(setting, options);
      assert(outcomes.undone > 500, "too few calls failed");
      assert(outcomes.unanswered > 20, "too few answers failed");
      assert(outcomes.survived > 20, "too few calls went on");
    }
  });
}

Deno.test("a call that is done without an answer does not pass for one that is undone", () => {
  for (const revision of REVISION_NAMES) {
    const [setting] = settings(revision);
    const options = { runs: 50, seed: 1, Run: StrictRun };
    const error = assertThrows(() => runSequences(setting!, options), Error);
    assertMatch(String(error.cause), /is half done/);
  }
});
