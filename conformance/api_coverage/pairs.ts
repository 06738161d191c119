// SPDX-License-Identifier: GPL-2.0-only

/**
 * The words that the table of reachable pairs is written in: what an ioctl can
 * come to, and how a caller gets there.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import {
  existsIn,
  type Lifetime,
  type Version,
} from "../../impl/uapi/revision/versions.ts";
import type { FileWithIoctls } from "./coverage.ts";

/** What brings a pair about. */
export const MEANS = {
  /** The calls alone. */
  caller: "calls",
  /** Only a step of the kernel that fails: for want of memory, or with fail_nth. */
  fails: "a step that fails",
  /** Only two calls at the same time. */
  race: "a race",
  /** Only hardware, or a driver, that the targets do not have. */
  hardware: "hardware",
} as const;

/** What brings a pair about. */
export type Means = keyof typeof MEANS;

/** How an ioctl comes to an errno. */
export interface Way extends Lifetime {
  /** When it does, in a few words. */
  readonly when: string;
  /** What it takes. */
  readonly by: Means;
}

/** All that an ioctl can come to, each with the way there; a text is a way by calls, in all versions. */
export type Row = Readonly<Record<string, string | Way>>;

/** The ioctls of a file, or the operations of the test ioctl, by the names that reports have for them. */
export type Rows = Readonly<Record<string, Row>>;

/** What an ioctl can come to in a revision. */
export interface Pair extends Way {
  /** The file. */
  readonly file: FileWithIoctls;
  /** The ioctl, with the operation of the test ioctl. */
  readonly name: string;
  /** `ok`, or an errno by name. */
  readonly result: string;
}

/** Only when a step of the kernel fails. */
export function fails(when: string): Way {
  return { when, by: "fails" };
}

/** Only when two calls meet. */
export function race(when: string): Way {
  return { when, by: "race" };
}

/** Only with hardware that the targets do not have. */
export function hardware(when: string): Way {
  return { when, by: "hardware" };
}

/** The same from a version on. */
export function since(version: Version, way: string | Way): Way {
  return { ...wayOf(way), since: version };
}

/** The same before a version. */
export function until(version: Version, way: string | Way): Way {
  return { ...wayOf(way), until: version };
}

function wayOf(way: string | Way): Way {
  return typeof way === "string" ? { when: way, by: "caller" } : way;
}

/** The pairs of a file in a revision. */
export function pairsOf(
  file: FileWithIoctls,
  rows: Rows,
  uapi: RevisionName,
): Pair[] {
  return Object.entries(rows).flatMap(([name, row]) =>
    Object.entries(row).map(([result, way]): Pair => ({
      file,
      name,
      result,
      ...wayOf(way),
    }))
  ).filter((pair) => existsIn(uapi, pair));
}
