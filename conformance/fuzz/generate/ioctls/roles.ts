// SPDX-License-Identifier: GPL-2.0-only

/**
 * Good values for the fields of a struct, by what they mean.
 *
 * @module
 */

import type { FileKind, Named } from "../../../../impl/uapi/layout/roles.ts";
import type { Field } from "../../../../impl/uapi/layout/struct.ts";
import { PAGE_SIZE } from "../../../../impl/uapi/mman.ts";
import { Wheel } from "../chance.ts";
import type { Shape } from "../known/shapes.ts";
import { type Filling, plain } from "./filling.ts";
import { HINTS, isNewPlace } from "./hints.ts";
import { PREFERRED, type Preferred } from "./preferred.ts";
import { ioasOf } from "../known/learn_ioctl.ts";
import { makeArea, makeDescriptor, makeObject, type Wanted } from "./making.ts";
import { newIova, partOf } from "./places.ts";
import { fillPointer } from "./pointers.ts";
import type { Known, Thing } from "../known/world.ts";

type RoleOf<Kind extends Field["role"]["kind"]> = Extract<
  Field["role"],
  { kind: Kind }
>;

const NO_PREFERENCE: Preferred = {};

/** The types of objects of which the revision has a maker. */
function madeTypes({ maker: { shapes } }: Filling, of: readonly Named[]) {
  return of.filter((type) => shapes.makers(type).length > 0);
}

function wantedOf({ wanted = {} }: Preferred, type: Named): Wanted {
  return type === "HWPT_PAGING" ? wanted : {};
}

/** An object for a field, which is made if there is none. */
function chooseThing(
  filling: Filling,
  name: string,
  of: readonly Named[],
): Thing | undefined {
  const { maker: { chance }, context, shape } = filling;
  const known = PREFERRED[`${shape.name}.${name}`];
  const prefers = known && chance.percent(88) ? known : NO_PREFERENCE;
  const kind = prefers.kind?.(filling);
  const types = kind !== undefined && of.includes(kind) ? [kind] : of;
  const { is } = prefers;
  const good = () => {
    const all = context.of(...types);
    return is ? all.filter((thing) => is(thing, filling)) : all;
  };
  let things = good();
  const wantsMore = things.length < 3 && of.length > 0 && chance.percent(4);
  if (things.length === 0 || wantsMore) {
    const type = chance.maybe(madeTypes(filling, types)) ?? "IOAS";
    if (prefers.prepare) prefers.prepare(filling);
    else makeObject(filling, type, wantedOf(prefers, type));
    things = good();
  }
  const latest = chance.percent(50) ? things.at(-1) : undefined;
  return latest ?? chance.maybe(things) ?? chance.maybe(context.of(...of));
}

function fillId(filling: Filling, field: Field, role: RoleOf<"id">): Known {
  const { chance } = filling.maker;
  if (role.optional && !(field.name in filling.wanted)) {
    const hint = HINTS[`${filling.shape.name}.${field.name}`];
    if (hint === undefined && chance.percent(50)) return plain(0);
  }
  const thing = chooseThing(filling, field.name, role.of);
  if (thing === undefined) return plain(0);
  filling.things.set(field.name, thing);
  return thing.id;
}

function fillFd(filling: Filling, kind: FileKind): Known {
  const { maker: { chance }, process, context } = filling;
  const kinds = kind === "file" && chance.percent(25)
    ? ["DMA buffer" as const]
    : [kind];
  const found = () =>
    kinds.flatMap((kind) => process.open(kind)).filter(({ file }) =>
      kind === "iommufd" || file.context === undefined ||
      file.context === context
    );
  if (found().length === 0) makeDescriptor(filling, kinds[0]!);
  const all = found();
  const isPinning = filling.shape.name === "IOMMU_TEST_OP_ACCESS_PAGES";
  const pinning = all.filter(({ file: { flags } }) => (flags & 1) !== 0);
  if (isPinning && pinning.length > 0) return chance.maybe(pinning)!.fd;
  return chance.maybe(all)?.fd ?? plain(-1);
}

/** The IOAS that the range of IOVA is in. */
function ioasOfRange(filling: Filling, name: string): Thing | undefined {
  const { things, context, process, into, on } = filling;
  const own = name === "dstIova" ? "dstIoasId" : "srcIoasId";
  const named = things.get(own) ?? things.values().next().value;
  if (named !== undefined) {
    const start = named.of === "DEVICE" ? named.pt : Number(named.id.value);
    return ioasOf(context, start);
  }
  const access = process.fds.get(Number(into.values.get("id")?.value ?? -1));
  if (access?.file.kind === "access") return ioasOf(context, access.file.pt);
  const isContainer = on.file.kind === "iommufd" ||
    on.file.kind === "type1 container";
  return isContainer ? context.thing(context.compat) : undefined;
}

