// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the fields of a uAPI struct mean: the words that all tables of structs
 * are written in.
 *
 * A role is there for whoever treats all ioctls alike: a report that prints
 * flags by name, a client that checks its arguments, a generator of calls that
 * needs to know which object an id names and how long a buffer must be.
 *
 * @module
 */

import { ENOENT, type Errno } from "../errno.ts";
import type { Lifetime, Version } from "../revision/versions.ts";
import type { FieldSpec, FieldType, Struct } from "./struct.ts";

/** What an id can name: Linux's types of objects, and what an access or a fault queue counts. */
export type Named =
  | "IOAS"
  | "HWPT_PAGING"
  | "HWPT_NESTED"
  | "DEVICE"
  | "FAULT"
  | "VIOMMU"
  | "VDEVICE"
  | "VEVENTQ"
  | "HW_QUEUE"
  | "SELFTEST"
  /** Pages that an access pinned. */
  | "ACCESS_PAGES"
  /** A group of page faults that wants an answer: its cookie. */
  | "PAGE_FAULT";

/** Which way a value goes: to the kernel, back from it, or both. */
export type Direction = "in" | "out" | "inout";

/** How much memory a pointer points to, beside the field that counts it, and what is there. */
export interface Extent {
  /**
   * What is counted: bytes, unless it is elements that are a struct; elements
   * as long as another field says; or bytes of IOVA, of which as many as
   * another field says share a bit.
   */
  readonly unit?:
    | Struct<object>
    | { readonly bytesIn: string }
    | { readonly bitPer: string };
  /** The structs that the memory holds by the value of another field, in which the drivers' own formats have numbers. */
  readonly formats?: {
    readonly field: string;
    readonly structs: Readonly<Record<number, Struct<object>>>;
  };
}

/** What a descriptor is open for: an access, a fault queue, memory, a DMA buffer, an iommufd. */
export type FileKind =
  | "access"
  | "fault queue"
  | "event queue"
  | "file"
  | "DMA buffer"
  | "iommufd";

/** What the kernel does with the memory behind a pointer. */
export type Use = "reads" | "writes" | "reads or writes" | "pins";

/** What a field's value means. */
export type Role =
  /** The bytes of the struct that the caller provides. */
  | { readonly kind: "size" }
  /** The id of an object; 0 for none where that is allowed. */
  | {
    readonly kind: "id";
    readonly of: readonly Named[];
    readonly optional: boolean;
    /** The errno if there is no such object. */
    readonly missing: Errno;
  }
  /** A descriptor. */
  | { readonly kind: "fd"; readonly of: FileKind }
  /** An address in the caller's memory. */
  | {
    readonly kind: "pointer";
    readonly use: Use;
    /** The field that says how much there is. */
    readonly count: string;
    readonly extent: Extent;
  }
  /** An address in an IO address space. */
  | { readonly kind: "iova" }
  /** Bytes. */
  | { readonly kind: "length" }
  /** A power of two, bytes. */
  | { readonly kind: "alignment" }
  /** How many there are of something; of structs that follow its own, if it names one. */
  | { readonly kind: "count"; readonly follow?: Struct<object> }
  /** Bits with names. */
  | {
    readonly kind: "flags";
    readonly bits: Readonly<Record<string, number | bigint>>;
  }
  /** One of a few values with names. */
  | {
    readonly kind: "choice";
    readonly values: Readonly<Record<string, number>>;
  }
  /** Where, from the start of the ioctl's struct, the next of a chain of structs lies; 0 for none. */
  | { readonly kind: "chain"; readonly structs: readonly Struct<object>[] }
  /** Must be 0: EOPNOTSUPP else, in the versions that look at it. */
  | { readonly kind: "reserved"; readonly checked: Lifetime }
  /** Nobody looks at it. */
  | { readonly kind: "unused" }
  /** A number that means nothing beyond its size. */
  | { readonly kind: "number" };

function field(type: FieldType, role: Role): FieldSpec {
  return { type, role, direction: "in" };
}

