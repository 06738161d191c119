// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine to time operations on: the model with one process.
 *
 * @module
 */

import type { Kernel } from "../../impl/kernel.ts";
import type { FrameOrder } from "../../impl/kernel/simulated/pages/frames.ts";
import type { Process } from "../../impl/kernel/simulated/process.ts";
import type { RevisionName } from "../../impl/uapi/revision.ts";
import type { Iommufd } from "../../selftests/ioctls/ioctls.ts";
import { Model, targetOf } from "../../selftests/target/impl_target.ts";
import { TargetProcess } from "../../selftests/target/target.ts";
import { Program } from "./program.ts";
import type { Scenario } from "./scenario.ts";
import { openIommufd, REVISION, Setup } from "./setup.ts";
import type { Step } from "./steps.ts";

/** Bytes of memory: as the machine has that real Linux is timed on. */
const MEMORY = 2 ** 32;

/** A phase of a round. */
export interface TimedPhase {
  /** The key of the operation that it measures, if it does. */
  readonly key: string | undefined;
  /** What it does. */
  readonly program: Program;
}

/** The model, and one process of it with an open iommufd. */
export class Machine extends Setup {
  /** The model. */
  readonly kernel: Kernel;
  /** The process whose calls are timed. */
  readonly process: Process;

  private constructor(kernel: Kernel, process: Process, io: Iommufd) {
    super(io);
    this.kernel = kernel;
    this.process = process;
  }

  /** Boots. */
  static async boot(
    frameOrder: FrameOrder = "ordered",
    revision: RevisionName = REVISION,
  ): Promise<Machine> {
    const model = new Model(revision, { frameOrder, memory: MEMORY });
    const target = targetOf(model);
    const process = await TargetProcess.spawn(target);
    const io = await openIommufd(process, target.info);
    return new Machine(model.kernel, model.process(process.number), io);
  }

  /** The phases of a scenario, ready to be timed. */
  async prepare(scenario: Scenario): Promise<readonly TimedPhase[]> {
    const phases = await scenario.prepare(this);
    return phases.map(({ measures: key, steps }) => ({
      key,
      program: this.compile(steps),
    }));
  }

  override run(steps: readonly Step[]): Promise<void> {
    this.compile(steps).run();
    return Promise.resolve();
  }

  /** Steps, ready to be timed. */
  compile(steps: readonly Step[]): Program {
    return new Program(this.process, steps);
  }

  /** Ends the process. Throws an Error if it left something behind: then what was timed was not what was meant. */
  shutDown(): void {
    this.process.exit();
    const problems = this.kernel.audit();
    if (problems.length > 0) throw new Error(problems.join(" "));
  }
}
