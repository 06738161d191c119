// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sweeps: a sequence of calls is made again and again, the nth fallible step of
 * the kernel failing in the nth round, until a round ends in which none was
 * left to fail (iommufd_fail_nth.c: TEST_FAIL_NTH).
 *
 * The kernel's tests ask only that the kernel survives. Here a call that was
 * hit must have failed with an errno of fault injection, the same call must
 * succeed when it is repeated, so must the calls after it, and when all is
 * closed no pin and no descriptor may be left. The target looks for warnings.
 *
 * @module
 */

import { EFAULT, type Errno } from "../../impl/uapi/errno.ts";
import { MAP_SHARED } from "../../impl/uapi/mman.ts";
import {
  type ByVersion,
  type Lifetime,
  valueIn,
} from "../../impl/uapi/revision/versions.ts";
import {
  assertEq,
  AssertionFailure,
  type Context,
  type Fixture,
} from "./harness.ts";
import type { Need } from "../target/capabilities.ts";
import { memfdMmap } from "../ioctls/file_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import type { RuleCode } from "../rules/rules.ts";

/** The kernel's bound on the steps of one test. */
const MAX_ROUNDS = 1000;

/** Bytes of {@link SweepSelf.buffer}. */
export const SWEEP_BUFFER_SIZE: number = 2 * 1024 * 1024;

/**
 * Errnos that a step which is made to fail ends in. ENODEV is what binding
 * gives for a device that its IOMMU driver had no memory for.
 */
const INJECTED = ["ENOMEM", "EFAULT", "ENOENT", "EINVAL", "ENODEV"];

/** What the tests of a fixture share. */
export interface SweepSelf {
  /** The test's context, for notes. */
  readonly context: Context;
  /** The process and its memory, with no descriptor yet. */
  readonly base: Iommufd;
  /** {@link SWEEP_BUFFER_SIZE} bytes of shared memory. */
  readonly buffer: number;
  /** A memory file of as many bytes. */
  readonly file: number;
}

/** Prepares the memory: the setup of the fixtures with sweeps. */
export async function setUpSweep(context: Context): Promise<SweepSelf> {
  const base = await Iommufd.prepare(context);
  const buffer = await base.mmap(SWEEP_BUFFER_SIZE, MAP_SHARED);
  const { fd: file } = await memfdMmap(base, SWEEP_BUFFER_SIZE);
  return { context, base, buffer, file };
}

/** A sequence of calls that is swept. */
export interface Sequence {
  /** Name of the test. */
  readonly name: string;
  /** What the calls are about, after "Every step may fail of". */
  readonly what: string;
  /** What of Linux it is about. */
  readonly reference: string;
  /** The rules that it proves. */
  readonly rules: readonly RuleCode[];
  /** What it needs of the target besides `fail_nth`. */
  readonly needs?: readonly Need[];
  /** Steps that can be made to fail at least, from which version on. */
  readonly points: ByVersion<number>;
  /** Makes the calls. */
  run(round: Round): Promise<void>;
}

/** Adds a test for each sequence, in the revisions of `scope` in which its steps were counted. */
export function registerSweeps(
  f: Fixture<undefined, SweepSelf>,
  sequences: readonly Sequence[],
  scope: Lifetime = {},
): void {
  for (const sequence of sequences) {
    const { name, what, reference, rules, needs = [], points } = sequence;
    f.test(name, {
      description: `Every step may fail of ${what}`,
      reference,
      rules,
      ...scope,
      only: (revision) => valueIn(revision.name, points) !== undefined,
      needs: () => needs,
    }, (self) => sweep(self, sequence));
  }
}

/** A device was made without its IOMMU: the end of a round. */
class OtherDevice extends Error {}

/** One round through a sequence of calls. */
export class Round {
  /** The process and its memory. */
  readonly base: Iommufd;
  /** The memory to map. */
  readonly buffer: number;
  /** The file to map. */
  readonly file: number;
  /** Whether the step to fail was reached. */
  hit = false;
  readonly #nth: number;
  readonly #descriptors: number[] = [];
  #counting = false;

  /** Fails step `nth` after {@link Round.enable}; none if 0. */
  constructor({ base, buffer, file }: SweepSelf, nth: number) {
    this.base = base;
    this.buffer = buffer;
    this.file = file;
    this.#nth = nth;
  }

  /** Opens /dev/iommu. */
  async open(): Promise<Iommufd> {
    const io = await this.step(() => this.base.reopen());
    this.#descriptors.push(io.fd);
    return io;
  }

  /** From here on steps are counted (C: fail_nth_enable). */
  async enable(): Promise<void> {
    if (this.#nth === 0) return;
    const ret = await this.base.process.setFailNth(this.#nth);
    assertEq(ret, 0, "fail-nth");
    this.#counting = true;
  }

  /**
   * Makes a call, and makes it again if it failed because a step did: then it
   * must succeed. Not for one that answers after its effect, unless it can be
   * repeated all the same.
   */
  async step<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      await this.#injected(error);
      return await call();
    }
  }

