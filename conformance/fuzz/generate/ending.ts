// SPDX-License-Identifier: GPL-2.0-only

/**
 * What any program ends with: what its calls did not say is asked for, and
 * devices give up their PASIDs, which Linux forgets when a device goes.
 *
 * @module
 */

import { IommufdCtx } from "../../../impl/iommufd/main.ts";
import { SelftestDevice } from "../../../impl/iommufd/selftest/selftest_device.ts";
import type { Process } from "../../../impl/kernel/simulated/process.ts";
import { type RevisionName, REVISIONS } from "../../../impl/uapi/revision.ts";
import {
  encodeTestOp,
  IOMMU_TEST_CMD,
  TestPasidDetach,
} from "../../../impl/uapi/selftest.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  type Patch,
  type Program,
  resolve,
  type Step,
  type StepByStep,
} from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { pasidsOf } from "../compare/reaches.ts";
import { learn } from "./known/learn.ts";
import type { Shapes } from "./known/shapes.ts";
import { type Proc, World } from "./known/world.ts";
import { type Before, containerOf, patchOf } from "./maker.ts";
import { observe } from "./observe.ts";

/** A program that is to end. */
export interface Ended {
  readonly model: Model;
  readonly run: StepByStep;
  /** What it leaves. */
  readonly world: World;
  readonly uapi: RevisionName;
  /** Asked before each step; false leaves it out. */
  readonly before?: Before | undefined;
}

/** Makes the last steps of a program, and adds them to those that it has. */
export function endProgram(ended: Ended, steps: Step[]): void {
  const { model, run, world, before } = ended;
  for (const step of [...observe(world), ...detachPasids(ended)]) {
    if (before && !before(model, run, step)) continue;
    steps.push(step);
    run.make(step);
  }
}

/** What a program leaves that is not followed while it is made. */
export function stateAfter(
  program: Program,
  { outcomes }: StepByStep,
  shapes: Shapes,
  model: Model,
): World {
  const world = new World(containerOf(model));
  for (const [index, step] of program.entries()) {
    const { process } = step;
    const made = resolve(step, outcomes);
    learn(world, shapes, { index, process }, made, outcomes[index]!);
  }
  return world;
}

/** An attachment with a PASID, and a descriptor by which it can be undone. */
interface Attached {
  readonly fd: number;
  readonly id: number;
  readonly pasid: number;
}

/** Those of the iommufds that a process has open, and that were not seen before. */
function attachedIn({ files }: Process, seen: Set<IommufdCtx>): Attached[] {
  return [...files].flatMap(([fd, file]) => {
    if (!(file instanceof IommufdCtx) || seen.has(file)) return [];
    seen.add(file);
    return [...file.objects].flatMap((object) =>
      object instanceof SelftestDevice
        ? pasidsOf(object).map((pasid) => ({ fd, id: object.id, pasid }))
        : []
    );
  });
}

/** Detaches all PASIDs, each by the first process that can; no step of that may fail. */
function detachPasids({ model, run, world, uapi }: Ended): Step[] {
  const seen = new Set<IommufdCtx>();
  return world.alive.flatMap((proc) => {
    const number = run.numberOf(proc.number);
    if (number === undefined) return [];
    const process = model.process(number);
    const steps = attachedIn(process, seen).map((attached) =>
      detachPasid(proc, attached, uapi)
    );
    const mayFail = steps.length > 0 && process.faults.nth > 0;
    const sound = { process: proc.number, call: call("failnth", 0) };
    return mayFail ? [sound, ...steps] : steps;
  });
}

/** Detaches one. What the world knows comes from the steps that gave it. */
function detachPasid(
  { number, fds }: Proc,
  { fd, id, pasid }: Attached,
  uapi: RevisionName,
): Step {
  const bytes = encodeTestOp(TestPasidDetach, REVISIONS[uapi], { id, pasid });
  const open = fds.get(fd);
  const device = open?.file.context?.thing(id);
  const { offset } = TestPasidDetach.fields.id;
  const field = { offset, bytes: 4 } as const;
  const patches: Patch[] = [
    ...open ? patchOf(0, open.fd) : [],
    ...device
      ? patchOf(2, device.id).map((patch) => ({ ...patch, field }))
      : [],
  ];
  return {
    process: number,
    call: call("ioctl", fd, IOMMU_TEST_CMD, bytes),
    ...patches.length > 0 && { patches },
  };
}