/** Chooses the range of IOVA that an ioctl is about. */
function choosePlace(filling: Filling, field: Field): void {
  const { maker } = filling;
  const ioas = ioasOfRange(filling, field.name);
  if (ioas === undefined) return;
  if (ioas.areas.length === 0 && maker.chance.percent(90)) {
    makeArea(filling, ioas);
  }
  const area = maker.chance.maybe(ioas.areas);
  if (area !== undefined) filling.place = partOf(maker.chance, area);
}

function fillIova(filling: Filling, field: Field): Known {
  const { chance } = filling.maker;
  if (isNewPlace(filling, field)) {
    return plain(newIova(chance, ioasOfRange(filling, field.name)));
  }
  if (filling.place === undefined) choosePlace(filling, field);
  return filling.place?.iova ?? plain(newIova(chance, undefined));
}

function fillLength(filling: Filling): Known {
  const { maker } = filling;
  if (filling.place !== undefined) return plain(filling.place.length);
  const pages = maker.chance.between(1, 8);
  return plain(pages * PAGE_SIZE);
}

function fillFlags(filling: Filling, role: RoleOf<"flags">): Known {
  return plain(filling.maker.chance.bits(Object.values(role.bits)));
}

/** log2 of granules: those of the mock and of the CPU, and one that is larger. */
const ALIGNMENTS = new Wheel([[30, 11], [60, 12], [10, 13]]);

/** A value for a field; undefined where it stays as it is. */
function goodValue(filling: Filling, field: Field): Known | undefined {
  const { role } = field;
  const { chance } = filling.maker;
  switch (role.kind) {
    case "size":
      return plain(filling.shape.size);
    case "id":
      return fillId(filling, field, role);
    case "fd":
      return fillFd(filling, role.of);
    case "pointer":
      return fillPointer(filling, field);
    case "iova":
      return fillIova(filling, field);
    case "length":
      return fillLength(filling);
    case "alignment":
      return plain(2 ** chance.spin(ALIGNMENTS));
    case "flags":
      return fillFlags(filling, role);
    case "choice":
      return plain(chance.maybe(Object.values(role.values)) ?? 0);
    case "count":
      return plain(chance.below(4));
    case "unused":
      return chance.percent(10) ? plain(chance.below(2 ** 16)) : undefined;
    case "number":
      return plain(chance.percent(70) ? chance.below(4) : 0);
    case "chain":
    case "reserved":
      return undefined;
  }
}

/** In which order fields get their values: what others are chosen by comes first. */
const ORDER: Readonly<Record<Field["role"]["kind"], number>> = {
  size: 0,
  id: 0,
  fd: 0,
  iova: 1,
  choice: 1,
  alignment: 1,
  flags: 1,
  number: 2,
  length: 2,
  pointer: 3,
  count: 4,
  chain: 4,
  reserved: 4,
  unused: 4,
};

/** Whether there is to be an object depends on the flags, or what is to be done. */
function orderOf({ role }: Field): number {
  return role.kind === "id" && role.optional ? 2 : ORDER[role.kind];
}

/** A field, and what is known about its values beyond its role. */
interface Planned {
  readonly field: Field;
  readonly hint: (typeof HINTS)[string] | undefined;
}

function planOf({ name, fields }: Shape): Planned[] {
  return fields.filter(({ direction }) => direction !== "out")
    .sort((a, b) => orderOf(a) - orderOf(b))
    .map((field) => ({ field, hint: HINTS[`${name}.${field.name}`] }));
}

const PLANS = new WeakMap<Shape, readonly Planned[]>();

/** Puts good values into all fields that a caller sets. */
export function fillGood(filling: Filling): void {
  const { shape, into, wanted } = filling;
  let plan = PLANS.get(shape);
  if (plan === undefined) PLANS.set(shape, plan = planOf(shape));
  for (const { field, hint } of plan) {
    if (into.values.has(field.name)) continue;
    const asked = wanted[field.name];
    const value = asked ?? hint?.(filling) ?? goodValue(filling, field);
    if (value !== undefined) into.put(field, value);
    if (asked !== undefined) noteThing(filling, field, asked);
  }
}

/** An id that was asked for names an object too. */
function noteThing(filling: Filling, { name, role }: Field, id: Known): void {
  const thing = role.kind === "id" && filling.context.thing(id.value);
  if (thing) filling.things.set(name, thing);
}
