// SPDX-License-Identifier: GPL-2.0-only

/**
 * C structs over bytes, declared once as a table of fields.
 *
 * The table becomes accessors on a prototype when the module loads, so that
 * reading a field of a live struct costs what a hand-written getter costs.
 *
 * @module
 */

import { type ByVersion, valueIn, type Version } from "./revision/versions.ts";

/** The C types that uAPI structs use; `ptr` is a u64 that holds a user address. */
export type FieldType = "u8" | "u16" | "u32" | "s32" | "u64";

/** One field of a struct. Offsets and sizes are in bytes. */
export interface Field {
  /** The C type. */
  readonly type: FieldType;
  /** Byte offset from the start of the struct. */
  readonly offset: number;
}

const FIELD_SIZE: Record<FieldType, number> = {
  u8: 1,
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
};

/** A field of type u8 at `offset`. */
export function u8(offset: number): Field {
  return { type: "u8", offset };
}
/** A field of type u16 at `offset`. */
export function u16(offset: number): Field {
  return { type: "u16", offset };
}
/** A field of type u32 at `offset`. */
export function u32(offset: number): Field {
  return { type: "u32", offset };
}
/** A field of type s32 at `offset`. */
export function s32(offset: number): Field {
  return { type: "s32", offset };
}
/** A field of type u64 (or a user pointer) at `offset`; its value is a bigint. */
export function u64(offset: number): Field {
  return { type: "u64", offset };
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
   * Fresh bytes with the given values and zero elsewhere. A field called
   * `size` or `argsz` is filled in with the sizeof unless given.
   */
  encode(values?: Partial<T>): Uint8Array<ArrayBuffer>;
}

/**
 * Declares a struct: its C name, its sizeof in bytes (of one that grew: from
 * which version on) and its fields.
 */
export function struct<T extends object>(
  name: string,
  sizes: number | ByVersion<number>,
  fields: Record<keyof NoInfer<T> & string, Field>,
): Struct<T> {
  const byVersion = typeof sizes === "number" ? {} : sizes;
  const size = typeof sizes === "number"
    ? sizes
    : Math.max(...Object.values(sizes));
  class View {
    readonly view: DataView;
    constructor(bytes: Uint8Array) {
      this.view = new DataView(bytes.buffer, bytes.byteOffset, size);
    }
  }
  const names = Object.keys(fields) as (keyof T & string)[];
  for (const field of names) {
    const { type, offset } = fields[field];
    Object.defineProperty(View.prototype, field, accessor(type, offset));
  }

  function at(bytes: Uint8Array): T {
    return new View(bytes) as unknown as T;
  }
  return Object.freeze({
    name,
    size,
    fields,
    sizeIn: (version: Version) => valueIn(version, byVersion) ?? size,
    offsetofend: (field: keyof T & string) =>
      fields[field].offset + FIELD_SIZE[fields[field].type],
    at,
    decode(bytes: Uint8Array): T {
      const view = at(bytes);
      const values = {} as T;
      for (const field of names) values[field] = view[field];
      return values;
    },
    encode(values: Partial<T> = {}): Uint8Array<ArrayBuffer> {
      const bytes = new Uint8Array(size);
      const view = at(bytes) as Record<string, unknown>;
      if ("size" in fields) view.size = size;
      if ("argsz" in fields) view.argsz = size;
      for (const field of names) {
        if (values[field] !== undefined) view[field] = values[field];
      }
      return bytes;
    },
  });
}

/** The getter and setter of one field, little-endian as on x86-64. */
function accessor(type: FieldType, offset: number): PropertyDescriptor {
  type View = { view: DataView };
  switch (type) {
    case "u8":
      return {
        get(this: View) {
          return this.view.getUint8(offset);
        },
        set(this: View, value: number) {
          this.view.setUint8(offset, value);
        },
      };
    case "u16":
      return {
        get(this: View) {
          return this.view.getUint16(offset, true);
        },
        set(this: View, value: number) {
          this.view.setUint16(offset, value, true);
        },
      };
    case "u32":
      return {
        get(this: View) {
          return this.view.getUint32(offset, true);
        },
        set(this: View, value: number) {
          this.view.setUint32(offset, value, true);
        },
      };
    case "s32":
      return {
        get(this: View) {
          return this.view.getInt32(offset, true);
        },
        set(this: View, value: number) {
          this.view.setInt32(offset, value, true);
        },
      };
    case "u64":
      return {
        get(this: View) {
          return this.view.getBigUint64(offset, true);
        },
        set(this: View, value: bigint) {
          this.view.setBigUint64(offset, value, true);
        },
      };
  }
}
