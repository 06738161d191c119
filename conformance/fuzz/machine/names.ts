// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a machine calls its card: the number of its group, and its address. Both
 * are the machine's own, so that programs have those of the model, and get a
 * machine's when they run there.
 *
 * @module
 */

import { O_RDWR } from "../../../impl/uapi/mman.ts";
import {
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER,
} from "../../../impl/uapi/vfio/device.ts";
import { DEVICE_NAMES } from "../../../selftests/kit_vfio/vfio_ioctls.ts";
import type {
  Patch,
  Program,
  Step,
} from "../../../selftests/target/program.ts";
import {
  type Argument,
  type ArgumentsOf,
  call,
  type VerbName,
} from "../../../selftests/target/verbs.ts";
import { isFailure, type Side } from "../run/side.ts";

/** What a machine calls its card. */
export interface Names {
  /** The number of its group, as in the group's path. */
  readonly group: number;
  /** Its address, by which a group gives its device. */
  readonly device: string;
}

/** The names in programs: those of the model. */
export const FILE_NAMES: Names = { group: 0, device: "0000:00:04.0" };

/** Groups have numbers below this. */
const MOST_GROUPS = 32;
/** The path of a group. */
const GROUP_PATH = /^\/dev\/vfio\/(\d+)$/;

function step<N extends VerbName>(
  patches: readonly Patch[],
  name: N,
  ...args: ArgumentsOf<N>
): Step {
  return { process: 0, call: call(name, ...args), patches };
}

/** A machine may show its card when it is opened first. */
const OPEN_DEVICE = step([], "open", "/dev/vfio/devices/vfio0", O_RDWR);

function openGroup(group: number): Step {
  return step([], "open", `/dev/vfio/${group}`, O_RDWR);
}

/** Opens all groups, in the order of their numbers. */
const GROUPS: Program = Array.from(
  { length: MOST_GROUPS },
  (_, i) => openGroup(i),
);

/** The same when the card was opened. */
const ASK_GROUP: Program = [
  OPEN_DEVICE,
  step([{ arg: 0, from: { step: 0 } }], "close", 0),
  ...GROUPS,
];

/** Opens a device of a group by all names: the group gives it in a container. */
function askDevice(group: number): Program {
  const on: Patch = { arg: 0, from: { step: 3 } };
  const fd: Patch = {
    arg: 2,
    field: { offset: 0, bytes: 4 },
    from: { step: 2 },
  };
  return [
    ...ASK_GROUP.slice(0, 2),
    step([], "open", "/dev/iommu", O_RDWR),
    openGroup(group),
    step([on, fd], "ioctl", 0, VFIO_GROUP_SET_CONTAINER, new Uint8Array(4)),
    ...DEVICE_NAMES.map((name) =>
      step([on], "ioctl", 0, VFIO_GROUP_GET_DEVICE_FD, bytesOf(`${name}\0`))
    ),
  ];
}

/** Which of a program's last steps was the first to succeed; -1 for none. */
async function firstOf(
  side: Side,
  program: Program,
  count: number,
): Promise<number> {
  const ran = await side.run(program);
  if (isFailure(ran)) return -1;
  return ran.outcomes.slice(-count)
    .findIndex((each) => each.kind === "returned" && each.result >= 0);
}

/** Whether a machine shows its card before that is opened first. */
export async function hasCardAtBoot(side: Side): Promise<boolean> {
  return side.capabilities.includes("vfio_device") &&
    await firstOf(side, GROUPS, MOST_GROUPS) >= 0;
}

/** What a machine calls its card; as in files where it does not tell. */
export async function namesOf(side: Side): Promise<Names> {
  if (!side.capabilities.includes("vfio_device")) return FILE_NAMES;
  const group = await firstOf(side, ASK_GROUP, MOST_GROUPS);
  if (group < 0) return FILE_NAMES;
  const ask = askDevice(group);
  const name = DEVICE_NAMES[await firstOf(side, ask, DEVICE_NAMES.length)];
  return { group, device: name ?? FILE_NAMES.device };
}

/** A program that has one machine's names, with those of another; what was called so there is called as here. */
export function renamed(program: Program, from: Names, to: Names): Program {
  if (from.group === to.group && from.device === to.device) return program;
  return program.map((step) => {
    const { verb, args } = step.call;
    const other = args.map((arg) => renamedArgument(arg, from, to));
    return { ...step, call: { verb, args: other } };
  });
}

function renamedArgument(arg: Argument, from: Names, to: Names): Argument {
  if (arg instanceof Uint8Array) return renamedBytes(arg, from, to);
  if (typeof arg !== "string") return arg;
  const group = GROUP_PATH.exec(arg)?.[1];
  if (group === undefined) return arg;
  return `/dev/vfio/${swapped(Number(group), from.group, to.group)}`;
}

/** Bytes in which devices are named. */
function renamedBytes(
  bytes: Uint8Array,
  from: Names,
  to: Names,
): Uint8Array {
  const renamed = bytes.slice();
  for (const name of [from.device, to.device]) {
    const other = swapped(name, from.device, to.device);
    for (const at of placesOf(bytesOf(name), bytes)) {
      renamed.set(bytesOf(other), at);
    }
  }
  return renamed;
}

function swapped<T>(value: T, a: T, b: T): T {
  return value === a ? b : value === b ? a : value;
}

/** Where in bytes others lie. */
function placesOf(found: Uint8Array, bytes: Uint8Array): number[] {
  const places: number[] = [];
  for (let at = 0; at + found.length <= bytes.length; at++) {
    if (found.every((byte, i) => bytes[at + i] === byte)) places.push(at);
  }
  return places;
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
