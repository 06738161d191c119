// SPDX-License-Identifier: GPL-2.0-only

/**
 * The ioctls of a program and the layouts of their structs, by name and by
 * number.
 *
 * @module
 */

import type { Ioctl, IoctlStruct } from "../../../impl/uapi/ioctl.ts";
import {
  IOCTLS,
  TEST_OPS,
  testOpOf,
  VFIO_IOCTLS,
} from "../../../impl/uapi/ioctls.ts";
import {
  type Field,
  fieldsOf,
  type Struct,
} from "../../../impl/uapi/layout/struct.ts";
import { type RevisionName, REVISIONS } from "../../../impl/uapi/revision.ts";
import { TestCmd } from "../../../impl/uapi/selftest.ts";
import type { Program, Step } from "../../../selftests/target/program.ts";
import { type Call, structOf } from "../../../selftests/target/verbs.ts";

/** What the names of test operations begin with. */
const OP_PREFIX = "IOMMU_TEST_OP_";

/** An ioctl with a struct: its row, and how its bytes are laid out. */
export interface Shape {
  /** As people call it; a test operation stands behind `IOMMU_TEST_CMD`. */
  readonly name: string;
  readonly row: IoctlStruct<object>;
  /** That of the test operation, where it is one. */
  readonly layout: Struct<object>;
  /** The number of the test operation; undefined if it is none. */
  readonly op?: number;
}

const ALL: readonly Ioctl[] = [...IOCTLS, ...VFIO_IOCTLS];

/** Ioctls by number; of those that have one number, the first. */
function byNumber(...rows: readonly Ioctl[]): ReadonlyMap<number, Ioctl> {
  return new Map(
    rows.toReversed().map((row) => [row.ioctl.number, row]),
  );
}

const ON_DEVICES = byNumber(...VFIO_IOCTLS, ...IOCTLS);
const ELSEWHERE = byNumber(...ALL);
const BY_NAME: ReadonlyMap<string, Ioctl> = new Map(
  ALL.map((row) => [row.ioctl.name, row]),
);

/** The number of an ioctl that has a name. */
export function ioctlNumber(name: string): number | undefined {
  return BY_NAME.get(name)?.ioctl.number;
}

/** The names of all ioctls. */
export const IOCTL_NAMES: readonly string[] = ALL.map(({ ioctl }) =>
  ioctl.name
);

/** The row of an ioctl by its number, which means something else on a device than on a container. */
function rowOn(
  number: number,
  program: Program,
  step: Step,
): Ioctl | undefined {
  const elsewhere = ELSEWHERE.get(number);
  const onDevices = ON_DEVICES.get(number);
  if (elsewhere === onDevices) return elsewhere;
  return isOfDevice(program, step) ? onDevices : elsewhere;
}

/** The name of an ioctl's number, as a program calls it that has a plain argument. */
export function ioctlNameOf(
  number: number,
  program: Program,
  step: Step,
): string | undefined {
  return rowOn(number, program, step)?.ioctl.name;
}

/** The shape of an ioctl that a step makes; undefined for what has none, or none that is known. */
export function shapeOfStep(
  program: Program,
  step: Step,
  uapi: RevisionName,
): Shape | undefined {
  const bytes = structOf(step.call);
  if (bytes === undefined) return undefined;
  const row = withStruct(rowOn(Number(step.call.args[1]), program, step));
  return row && (testShape(row, bytes, uapi) ?? plainShape(row));
}

/** The shape of an ioctl by its name; `op` is that of a test operation. */
export function shapeNamed(
  name: string,
  op: string | undefined,
  uapi: RevisionName,
): Shape | undefined {
  const row = withStruct(BY_NAME.get(name));
  if (row === undefined || op === undefined) return row && plainShape(row);
  const { firstOp } = REVISIONS[uapi].selftest;
  const layout = TEST_OPS.find(({ op: { name } }) => name === OP_PREFIX + op);
  if (layout === undefined || row.ioctl.number !== TestCmd.ioctl.number) {
    return undefined;
  }
  const number = layout.op.number - TEST_OPS[0]!.op.number + firstOp;
  return { name: `${name} ${op}`, row, layout, op: number };
}

/** The names of test operations, as they stand behind `IOMMU_TEST_CMD`. */
export const OP_NAMES: readonly string[] = TEST_OPS
  .map(({ op }) => op.name.slice(OP_PREFIX.length));

function withStruct(row: Ioctl | undefined): IoctlStruct<object> | undefined {
  return row && "fields" in row ? row : undefined;
}

function plainShape(row: IoctlStruct<object>): Shape {
  return { name: row.ioctl.name, row, layout: row };
}

function testShape(
  row: IoctlStruct<object>,
  bytes: Uint8Array,
  uapi: RevisionName,
): Shape | undefined {
  const end = TestCmd.offsetofend("op");
  if (row.ioctl.number !== TestCmd.ioctl.number || bytes.length < end) return;
  const op = new DataView(bytes.buffer, bytes.byteOffset)
    .getUint32(TestCmd.fields.op.offset, true);
  const layout = testOpOf(op, REVISIONS[uapi]);
  if (layout === undefined) return undefined;
  const name = `${row.ioctl.name} ${layout.op.name.slice(OP_PREFIX.length)}`;
  return { name, row, layout, op };
}

/** What is opened is a VFIO device or a group, and no container. */
const DEVICE_PATH = /^\/dev\/vfio\/(?!vfio$)/;

/** Calls that return a copy of a descriptor, their first argument. */
const COPYING = new Set(["dup", "dup2", "dup3", "passfd"]);

/** True if the descriptor of a step is that of a VFIO device or group: some of their ioctls have numbers of a container's. */
function isOfDevice(program: Program, { patches = [] }: Step): boolean {
  const from = patches.find(({ arg }) => arg === 0)?.from;
  const origin = from && program[from.step];
  if (origin === undefined) return false;
  const { verb, args } = origin.call;
  if (verb.name === "open") return DEVICE_PATH.test(String(args[0]));
  if (COPYING.has(verb.name)) return isOfDevice(program, origin);
  return isGroupDevice(origin.call);
}

/** True for the ioctl of a group that gives a device. */
function isGroupDevice({ verb, args }: Call): boolean {
  return verb.name.startsWith("ioctl") &&
    Number(args[1]) === ioctlNumber("VFIO_GROUP_GET_DEVICE_FD");
}

/** A field of a layout, and how many bytes it has. */
export interface Place {
  readonly name: string;
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8;
}

/** Where a field lies. */
export function placeOf(
  layout: Struct<object>,
  { name, offset }: Field,
): Place {
  const end = layout.offsetofend(name as never);
  return { name, offset, bytes: end - offset as Place["bytes"] };
}

/** The named places of what a step gives back. */
export function placesBack(
  program: Program,
  step: Step,
  uapi: RevisionName,
): readonly Place[] {
  const shape = shapeOfStep(program, step, uapi);
  if (shape) {
    return fieldsOf(shape.layout).map((field) => placeOf(shape.layout, field));
  }
  const numbers = step.call.verb.args.find(([, kind]) => kind === "numbers");
  return (numbers?.[0].split(" ") ?? []).map((name, i) => ({
    name: name.toLowerCase(),
    offset: 8 * i,
    bytes: 8,
  }));
}
