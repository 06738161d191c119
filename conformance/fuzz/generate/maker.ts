// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program in the making: each step is carried out on the model at once, so
 * that what there is is known for the next one.
 *
 * @module
 */

import type { Model } from "../../../selftests/target/impl_target.ts";
import {
  fresh,
  type Outcome,
  type Patch,
  type Step,
  StepByStep,
} from "../../../selftests/target/program.ts";
import {
  type ArgumentsOf,
  type Call,
  call,
  type VerbName,
} from "../../../selftests/target/verbs.ts";
import type { Chance } from "./chance.ts";
import { Devices } from "./known/devices.ts";
import { learn, type Returned } from "./known/learn.ts";
import type { OpenKind, Shapes } from "./known/shapes.ts";
import { type Fd, type Known, type Proc, World } from "./known/world.ts";

/** Whether a step may be made: false leaves it out. */
export type Before = (model: Model, run: StepByStep, step: Step) => boolean;

/** What a program is made with. */
export interface MakerOptions {
  readonly model: Model;
  readonly shapes: Shapes;
  readonly chance: Chance;
  /** Steps that it has at most. */
  readonly length: number;
  readonly before?: Before | undefined;
  /** Of a hundred ioctls those in which a step of the kernel is made to fail. */
  readonly failNth: number;
  /** Whether each program has a machine of its own that is the model's; default false. */
  readonly isAlone?: boolean | undefined;
}

/** What `/dev/vfio/vfio` opens on a machine. */
export function containerOf({ info: { capabilities } }: Model): OpenKind {
  const isOwn = capabilities.includes("type1_container") &&
    !capabilities.includes("vfio");
  return isOwn ? "type1 container" : "iommufd";
}

/** A program in the making. */
export class Maker {
  /** What there is. */
  readonly world: World;
  readonly chance: Chance;
  readonly shapes: Shapes;
  readonly failNth: number;
  /** Whether nothing that it leaves is there for the next one, and frames are where the model has them. */
  readonly isAlone: boolean;
  /** What the machine calls its devices. */
  readonly devices: Devices;
  /** Whether its VFIO devices are opened through their groups, of which Linux takes one way at a time. */
  readonly usesGroups: boolean;
  /** The program on the model. */
  readonly run: StepByStep;
  /** The steps so far. */
  readonly steps: Step[] = [];
  /** Makers of objects that are at work, each for the sake of the one before. */
  depth = 0;
  readonly #model: Model;
  readonly #length: number;
  readonly #before: Before | undefined;

  /** An empty program. */
  constructor(options: MakerOptions) {
    this.chance = options.chance;
    this.shapes = options.shapes;
    this.failNth = options.failNth;
    this.isAlone = options.isAlone ?? false;
    this.devices = new Devices(options.model);
    this.#model = options.model;
    this.world = new World(containerOf(options.model));
    const isOwn = this.world.container === "type1 container";
    this.usesGroups = this.chance.percent(isOwn ? 90 : 40);
    this.run = new StepByStep(options.model);
    this.#length = options.length;
    this.#before = options.before;
  }

  /**
   * Pages of the longest memory. How many steps the kernel takes for more than
   * one depends on whether they follow each other in memory, which is chance
   * unless the machine is the model's.
   */
  get longest(): number {
    return this.failNth > 0 && !this.isAlone ? 1 : 16;
  }

  /** What the steps came to. */
  get outcomes(): readonly Outcome[] {
    return this.run.outcomes;
  }

  /** True when it has as many steps as it may. */
  get isFull(): boolean {
    return this.steps.length >= this.#length;
  }

  /**
   * Makes a step; what came back, or undefined if nothing did or the step was
   * left out. The arguments have the values that are known now where a patch
   * puts the same again.
   */
  add<N extends VerbName>(
    process: Proc,
    patches: readonly Patch[],
    name: N,
    ...args: ArgumentsOf<N>
  ): Returned | undefined {
    const made = call(name, ...args);
    const step: Step = patches.length > 0
      ? { process: process.number, call: made, patches }
      : { process: process.number, call: made };
    return this.#make(step, made);
  }

  /** Makes a step that somebody else thought of. */
  make(step: Step): Returned | undefined {
    const call = this.run.resolved(step)?.call ?? step.call;
    // What is learnt is learnt of what was sent.
    return this.#make(step, fresh(call));
  }

  #make(step: Step, made: Call): Returned | undefined {
    if (this.isFull) return undefined;
    if (this.#before && !this.#before(this.#model, this.run, step)) {
      return undefined;
    }
    const index = this.steps.push(step) - 1;
    const outcome = this.run.make(step);
    const { process } = step;
    learn(this.world, this.shapes, { index, process }, made, outcome);
    return outcome.kind === "returned" ? outcome : undefined;
  }

  /** Makes a step whose first argument is a descriptor. */
  addOn<N extends VerbName>(
    process: Proc,
    { fd }: Pick<Fd, "fd">,
    patches: readonly Patch[],
    name: N,
    ...args: ArgumentsOf<N>
  ): Returned | undefined {
    return this.add(process, [...patchOf(0, fd), ...patches], name, ...args);
  }
}

/** What puts a known value into a whole argument: nothing for a plain one. */
export function patchOf(arg: number, { from }: Known): Patch[] {
  return from === undefined ? [] : [{ arg, from }];
}
