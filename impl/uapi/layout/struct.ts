// SPDX-License-Identifier: GPL-2.0-only

/**
 * C structs over bytes, declared once as a table of fields with their roles.
 *
 * The table becomes accessors on a prototype when the module loads, so that
 * reading a field of a live struct costs what a hand-written getter costs.
 *
 * @module
 */

import { isSince, type Version } from "../revision/versions.ts";
import type { Direction, Role } from "./roles.ts";

/** A u64 that is given: a bigint, or a number up to 2^53-1. */
export type U64 = number | bigint;

/** Values for the fields of a struct; those of a u64 may be numbers. */
export type Values<T> = {
  readonly [Name in keyof T]?: T[Name] extends bigint ? U64 : T[Name];
};

/** The C types that uAPI structs use. A user pointer is a u64. */
export type FieldType = "u8" | "u16" | "u32" | "s32" | "u64";

const FIELD_SIZE: Record<FieldType, number> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
};

/** What a table of fields says about one; `impl/uapi/roles.ts` has a function for each role. */
export interface FieldSpec {
  /** The C type. */
  readonly type: FieldType;
  /** What its value means. */
  readonly role: Role;
  /** Which way it goes. */
  readonly direction: Direction;
  /** The first version that has it, if the struct was there before. */
  readonly since?: Version;
  /** Byte offset, if not the next that C would choose. */
  readonly at?: number;
}

/** One field of a struct. */
export interface Field extends FieldSpec {
  /** Its name in camelCase; Linux's is `ioas_id` for `ioasId`. */
  readonly name: string;
  /** Byte offset from the start of the struct. */
  readonly offset: number;
}

/** The layout of one C struct, and the ways to read and write it. */
export interface Struct<T> {
  /** The C name, for instance `iommu_ioas_map`. */
  readonly name: string;
  /** sizeof in bytes, in the newest version. */
  readonly size: number;
  /** The fields by their camelCase name, in the order of declaration. */
  readonly fields: Readonly<Record<keyof T & string, Field>>;
  /** sizeof in a version that has the struct: less than `size` before it grew. */
  sizeIn(version: Version): number;
  /** Byte offset of the end of a field: C's `offsetofend`. */
  offsetofend(field: keyof T & string): number;
  /** A live view: reading and writing its properties reads and writes `bytes`. */
  at(bytes: Uint8Array): T;
  /** A plain object with the values of all fields. */
  decode(bytes: Uint8Array): T;
  /**
   * Fresh bytes with the given values and zero elsewhere. The field that says
   * how long the struct is, is filled in with the sizeof unless given. Throws
   * RangeError for a number that is no u64, or not exact.
   */
  encode(values?: Partial<T> | Values<T>): Uint8Array<ArrayBuffer>;
}

/** The fields of a struct in the order of their declaration. */
export function fieldsOf(layout: Struct<object>): readonly Field[] {
  return Object.values<Field>(layout.fields);
}

/**
 * Declares a struct: its C name and its fields, which lie where C puts them.
 * It is padded as its widest field demands, or as told.
 */
export function struct<T extends object>(
  name: string,
  specs: Record<keyof NoInfer<T> & string, FieldSpec>,
  alignment = 1,
): Struct<T> {
  const fields = placed(specs);
  const list = Object.values<Field>(fields);
  const size = sizeOf(list, alignment);
  class View {
    readonly view: DataView;
    constructor(bytes: Uint8Array) {
      this.view = new DataView(bytes.buffer, bytes.byteOffset, size);
    }
  }
  for (const field of list) {
    Object.defineProperty(View.prototype, field.name, accessor(field));
  }

  function at(bytes: Uint8Array): T {
    return new View(bytes) as unknown as T;
  }
  const blank = new Uint8Array(size);
  for (const field of list) {
    if (field.role.kind === "size") {
      put(new DataView(blank.buffer), field, size);
    }
  }
  return {
    name,
    size,
    fields,
    sizeIn: (version: Version) =>
      sizeOf(
        list.filter(({ since }) => !since || isSince(version, since)),
        alignment,
      ),
    offsetofend: (field: keyof T & string) => endOf(fields[field]),
    at,
    decode(bytes: Uint8Array): T {
      const view = at(bytes) as Record<string, unknown>;
      const values: Record<string, unknown> = {};
      for (const { name } of list) values[name] = view[name];
      return values as T;
    },
    encode(values: Partial<T> | Values<T> = {}): Uint8Array<ArrayBuffer> {
      const bytes = blank.slice();
      const view = new DataView(bytes.buffer);
      for (const field of list) {
        const value = values[field.name as keyof T];
        if (value !== undefined) put(view, field, value as U64);
      }
      return bytes;
    },
  };
}

/** The fields at the offsets that C gives them. */
function placed<Name extends string>(
  specs: Record<Name, FieldSpec>,
): Record<Name, Field> {
  const fields = {} as Record<Name, Field>;
  let end = 0;
  for (const name of Object.keys(specs) as Name[]) {
    const spec = specs[name];
    const offset = spec.at ?? alignTo(end, FIELD_SIZE[spec.type]);
    fields[name] = { ...spec, name, offset };
    end = endOf(fields[name]);
  }
  return fields;
}

function endOf({ offset, type }: Field): number {
  return offset + FIELD_SIZE[type];
}

/** sizeof: up to the end of the last field, padded. */
function sizeOf(fields: readonly Field[], alignment: number): number {
  const widths = fields.map(({ type }) => FIELD_SIZE[type]);
  const end = Math.max(...fields.map(endOf));
  return alignTo(end, Math.max(alignment, ...widths));
}

function alignTo(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
/** Writes the value of a field, little-endian as on x86-64. */
function put(
  view: DataView,
  { name, type, offset }: Field,
  value: U64,
): void {
  switch (type) {
    case "u8":
      return view.setUint8(offset, value as number);
    case "u16":
      return view.setUint16(offset, value as number, true);
    case "u32":
      return view.setUint32(offset, value as number, true);
    case "s32":
      return view.setInt32(offset, value as number, true);
    case "u64":
      return view.setBigUint64(offset, toBigInt(name, value), true);
  }
}

/** The value of a u64 field. Throws RangeError. */
function toBigInt(name: string, value: U64): bigint {
  if (typeof value === "bigint") return value;
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw new RangeError(
    `${name} must be an integer, and a bigint above 2^53-1, not the number ${value}`,
  );
}

/** The getter and setter of one field. */
function accessor(field: Field): PropertyDescriptor {
  type View = { view: DataView };
  return {
    get: getter(field),
    set(this: View, value: U64) {
      put(this.view, field, value);
    },
  };
}

/** The getter of one field: each type has its own, since they are called often. */
function getter({ type, offset }: Field): () => number | bigint {
  type View = { view: DataView };
  switch (type) {
    case "u8":
      return function (this: View) {
        return this.view.getUint8(offset);
      };
    case "u16":
      return function (this: View) {
        return this.view.getUint16(offset, true);
      };
    case "u32":
      return function (this: View) {
        return this.view.getUint32(offset, true);
      };
    case "s32":
      return function (this: View) {
        return this.view.getInt32(offset, true);
      };
    case "u64":
      return function (this: View) {
        return this.view.getBigUint64(offset, true);
      };
  }
}