  /**
   * The same for a call that makes a mock device. Where devices may have no
   * IOMMU, one that could not be given its own is such a device; the call
   * succeeds then, but what follows is about another kind, and is left out.
   */
  async device<T>(call: () => Promise<T>): Promise<T> {
    const made = await this.step(call);
    if (this.#counting && !this.hit) {
      this.hit = await this.base.process.failNthLeft() === 0;
      if (this.hit) throw new OtherDevice();
    }
    return made;
  }

  /**
   * The same for a call that cannot have its effect twice. If the answer is
   * what failed, the effect is there as in Linux, and repeating it fails with
   * `again`.
   */
  async stepOnce(
    call: () => Promise<unknown>,
    again: Errno,
  ): Promise<void> {
    try {
      await call();
    } catch (error) {
      const errno = await this.#injected(error);
      if (errno !== EFAULT.name) {
        await call();
        return;
      }
      // Whether the copy to or from the kernel failed is not to be seen.
      await call().catch((error: unknown) => {
        if (!(error instanceof AssertionFailure)) throw error;
        assertEq(error.actual, again.name, "a call that was carried out");
      });
    }
  }

  /** Opens something that must be closed in the end: `call` resolves to a descriptor. */
  async openStep(call: () => Promise<number>): Promise<number> {
    const fd = await this.step(call);
    this.#descriptors.push(fd);
    return fd;
  }

  /** Closes a descriptor of {@link Round.openStep}. */
  async close(fd: number): Promise<void> {
    this.#descriptors.splice(this.#descriptors.indexOf(fd), 1);
    assertEq(await this.base.process.close(fd), 0, "close");
  }

  /** Stops counting and closes what is open, the newest first. */
  async end(): Promise<void> {
    const { process } = this.base;
    if (this.#counting) {
      this.hit ||= await process.failNthLeft() === 0;
      assertEq(await process.setFailNth(0), 0, "fail-nth");
    }
    for (const fd of this.#descriptors.toReversed()) {
      assertEq(await process.close(fd), 0, "close");
    }
  }

  /** The errno of a call whose failure was injected; other failures are thrown again. */
  async #injected(error: unknown): Promise<string> {
    if (!(error instanceof AssertionFailure)) throw error;
    if (!this.#counting || this.hit) throw error;
    if (await this.base.process.failNthLeft() !== 0) throw error;
    this.hit = true;
    const { what, actual } = error;
    if (INJECTED.includes(actual)) return actual;
    throw new AssertionFailure(
      `${what}, with a step that fails`,
      INJECTED.join(" or "),
      actual,
    );
  }
}

/** Makes the calls once, the nth step failing, or none with 0. */
export async function runRound(
  self: SweepSelf,
  { run }: Sequence,
  nth: number,
): Promise<Round> {
  const round = new Round(self, nth);
  try {
    await run(round);
  } catch (error) {
    if (!(error instanceof OtherDevice)) throw error;
  }
  await round.end();
  return round;
}

/**
 * Makes the calls without failures, then with the first step failing, the
 * second and so on until none is left; that last round must succeed again.
 * Asserts that as many steps could be made to fail as the sequence says.
 */
export async function sweep(
  self: SweepSelf,
  sequence: Sequence,
): Promise<void> {
  const before = await resources(self);
  for (let nth = 0; nth < MAX_ROUNDS; nth++) {
    const round = await runRound(self, sequence, nth);
    assertEq(await resources(self), before, "pins and descriptors after all");
    if (nth === 0 || round.hit) continue;

    const { context } = self;
    const swept = nth - 1;
    context.note(`swept ${swept} injection points`);
    const atLeast = valueIn(context.revision.name, sequence.points) ?? 1;
    if (swept >= atLeast) return;
    throw new AssertionFailure("fail-nth", `${atLeast} steps`, `${swept}`);
  }
  throw new AssertionFailure(
    "fail-nth",
    `fewer than ${MAX_ROUNDS} steps`,
    "more",
  );
}

/**
 * What must be the same before and after: pages pinned, by all counts there
 * are, and the descriptor that comes next.
 */
async function resources({ base, buffer }: SweepSelf): Promise<string> {
  const io = await base.reopen();
  await io.mock.checkRefs(buffer, SWEEP_BUFFER_SIZE, 0);
  assertEq(await base.process.close(io.fd), 0, "close /dev/iommu again");
  const { vmLck, vmPin } = await base.process.vmStatus();
  return `descriptor ${io.fd}, VmLck ${vmLck}, VmPin ${vmPin}`;
}
