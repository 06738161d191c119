// SPDX-License-Identifier: GPL-2.0-only

/**
 * Keys of the interval trees: page indexes as numbers, IOVAs as bigints.
 *
 * The trees and the span iterators serve both kinds with the same code. An
 * engine specialises an operator for the operand types that it has met at that
 * place, and falls back to a slow general form where it has met both. So each
 * operator that the trees need stands here twice, once for each kind.
 *
 * @module
 */

/** A position: a page index (number) or an IOVA (bigint). One tree keeps to one kind. */
export type Key = number | bigint;

/** Whether `a` lies before `b`. */
export function isBefore<K extends Key>(a: K, b: K): boolean {
  return typeof a === "bigint" ? a < b : a < b;
}

/** Whether `a` and `b` are the same position. */
export function isSame<K extends Key>(a: K, b: K): boolean {
  return typeof a === "bigint" ? a === b : a === b;
}

/** The position after `key`. A bigint does not wrap: after 2^64-1 comes 2^64. */
export function after<K extends Key>(key: K): K {
  return (typeof key === "bigint" ? key + 1n : (key as number) + 1) as K;
}

/** The position before `key`. */
export function before<K extends Key>(key: K): K {
  return (typeof key === "bigint" ? key - 1n : (key as number) - 1) as K;
}
