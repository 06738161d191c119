// SPDX-License-Identifier: GPL-2.0-only

/**
 * Good values for pointers: memory is there, as much as the extent says, and
 * holds what the kernel reads.
 *
 * @module
 */

import type { Role } from "../../../../impl/uapi/layout/roles.ts";
import {
  type Field,
  fieldsOf,
  type Struct,
} from "../../../../impl/uapi/layout/struct.ts";
import { isSince } from "../../../../impl/uapi/revision/versions.ts";
import { ViommuInvalidateSelftest } from "../../../../impl/uapi/selftest.ts";
import { placeForData, someRange, storeData } from "../verbs/arena.ts";
import { fieldOf, Filled, type Filling, plain, valueOf } from "./filling.ts";
import { DATA } from "./hints.ts";
import type { Known } from "../known/world.ts";

type Pointer = Extract<Role, { kind: "pointer" }>;

/** Bytes of the longest buffer that is made. */
const LONGEST = 32768;

function put(filling: Filling, name: string, value: number | bigint): void {
  const field = fieldOf(filling, name);
  if (field && !(name in filling.wanted)) filling.into.put(field, plain(value));
}

/** Memory that is pinned: that behind the IOVA, or any. */
function pinned(filling: Filling, { count }: Pointer): Known {
  const { maker, process, place, shape } = filling;
  if (place?.address !== undefined) {
    const isOptional = shape.name.endsWith("ACCESS_PAGES");
    return plain(isOptional && maker.chance.percent(50) ? 0 : place.address);
  }
  const range = someRange(maker, process);
  if (place === undefined) put(filling, count, range.length);
  return plain(range.address);
}

/** The struct that memory holds; undefined where no driver has a format of that number. */
function formatOf(
  filling: Filling,
  { extent: { formats, unit } }: Pointer,
): Struct<object> | undefined {
  if (unit !== undefined && "fields" in unit) return unit;
  if (formats === undefined) return undefined;
  const thing = filling.things.get("hwptId");
  if (thing?.of === "VIOMMU" && formats.field === "dataType") {
    return ViommuInvalidateSelftest;
  }
  return formats.structs[Number(valueOf(filling, formats.field))];
}

function sizeOf({ maker }: Filling, layout: Struct<object>): number {
  return layout.sizeIn(maker.shapes.uapi);
}

/** A struct that a driver, or an array, has. */
function fillStruct(
  filling: Filling,
  layout: Struct<object>,
  index = 0,
): Uint8Array<ArrayBuffer> {
  const { chance, shapes: { uapi } } = filling.maker;
  const filled = new Filled(layout.sizeIn(uapi));
  for (const field of fieldsOf(layout)) {
    const isHere = field.since === undefined || isSince(uapi, field.since);
    if (field.direction === "out" || !isHere) continue;
    const hint = DATA[`${layout.name}.${field.name}`];
    const value = hint?.(filling, index) ?? chance.below(4);
    filled.put(field, plain(value));
  }
  return filled.bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** An array of structs; the field that counts them, and that which tells how long each is. */
function fillArray(
  filling: Filling,
  { count, extent: { unit } }: Pointer,
  layout: Struct<object>,
): Uint8Array<ArrayBuffer> {
  const number = filling.maker.chance.below(4);
  put(filling, count, number);
  if (unit && "bytesIn" in unit) {
    put(filling, unit.bytesIn, sizeOf(filling, layout));
  }
  const elements = Array.from(
    { length: number },
    (_, index) => fillStruct(filling, layout, index),
  );
  return concat(elements);
}

/** Bytes that the field which counts them says. */
function bytesCounted(filling: Filling, { count, extent }: Pointer): number {
  const length = valueOf(filling, count);
  const { unit } = extent;
  if (unit === undefined || !("bitPer" in unit)) return Number(length);
  const each = valueOf(filling, unit.bitPer) || 1n;
  return Number((length / each + 63n) / 64n) * 8;
}

/** What the kernel reads or writes, by its extent. */
function content(filling: Filling, pointer: Pointer): Uint8Array<ArrayBuffer> {
  const { count, extent: { unit, formats } } = pointer;
  const { chance } = filling.maker;
  const layout = formatOf(filling, pointer);
  const isArray = unit !== undefined && ("fields" in unit || "bytesIn" in unit);
  if (layout !== undefined && isArray) {
    return fillArray(filling, pointer, layout);
  }
  if (layout !== undefined && pointer.use !== "writes") {
    put(filling, count, sizeOf(filling, layout));
    return fillStruct(filling, layout);
  }
  if (formats !== undefined) {
    const bytes = pointer.use === "writes" ? 4 * chance.below(5) : 0;
    put(filling, count, bytes);
    return new Uint8Array(bytes);
  }
  const bytes = Math.min(bytesCounted(filling, pointer), LONGEST);
  return chance.bytes(Math.min(bytes, 64));
}

/** The address of memory, which holds what it must. */
export function fillPointer(filling: Filling, field: Field): Known {
  const role = field.role as Pointer;
  if (role.use === "pins") return pinned(filling, role);
  const { maker, process } = filling;
  const bytes = content(filling, role);
  const isCounted = role.extent.unit === undefined ||
    "bitPer" in role.extent.unit;
  const length = isCounted
    ? Math.min(bytesCounted(filling, role), LONGEST)
    : bytes.length;
  if (bytes.length === 0 && length === 0) return plain(0);
  if (role.use === "writes") {
    return plain(placeForData(maker, process, length));
  }
  return plain(storeData(maker, process, bytes, length));
}
