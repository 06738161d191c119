// SPDX-License-Identifier: GPL-2.0-only

/**
 * Makes programs: from the table of ioctls and the roles of fields, with the
 * model at their side, so that most of what they do means something.
 *
 * @module
 */

import { O_RDWR } from "../../../impl/uapi/mman.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { Random } from "../../../selftests/harness/random.ts";
import type { Model } from "../../../selftests/target/impl_target.ts";
import type { Outcome, Program } from "../../../selftests/target/program.ts";
import { Chance, Wheel } from "./chance.ts";
import { type Action, FILE_ACTIONS } from "./verbs/files.ts";
import { defect } from "./defect.ts";
import { endProgram } from "./ending.ts";
import { tryIoctl, trySizes } from "./ioctls/ioctl.ts";
import { hasSize } from "./ioctls/sizes.ts";
import { type Before, Maker } from "./maker.ts";
import { MEMORY_ACTIONS } from "./verbs/memory.ts";
import { PROCESS_ACTIONS } from "./verbs/processes.ts";
import type { Profile } from "./profiles.ts";
import { ofType1 } from "./verbs/type1.ts";
import { ENGINE_ACTIONS } from "./verbs/engine.ts";
import { FUNCTION_ACTIONS } from "./verbs/functions.ts";
import { REGISTER_ACTIONS } from "./verbs/registers.ts";
import { needDevice, needGroup, VFIO_ACTIONS } from "./verbs/vfio.ts";
import { type Shape, shapesOf } from "./known/shapes.ts";
import type { Fd, Proc } from "./known/world.ts";

export { type Profile, PROFILES } from "./profiles.ts";

/** A program, and what the model made of it. */
export interface Generated {
  readonly program: Program;
  /** What its steps came to. */
  readonly outcomes: readonly Outcome[];
  /** What was wrong after it, a sentence each. */
  readonly problems: readonly string[];
}

/** How a program is made. */
export interface GenerateOptions {
  /** What it runs on, which is reset afterwards. */
  readonly model: Model;
  readonly uapi: RevisionName;
  /** The seed of all choices. */
  readonly random: Random;
  /** Its steps, before those that it ends with. */
  readonly length: number;
  /** What it is made of. */
  readonly profile: Profile;
  /** The number of the program, by which it is the turn of one of the ioctls to be tried with all sizes; undefined for none. */
  readonly number?: number;
  /** Asked before each step; false leaves it out. */
  readonly before?: Before;
  /** A program to go on from: its steps are made first. */
  readonly start?: Program;
  /** Whether it gets a machine of its own that is the model's: then it may leave what others would find, and count steps of the kernel that depend on frames. Default false. */
  readonly isAlone?: boolean | undefined;
}

const VERBS = {
  ...FILE_ACTIONS,
  ...MEMORY_ACTIONS,
  ...PROCESS_ACTIONS,
  ...VFIO_ACTIONS,
  ...REGISTER_ACTIONS,
  ...FUNCTION_ACTIONS,
  ...ENGINE_ACTIONS,
};
/** In every so manieth program all sizes of an ioctl are tried: that takes a fifth of its steps. */
const SWEEP_EVERY = 4;
/** How often nothing may come of an action before the program ends early. */
const MOST_IDLE = 200;

const actionsOf = new WeakMap<Profile, Map<RevisionName, Actions>>();

/** A descriptor to make an ioctl on; an iommufd, a device or a group is opened if there is none. */
function targetFor(maker: Maker, process: Proc, shape: Shape): Fd | undefined {
  const { chance } = maker;
  if (shape.on === "iommufd" && process.open("iommufd").length === 0) {
    maker.add(process, [], "open", "/dev/iommu", O_RDWR);
  }
  if (process.open(shape.on).length === 0) {
    if (shape.on === "VFIO device") needDevice(maker, process);
    if (shape.on === "VFIO group") needGroup(maker, process);
  }
  const all = process.open(shape.on);
  // The first one has most of the objects.
  return chance.percent(75) ? all[0] : chance.maybe(all);
}

