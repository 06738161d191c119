// SPDX-License-Identifier: GPL-2.0-only

/**
 * Points in time, and what is there at which of them: the words that all
 * tables of differences are written in.
 *
 * @module
 */

/**
 * The points in time, oldest first: the series as posted, then each Linux. A
 * fix counts from the Linux that it was made for on, or from an older one that
 * is offered and got it with a stable update.
 */
export const VERSIONS = [
  "v3",
  "6.2",
  "6.3",
  "6.4",
  "6.5",
  "6.6",
  "6.7",
  "6.8",
  "6.9",
  "6.10",
  "6.11",
  "6.12",
  "6.13",
  "6.14",
  "6.15",
  "6.16",
  "6.17",
  "6.18",
  "6.19",
  "7.0",
  "7.1",
  "7.2",
  "7.3",
] as const;

/** A point in time. */
export type Version = typeof VERSIONS[number];

/** When there is something: by default always. */
export interface Lifetime {
  /** The first version that has it. */
  readonly since?: Version;
  /** The first version that has it no more. */
  readonly until?: Version;
}

/** Values that hold from a version on, until the next one that is named. */
export type ByVersion<T> = { readonly [V in Version]?: T };

/** Whether `version` is `since` or newer. */
export function isSince(version: Version, since: Version): boolean {
  return VERSIONS.indexOf(version) >= VERSIONS.indexOf(since);
}

/** Whether there is something in a version. */
export function existsIn(
  version: Version,
  { since = VERSIONS[0], until }: Lifetime,
): boolean {
  return isSince(version, since) &&
    (until === undefined || !isSince(version, until));
}

/** The value that holds in a version; undefined before the first that is named. */
export function valueIn<T>(
  version: Version,
  values: ByVersion<T>,
): T | undefined {
  const last = VERSIONS.findLast((at) =>
    values[at] !== undefined && isSince(version, at)
  );
  return last && values[last];
}