/** A field that only the kernel writes. */
export function out(spec: FieldSpec): FieldSpec {
  return { ...spec, direction: "out" };
}

/** A field that the kernel reads, and writes. */
export function inout(spec: FieldSpec): FieldSpec {
  return { ...spec, direction: "inout" };
}

/** Fields that came later than their struct. */
export function since<Name extends string>(
  version: Version,
  specs: Record<Name, FieldSpec>,
): Record<Name, FieldSpec> {
  const later = { ...specs };
  for (const name in later) later[name] = { ...later[name], since: version };
  return later;
}

/** A field at an offset of its own, behind a union. */
export function at(offset: number, spec: FieldSpec): FieldSpec {
  return { ...spec, at: offset };
}

/** A u8 without a role. */
export function u8(): FieldSpec {
  return field("u8", { kind: "number" });
}
/** A u16 without a role. */
export function u16(): FieldSpec {
  return field("u16", { kind: "number" });
}
/** A u32 without a role. */
export function u32(): FieldSpec {
  return field("u32", { kind: "number" });
}
/** An s32 without a role. */
export function s32(): FieldSpec {
  return field("s32", { kind: "number" });
}
/** A u64 without a role; its value is a bigint. */
export function u64(): FieldSpec {
  return field("u64", { kind: "number" });
}

/** The bytes of the struct that the caller provides. */
export function size(): FieldSpec {
  return field("u32", { kind: "size" });
}

/** The id of an object of one of some types; of any type if none is named. */
export function id(...of: readonly Named[]): FieldSpec {
  return idElse(ENOENT, ...of);
}

/** The id of an object, with an errno of its own if there is none. */
export function idElse(missing: Errno, ...of: readonly Named[]): FieldSpec {
  return field("u32", { kind: "id", of, optional: false, missing });
}

/** The id of an object, or 0. */
export function idOrZero(...of: readonly Named[]): FieldSpec {
  return field("u32", { kind: "id", of, optional: true, missing: ENOENT });
}

/** A descriptor. */
export function fd(of: FileKind, type: FieldType = "u32"): FieldSpec {
  return field(type, { kind: "fd", of });
}

/** The address of memory: what the kernel does with it, and which field counts how much there is. */
export function pointer(
  use: Use,
  count: string,
  extent: Extent = {},
): FieldSpec {
  return field("u64", { kind: "pointer", use, count, extent });
}

/** An address in an IO address space. */
export function iova(): FieldSpec {
  return field("u64", { kind: "iova" });
}

/** Bytes. */
export function length(type: FieldType = "u64"): FieldSpec {
  return field(type, { kind: "length" });
}

/** A power of two, bytes. */
export function alignment(): FieldSpec {
  return field("u64", { kind: "alignment" });
}

/** How many there are of something; of structs that follow, if one is named. */
export function count(follow?: Struct<object>): FieldSpec {
  return field("u32", follow ? { kind: "count", follow } : { kind: "count" });
}

/** Bits by name; all others are refused, or never set. */
export function flags(
  bits: Readonly<Record<string, number | bigint>> = {},
  type: FieldType = "u32",
): FieldSpec {
  return field(type, { kind: "flags", bits });
}

/** One of some values by name. */
export function choice(
  values: Readonly<Record<string, number>>,
  type: FieldType = "u32",
): FieldSpec {
  return field(type, { kind: "choice", values });
}

/** The offset of a chain of structs. */
export function chain(...structs: readonly Struct<object>[]): FieldSpec {
  return field("u32", { kind: "chain", structs });
}

/** Must be 0; `checked` says in which versions that is looked at, if not in all. */
export function reserved(
  type: FieldType = "u32",
  checked: Lifetime = {},
): FieldSpec {
  return field(type, { kind: "reserved", checked });
}

/** A field that nobody looks at. */
export function unused(type: FieldType = "u32"): FieldSpec {
  return field(type, { kind: "unused" });
}
