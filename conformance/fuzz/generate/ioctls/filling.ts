// SPDX-License-Identifier: GPL-2.0-only

/**
 * The struct of an ioctl that is being filled in.
 *
 * @module
 */

import type { Field, FieldType } from "../../../../impl/uapi/layout/struct.ts";
import type { Patch } from "../../../../selftests/target/program.ts";
import type { Maker } from "../maker.ts";
import type { Place } from "./places.ts";
import type { Shape } from "../known/shapes.ts";
import type { Context, Fd, Known, Proc, Thing } from "../known/world.ts";

/** Bytes of the types of fields. */
export const BYTES: Readonly<Record<FieldType, 1 | 2 | 4 | 8>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
};

/** The struct argument of `ioctl`. */
const STRUCT = 2;

/** Bytes that get values, some of which are those of earlier steps. */
export class Filled {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** What was put, by the names of the fields. */
  readonly values = new Map<string, Known>();

  /** Zeros. */
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Puts a value, or its lowest bytes. */
  put({ name, offset, type }: Field, known: Known): void {
    this.values.set(name, known);
    const { view } = this;
    const { value } = known;
    if (type === "u64") return view.setBigUint64(offset, BigInt(value), true);
    const low = typeof value === "number" ? value : Number(value & 0xffffffffn);
    if (type === "u16") view.setUint16(offset, low, true);
    else if (type === "u8") view.setUint8(offset, low);
    else view.setUint32(offset, low, true);
  }

  /** What puts the values of earlier steps in again. */
  patches(fields: readonly Field[], arg: number = STRUCT): Patch[] {
    const patches: Patch[] = [];
    for (const { name, offset, type } of fields) {
      const from = this.values.get(name)?.from;
      if (from === undefined) continue;
      patches.push({ arg, field: { offset, bytes: BYTES[type] }, from });
    }
    return patches;
  }
}

/** An ioctl that is being made. */
export interface Filling {
  readonly maker: Maker;
  readonly process: Proc;
  readonly shape: Shape;
  /** What it is made on. */
  readonly on: Fd;
  /** The iommufd whose ids it has. */
  readonly context: Context;
  /** The struct. */
  readonly into: Filled;
  /** What is asked for, by the names of the fields. */
  readonly wanted: Readonly<Record<string, Known>>;
  /** The objects that its ids name. */
  readonly things: Map<string, Thing>;
  /** The range of IOVA that it is about. */
  place: Place | undefined;
}

/** A plain value. */
export function plain(value: number | bigint): Known {
  return { value };
}

/** The value of a field so far; 0 before it has one. */
export function valueOf({ into }: Filling, name: string): bigint {
  return BigInt(into.values.get(name)?.value ?? 0);
}

/** The field with a name; undefined where the revision has none. */
export function fieldOf({ shape }: Filling, name: string): Field | undefined {
  return shape.fields.find((field) => field.name === name);
}
