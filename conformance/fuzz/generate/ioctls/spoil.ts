// SPDX-License-Identifier: GPL-2.0-only

/**
 * What can be wrong with an ioctl: a value, the length of the struct, where the
 * struct is, the number, the descriptor.
 *
 * @module
 */

import type { Field } from "../../../../impl/uapi/layout/struct.ts";
import {
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../../../impl/uapi/mman.ts";
import type { Patch } from "../../../../selftests/target/program.ts";
import { ARENA, DATA_SIZE, storeData, UNMAPPED } from "../verbs/arena.ts";
import { type Filling, plain, valueOf } from "./filling.ts";
import { WRONG_LENGTHS } from "./hints.ts";
import { EDGES } from "./places.ts";
import type { Known } from "../known/world.ts";

/** A call that is ready to be made. */
export interface Spoiled {
  readonly fd: Known;
  readonly cmd: number;
  readonly bytes: Uint8Array;
  readonly patches: readonly Patch[];
  /** Where the struct is, if it is not given by value. */
  readonly address?: number | bigint | undefined;
}

function asIs({ on, shape, into }: Filling): Spoiled {
  const patches = into.patches(shape.fields);
  return { fd: on.fd, cmd: shape.cmd, bytes: into.bytes, patches };
}

/** An id that names nothing, or something of another type. */
function wrongId({ maker: { chance }, context }: Filling): Known {
  return chance.weighted<() => Known>([
    [25, () => chance.maybe(context.gone) ?? plain(99)],
    [40, () => chance.maybe(context.of())?.id ?? plain(1)],
    [20, () => plain(0)],
    [10, () => plain(0xffffffff)],
    [5, () => plain(chance.below(32))],
  ])();
}

/** A descriptor of something else, or of nothing. */
function wrongFd({ maker: { chance }, process }: Filling): Known {
  const any = chance.maybe([...process.fds.values()]);
  return chance.weighted<() => Known>([
    [50, () => any?.fd ?? plain(0)],
    [20, () => plain(0)],
    [20, () => plain(200)],
    [10, () => plain(-1)],
  ])();
}

/** An address at which there is nothing, or not enough, or nothing to write to. */
function wrongPointer({ maker, process }: Filling): Known {
  const { chance } = maker;
  const end = ARENA + DATA_SIZE;
  const readOnly = process.memory.filter(({ prot }) =>
    (prot & (PROT_READ | PROT_WRITE)) === PROT_READ
  );
  return plain(chance.weighted<number | bigint>([
    [20, 0],
    [25, UNMAPPED],
    [15, end - 1],
    [10, end - PAGE_SIZE + 1],
    [10, chance.maybe(readOnly)?.start ?? UNMAPPED],
    [10, chance.maybe(EDGES)!],
    [10, 2n ** 64n - 8n],
  ]));
}

/** A length of IOVA or memory, which may be too long but never makes the kernel work for long. */
function wrongLength(filling: Filling, { name, type }: Field): Known {
  const { chance } = filling.maker;
  const few = WRONG_LENGTHS[filling.shape.name];
  if (few !== undefined) return plain(chance.maybe(few)!);
  if (type === "u32") {
    return plain(chance.weighted([
      [25, 0],
      [20, 1],
      [20, Number(valueOf(filling, name)) + 1],
      [15, 3],
      [10, 4097],
      [10, 0xffffffff],
    ]));
  }
  const length = valueOf(filling, name);
  const page = BigInt(PAGE_SIZE);
  return plain(
    chance.weighted<() => bigint>([
      [20, () => 0n],
      [25, () => BigInt.asUintN(64, length + page)],
      [10, () => BigInt.asUintN(64, length - 1n)],
      [10, () => length + 1n],
      [10, () => length + 2048n],
      [25, () => chance.maybe(EDGES)!],
    ])(),
  );
}

function unknownFlags(filling: Filling, { name, type }: Field): Known {
  const { chance } = filling.maker;
  const width = type === "u64" ? 64 : type === "u32" ? 32 : 16;
  const bit = 1n << BigInt(chance.below(width));
  return plain(valueOf(filling, name) ^ bit);
}

/** A wrong value for a field. */
function wrongValue(filling: Filling, field: Field): Known {
  const { chance } = filling.maker;
  switch (field.role.kind) {
    case "id":
      return wrongId(filling);
    case "fd":
      return wrongFd(filling);
    case "pointer":
      return wrongPointer(filling);
    case "length":
      return wrongLength(filling, field);
    case "iova":
      return plain(chance.maybe(EDGES)!);
    case "flags":
      return unknownFlags(filling, field);
    case "choice":
      return plain(chance.weighted([[40, 0], [30, 7], [30, 0xffff]]));
    case "alignment":
      return plain(chance.maybe([0, 1, 3, 512, 2 ** 20, 2n ** 63n])!);
    case "count":
      return plain(chance.maybe([0, 1, 5, 0xffffffff])!);
    case "size":
      return plain(chance.maybe([0, 4, filling.shape.minSize - 1, 4096])!);
    default:
      return plain(chance.maybe([1, 4, 0xff, 0xffff, 0xffffffff])!);
  }
}

/** Numbers of loops that would go on for long, or memory that the kernel would not have. */
function isTooMuch(filling: Filling): boolean {
  const { values } = filling.into;
  if (!values.has("pageSize")) return false;
  const unit = valueOf(filling, "pageSize") || 1n;
  return valueOf(filling, "length") / unit > 2n ** 20n;
}

/** One field is wrong, or two. */
function wrongField(filling: Filling): Spoiled {
  const { maker: { chance }, shape, into } = filling;
  const fields = shape.fields.filter(({ direction, role, name }) =>
    (direction !== "out" || chance.percent(5)) && role.kind !== "unused" &&
    name !== "op"
  );
  const times = chance.percent(85) ? 1 : 2;
  for (let i = 0; i < times; i++) {
    const field = chance.maybe(fields);
    if (field === undefined) break;
    const before = into.values.get(field.name) ?? plain(0);
    into.put(field, wrongValue(filling, field));
    if (isTooMuch(filling)) into.put(field, before);
  }
  return asIs(filling);
}

/** The struct is shorter or longer than the kernel knows it. */
function wrongSize(filling: Filling): Spoiled {
  const { maker: { chance }, shape, into } = filling;
  const good = asIs(filling);
  const bytes = chance.weighted<() => number>([
    [25, () => shape.minSize],
    [15, () => shape.minSize - 1],
    [10, () => chance.below(shape.size)],
    [25, () => shape.size + 8],
    [15, () => shape.size + chance.between(1, 64)],
    [10, () => PAGE_SIZE + chance.below(2)],
  ])();
  const cut = new Uint8Array(bytes);
  cut.set(into.bytes.subarray(0, bytes));
  const tail = bytes - shape.size;
  if (tail > 0 && chance.percent(40)) cut[shape.size + chance.below(tail)] = 1;
  const size = shape.fields.find(({ role }) => role.kind === "size");
  if (size && bytes >= 4 && chance.percent(75)) {
    new DataView(cut.buffer).setUint32(size.offset, bytes, true);
  }
  return { ...good, bytes: cut };
}

/** The struct is not where it can be read, or written. */
function wrongPlace(filling: Filling): Spoiled {
  const { maker, process, into } = filling;
  const good = asIs(filling);
  const isCut = maker.chance.percent(40);
  if (!isCut) return { ...good, address: wrongPointer(filling).value };
  const half = into.bytes.slice(0, into.bytes.length >> 1);
  const at = ARENA + DATA_SIZE - half.length;
  storeData(maker, process, new Uint8Array(0));
  maker.add(process, [], "poke", at, half);
  return { ...good, address: at };
}

/** Another ioctl, or one that there is not. */
function wrongNumber(filling: Filling): Spoiled {
  const { chance } = filling.maker;
  const { cmd } = filling.shape;
  const base = cmd & ~0xff;
  const number = chance.weighted([
    [50, base | chance.between(0x64, 0xa2)],
    [25, 0x3b96 + chance.below(8)],
    [15, cmd | 0xc0000000],
    [10, cmd ^ 0x100],
  ]);
  return { ...asIs(filling), cmd: number >>> 0 };
}

/** An ioctl with something wrong. */
export function spoil(filling: Filling): Spoiled {
  return filling.maker.chance.weighted([
    [76, wrongField],
    [13, wrongSize],
    [5, wrongPlace],
    [3, wrongNumber],
    [3, (filling: Filling) => ({ ...asIs(filling), fd: wrongFd(filling) })],
  ])(filling);
}
