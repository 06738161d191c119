// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a group of differences is written with.
 *
 * @module
 */

import { type ByVersion, isSince, valueIn, type Version } from "./versions.ts";

/** A group as code sees it: its differences, as plain properties. */
export type Resolved<Group> = Readonly<Pick<Group, keyof Group>>;

/**
 * A group of differences, resolved for a version when it is made: each is a
 * property whose initial value says from when it holds.
 */
export abstract class Differences {
  readonly #version: Version;

  /** The group in a version. */
  constructor(version: Version) {
    this.#version = version;
  }

  /** True from a version on. */
  protected since(version: Version): boolean {
    return isSince(this.#version, version);
  }

  /** True before a version. */
  protected until(version: Version): boolean {
    return !isSince(this.#version, version);
  }

  /** One of several values, each from its version on. */
  protected from<T>(values: ByVersion<T> & { readonly v3: T }): T {
    return valueIn(this.#version, values) as T;
  }
}
