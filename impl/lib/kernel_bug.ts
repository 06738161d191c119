// SPDX-License-Identifier: GPL-2.0-only

/**
 * The exception for a broken invariant of this model.
 *
 * @module
 */

/** A broken invariant of the model: never the consequence of what a user did. */
export class KernelBug extends Error {
  /** Name of the class. */
  override name = "KernelBug";
}
