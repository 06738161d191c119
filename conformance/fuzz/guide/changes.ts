// SPDX-License-Identifier: GPL-2.0-only

/**
 * Changes of one argument of a step: of a field of a struct by what it means.
 *
 * @module
 */

import type { Field, FieldType } from "../../../impl/uapi/layout/struct.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import type { Argument, Call } from "../../../selftests/target/verbs.ts";
import type { Chance } from "../generate/chance.ts";
import { EDGES } from "../generate/ioctls/places.ts";
import {
  readField,
  type Shape,
  type Shapes,
} from "../generate/known/shapes.ts";
import type { Node, NodePatch } from "./nodes.ts";

/** Bytes of the types of fields. */
const BYTES: Readonly<Record<FieldType, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
};

/** How far values are moved. */
const DELTAS: readonly number[] = [1, 8, PAGE_SIZE / 2, PAGE_SIZE, 2 ** 21];

/** What nodes are changed by. */
export interface ChangeOptions {
  readonly chance: Chance;
  readonly shapes: Shapes;
  /** Nodes to take values from: of the same program, or of another one. */
  readonly donors: readonly Node[];
}

/** What an ioctl with a struct is; undefined for other calls. */
export function shapeOfCall(
  { verb, args: [, cmd, struct] }: Call,
  shapes: Shapes,
): Shape | undefined {
  if (verb.name !== "ioctl") return undefined;
  const bytes = struct as Uint8Array;
  return shapes.of("iommufd", cmd as number, bytes) ??
    shapes.of("VFIO device", cmd as number, bytes);
}

/** The same node with another argument; itself where it has none that can be changed. */
export function changeArgument(node: Node, options: ChangeOptions): Node {
  const shape = shapeOfCall(node.call, options.shapes);
  if (shape && options.chance.percent(90)) {
    return changeStruct(node, shape, options);
  }
  return takeArgument(node, options);
}

/**
 * Takes an argument from another call of the same verb. Numbers outside of
 * structs have no roles, and a bad one, such as an address, would hit a real
 * process itself.
 */
function takeArgument(node: Node, { chance, donors }: ChangeOptions): Node {
  const { verb, args } = node.call;
  const alike = donors.filter(({ call }) => call.verb.name === verb.name);
  const donor = chance.maybe(alike);
  if (donor === undefined || args.length === 0) return node;
  const arg = chance.below(args.length);
  if (verb.args[arg]![1] === "process") return node;
  return {
    ...node,
    call: { verb, args: args.with(arg, donor.call.args[arg]!) },
    patches: [
      ...node.patches.filter((patch) => patch.arg !== arg),
      ...donor.patches.filter((patch) => patch.arg === arg),
    ],
  };
}

/** Changes a field, or how many bytes the struct has. */
function changeStruct(
  node: Node,
  shape: Shape,
  options: ChangeOptions,
): Node {
  const { chance } = options;
  const fields = shape.fields.filter(({ direction }) => direction !== "out");
  const field = chance.maybe(fields);
  if (field === undefined) return node;
  const bytes = (node.call.args[2] as Uint8Array).slice();
  if (field.role.kind === "size") return resize(node, bytes, field, options);
  if (field.offset + BYTES[field.type] > bytes.length) return node;
  if (chance.percent(30)) return takeField(node, field, options);
  writeField(bytes, field, changed(field, readField(bytes, field), chance));
  return withStruct(node, bytes, otherPatches(node, field));
}

/** Makes the struct shorter or longer, and mostly says so in it. */
function resize(
  node: Node,
  bytes: Uint8Array,
  field: Field,
  { chance }: ChangeOptions,
): Node {
  const size = Math.max(
    0,
    bytes.length + chance.one([-8, -4, -1, 1, 4, 8, 64]),
  );
  const resized = new Uint8Array(size);
  resized.set(bytes.subarray(0, size));
  if (chance.percent(20)) resized.fill(1, bytes.length);
  if (size >= 4 && chance.percent(80)) writeField(resized, field, BigInt(size));
  return withStruct(node, resized, node.patches);
}

/** Takes what a field of the same role has in another call. */
function takeField(
  node: Node,
  field: Field,
  { chance, donors, shapes }: ChangeOptions,
): Node {
  const donor = chance.maybe(donors);
  const shape = donor && shapeOfCall(donor.call, shapes);
  if (donor === undefined || shape === undefined) return node;
  const from = chance.maybe(
    shape.fields.filter((other) =>
      other.type === field.type && other.direction !== "out" &&
      isAlike(other, field)
    ),
  );
  if (from === undefined) return node;
  const bytes = (node.call.args[2] as Uint8Array).slice();
  writeField(
    bytes,
    field,
    BigInt(readField(donor.call.args[2] as Uint8Array, from)),
  );
  const taken = donor.patches.filter((patch) => isOf(patch, from)).map(
    (patch): NodePatch => ({
      ...patch,
      field: { offset: field.offset, bytes: patch.field!.bytes },
    }),
  );
  return withStruct(node, bytes, [...otherPatches(node, field), ...taken]);
}

/** Whether values of two fields mean the same kind of thing. */
function isAlike({ role: a }: Field, { role: b }: Field): boolean {
  if (a.kind === "id" && b.kind === "id") {
    return a.of.length === 0 || b.of.length === 0 ||
      a.of.some((named) => b.of.includes(named));
  }
  return a.kind === b.kind;
}

/** Another value of a field. */
function changed(
  { role }: Field,
  value: number | bigint,
  chance: Chance,
): bigint {
  switch (role.kind) {
    case "flags":
      return changedFlags(BigInt(value), Object.values(role.bits), chance);
    case "choice":
      return BigInt(
        chance.maybe(Object.values(role.values)) ?? chance.below(9),
      );
    case "id":
    case "fd":
      return chance.one([0n, BigInt(chance.below(16)), 0xffffffffn]);
    case "reserved":
    case "unused":
    case "chain":
    case "size":
      return BigInt(chance.below(3));
    default:
      return changedNumber(BigInt(value), chance);
  }
}

function changedFlags(
  value: bigint,
  bits: readonly (number | bigint)[],
  chance: Chance,
): bigint {
  const bit = chance.percent(90) && chance.maybe(bits);
  return value ^ (bit ? BigInt(bit) : 1n << BigInt(chance.below(32)));
}

/** An address, length or number: moved a little, doubled, halved, or at an edge. */
function changedNumber(value: bigint, chance: Chance): bigint {
  const delta = BigInt(chance.one(DELTAS));
  return chance.weighted([
    [3, value + delta],
    [3, value - delta],
    [1, value * 2n],
    [1, value / 2n],
    [2, chance.one(EDGES)],
    [1, BigInt(chance.below(8))],
  ]);
}

/** Writes the lowest bytes of a value. */
function writeField(
  bytes: Uint8Array,
  { offset, type }: Field,
  value: bigint,
): void {
  for (let i = 0; i < BYTES[type]; i++) {
    bytes[offset + i] = Number(value >> BigInt(8 * i) & 0xffn);
  }
}

/** Whether a patch puts its value into a field. */
function isOf(patch: NodePatch, field: Field): boolean {
  return patch.arg === 2 && patch.field?.offset === field.offset;
}

function otherPatches({ patches }: Node, field: Field): NodePatch[] {
  return patches.filter((patch) => !isOf(patch, field));
}

function withStruct(
  node: Node,
  bytes: Uint8Array,
  patches: readonly NodePatch[],
): Node {
  const args: Argument[] = node.call.args.with(2, bytes);
  return { ...node, call: { verb: node.call.verb, args }, patches };
}
