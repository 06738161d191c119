// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a scenario is.
 *
 * @module
 */

/** A program to watch, with a comment in front of each step that says what to look at. */
export interface Scenario {
  /** Its name in links. */
  readonly id: string;
  /** What it shows. */
  readonly title: string;
  /** The program. */
  readonly text: string;
}
