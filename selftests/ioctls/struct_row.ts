// SPDX-License-Identifier: GPL-2.0-only

/**
 * An ioctl and its struct as a row of a table: which sizes, fields and bits it
 * accepts, and a call that is right.
 *
 * @module
 */

import type { Revision } from "../../impl/uapi/revision.ts";
import type { Lifetime } from "../../impl/uapi/revision/versions.ts";
import type { Field, Struct } from "../../impl/uapi/layout/struct.ts";
import type { Iommufd } from "./ioctls.ts";
import type { Need } from "../target/capabilities.ts";

/** The objects that the calls are about. Those of devices are 0 for ioctls that came before them. */
export interface StructSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** An IOAS with nothing in it. */
  readonly ioasId: number;
  /** A mock device. */
  readonly idevId: number;
  /** An IOAS's HWPT that can track dirty pages. */
  readonly hwptId: number;
  /** A nested HWPT. */
  readonly nestedId: number;
}

/** A call that succeeds. */
export interface Prepared {
  /** The struct. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Checks the answer, and gives back what the call made. */
  done(answer: Uint8Array): Promise<void>;
}

/** Bits that a struct may have: the rest of the field is refused. */
export interface Bits {
  /** Where they are. */
  readonly field: Field;
  /** The field's name. */
  readonly name: string;
  /** Those that mean something, or that nobody looks at. */
  known(revision: Revision): number;
  /** True if they are looked at before any id. */
  readonly first: boolean;
}

/** A field that has one of a few values. */
export interface Choice {
  /** Where it is. */
  readonly field: Field;
  /** The field's name. */
  readonly name: string;
  /** The lowest value that means nothing. */
  readonly unknown: number;
}

/** An ioctl and its struct. */
export interface StructRow extends Lifetime {
  /** The variant's name. */
  readonly name: string;
  /** The ioctl. */
  readonly cmd: number;
  /** What it needs of the target. */
  readonly needs: readonly Need[];
  /** True if it writes its struct back. */
  readonly replies: boolean;
  /** Bytes of the struct, and of its first version. */
  sizes(revision: Revision): { readonly size: number; readonly min: number };
  /** Flags and reserved fields. */
  readonly bits: readonly Bits[];
  /** Fields with a choice of values. */
  readonly choices: readonly Choice[];
  /** A call that succeeds, and makes what it needs for that. */
  prepare(self: StructSelf): Promise<Prepared>;
}

/** A field of which no bit is refused. */
export const ALL_BITS: number = 0xffffffff;

/** The parts of a row that have the struct's type. */
interface RowOptions<T> extends Lifetime {
  /** Last field of the struct's first version. */
  readonly last: keyof T & string;
  readonly needs?: readonly Need[];
  readonly replies?: boolean;
  /** Fields that are checked to be 0 in all revisions. */
  readonly reserved?: readonly (keyof T & string)[];
  /** The same, but only where the revision checks reserved fields. */
  readonly reservedLater?: readonly (keyof T & string)[];
  /** Fields that should be 0 and are not checked. */
  readonly ignored?: readonly (keyof T & string)[];
  /** Known bits of `flags`. */
  flags?(revision: Revision): number;
  /** True if `flags` is looked at after the ids. */
  readonly flagsAfterIds?: boolean;
  /** Fields with a choice, and the lowest value that means nothing. */
  readonly choices?: Readonly<Partial<Record<keyof T & string, number>>>;
  /** What to call it with. */
  values(self: StructSelf): Promise<Partial<T>> | Partial<T>;
  /** See {@link Prepared.done}. */
  done?(self: StructSelf, answer: T): Promise<void> | void;
}

/** Makes a row. */
export function row<T extends { size: number }>(
  name: string,
  cmd: number,
  layout: Struct<T>,
  options: RowOptions<T>,
): StructRow {
  const { size, fields } = layout;
  const min = layout.offsetofend(options.last);
  return {
    name,
    cmd,
    ...options.since && { since: options.since },
    needs: options.needs ?? [],
    replies: options.replies ?? false,
    sizes: () => ({ size, min }),
    bits: bitsOf(fields, options),
    choices: Object.entries<number | undefined>(options.choices ?? {}).map((
      [name, unknown],
    ) => ({
      name,
      field: fields[name as keyof T & string],
      unknown: unknown!,
    })),
    async prepare(self) {
      return {
        bytes: layout.encode(await options.values(self)),
        async done(answer) {
          await options.done?.(self, layout.decode(answer));
        },
      };
    },
  };
}

/** The flags and reserved fields of a row. */
function bitsOf<T>(
  fields: Readonly<Record<keyof T & string, Field>>,
  options: RowOptions<T>,
): Bits[] {
  function named(
    names: readonly (keyof T & string)[] | undefined,
    known: Bits["known"],
  ): Bits[] {
    return (names ?? []).map((name) => ({
      name,
      field: fields[name],
      known,
      first: true,
    }));
  }
  const { reserved, reservedLater, ignored, flags } = options;
  const list = [
    ...named(reserved, () => 0),
    ...named(
      reservedLater,
      ({ objects }) => objects.checksReservedFields ? 0 : ALL_BITS,
    ),
    ...named(ignored, () => ALL_BITS),
  ];
  if (flags) {
    const field = fields["flags" as keyof T & string];
    const first = !options.flagsAfterIds;
    list.push({ name: "flags", field, known: flags, first });
  }
  return list;
}
