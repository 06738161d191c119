// SPDX-License-Identifier: GPL-2.0-only

/**
 * A row of the table of ioctls: an ioctl and its struct are one thing.
 *
 * @module
 */

import type { Lifetime, Version } from "./revision/versions.ts";
import { type FieldSpec, type Struct, struct } from "./layout/struct.ts";

/** A name that C has for a number, and when the kernel has what it stands for. */
export interface Numbered extends Lifetime {
  /** The C constant, for instance `IOMMU_IOAS_MAP`. */
  readonly name: string;
  /** Its value. */
  readonly number: number;
}

/** A constant as `{ IOMMU_HWPT_ALLOC, since: "6.6" }`; without `since` it was always there. */
export type Constant = Readonly<Record<string, number | Version>>;

/** What a constant stands for. */
export function numbered({ since, ...constant }: Constant): Numbered {
  const [[name, number]] = Object.entries(constant) as [[string, number]];
  return since ? { name, number, since: since as Version } : { name, number };
}

/** What the struct of every iommufd ioctl begins with. */
export interface Sized {
  /** Bytes of this struct that the caller provides. */
  size: number;
}

/** The struct of an ioctl. */
export interface IoctlStruct<T> extends Struct<T> {
  /** The ioctl. */
  readonly ioctl: Numbered;
  /** Bytes that a caller must provide at least (Linux: IOCTL_OP). */
  minSizeIn(version: Version): number;
}

/** An ioctl whose argument is a plain number, or a struct that is not modelled. */
export interface PlainIoctl {
  /** The ioctl. */
  readonly ioctl: Numbered;
  /** What its argument means. */
  readonly arg: FieldSpec;
}

/** A row of the table. */
export type Ioctl = IoctlStruct<object> | PlainIoctl;

/**
 * Declares an ioctl with its struct: its constant, the C name of the struct,
 * and its fields. A caller must provide the fields up to `last`; by default the
 * ones that the struct had when it was new.
 */
export function ioctl<T extends object>(
  constant: Constant,
  name: string,
  fields: Record<keyof NoInfer<T> & string, FieldSpec>,
  last?: keyof NoInfer<T> & string,
): IoctlStruct<T> {
  const layout = struct<T>(name, fields);
  const names = Object.keys(fields) as (keyof T & string)[];
  const first = names.findLast((name) => fields[name].since === undefined)!;
  const minSize = layout.offsetofend(last ?? first);
  const ioctl = numbered(constant);
  return { ...layout, ioctl, minSizeIn: () => minSize };
}
