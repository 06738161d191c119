// SPDX-License-Identifier: GPL-2.0-only

/**
 * Typed arrays that become longer as they are needed.
 *
 * @module
 */

/** What can be copied into a longer one of its kind. */
interface Growable<T> {
  readonly length: number;
  readonly constructor: unknown;
  set(from: T): void;
}

/** The array, or a longer one with the same contents, so that there is an element `index`. */
export function grown<T extends Growable<T>>(array: T, index: number): T {
  if (index < array.length) return array;
  const Kind = array.constructor as new (length: number) => T;
  const longer = new Kind(Math.max(index + 1, array.length * 2));
  longer.set(array);
  return longer;
}