/** Whether an ioctl is one of a container's. */
function isOfContainer({ on, name }: Shape): boolean {
  return on === "iommufd" && name.startsWith("VFIO_");
}

function actionOf(shape: Shape, wrong: number): Action {
  const type1 = ofType1(
    shape.name,
    (maker, process, on) => tryIoctl(maker, process, on, shape, wrong),
  );
  return (maker, process) => {
    const hasOwn = maker.world.container === "type1 container";
    if (hasOwn && isOfContainer(shape)) return type1(maker, process);
    const on = targetFor(maker, process, shape);
    if (on !== undefined) tryIoctl(maker, process, on, shape, wrong);
  };
}

/** What a profile has in a revision. */
interface Actions {
  readonly wheel: Wheel<Action>;
  /** The ioctls whose callers say how long the struct is. */
  readonly sized: readonly Shape[];
}

/** The actions of a profile that a revision has. */
function actions(uapi: RevisionName, profile: Profile): Actions {
  const ofProfile = actionsOf.get(profile) ?? new Map();
  actionsOf.set(profile, ofProfile);
  let actions = ofProfile.get(uapi);
  if (actions === undefined) {
    const names = Object.entries(profile.actions);
    const all = names.flatMap(([name, weight]) => {
      const shape = shapesOf(uapi).named(name);
      const action = VERBS[name] ?? (shape && actionOf(shape, profile.wrong));
      return action ? [[weight, action] as const] : [];
    });
    const sized = names.flatMap(([name]) => shapesOf(uapi).named(name) ?? [])
      .filter(hasSize);
    actions = { wheel: new Wheel(all), sized };
    ofProfile.set(uapi, actions);
  }
  return actions;
}

/** Tries all sizes of an ioctl. */
function sweep(maker: Maker, shape: Shape): void {
  const process = someProcess(maker);
  if (process === undefined) return;
  const on = targetFor(maker, process, shape);
  if (on !== undefined) trySizes(maker, process, on, shape);
}

/** Who makes the next call: the first process mostly, which has most. */
function someProcess({ chance, world }: Maker): Proc | undefined {
  const { alive } = world;
  return chance.percent(60) ? alive[0] : chance.maybe(alive);
}

/** Makes steps until it has so many, or nothing comes of them. */
function fill(maker: Maker, { wheel }: Actions, length: number): void {
  const isThere = () => maker.isFull || maker.steps.length >= length;
  for (let idle = 0; !isThere() && idle < MOST_IDLE; idle++) {
    const process = someProcess(maker);
    if (process === undefined) break;
    const before = maker.steps.length;
    maker.chance.spin(wheel)(maker, process);
    if (maker.steps.length > before) idle = 0;
  }
}

/** Makes a program; one that the model fails over ends there. */
export function generate(options: GenerateOptions): Generated {
  const { model, uapi, random, length, profile, before } = options;
  const { number = NaN, start = [] } = options;
  const maker = new Maker({
    model,
    shapes: shapesOf(uapi),
    chance: new Chance(random),
    length,
    before,
    failNth: profile.failNth,
    isAlone: options.isAlone,
  });
  const { run, world, steps: program } = maker;
  try {
    for (const step of start) maker.make(step);
    const all = actions(uapi, profile);
    const turn = number / SWEEP_EVERY;
    if (Number.isInteger(turn) && all.sized.length > 0) {
      fill(maker, all, maker.chance.below(length >> 1));
      sweep(maker, all.sized[turn % all.sized.length]!);
    }
    fill(maker, all, length);
    endProgram({ model, run, world, uapi, before }, program);
    return { program, outcomes: run.outcomes, problems: model.reset() };
  } catch (error) {
    return defect(model, program, run.outcomes, error);
  }
}
