// SPDX-License-Identifier: GPL-2.0-only

/**
 * Text of others, made fit for a terminal and a log.
 *
 * @module
 */

/**
 * What a terminal would obey instead of showing it: control characters but for
 * the ends of lines and tabs, characters that turn the direction of text or
 * have no width, and halves of surrogate pairs.
 */
const UNPRINTABLE = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * A value with all texts in it made printable: what a terminal would obey
 * stands there as it is written in source code, such as `\x1b`. Everything that
 * a target or a file says comes through here before a report sees it.
 */
export function printable<T>(value: T): T;
export function printable(value: unknown): unknown {
  if (typeof value === "string") {
    return value.replaceAll("\r\n", "\n").replace(UNPRINTABLE, escape);
  }
  if (Array.isArray(value)) return value.map((each) => printable(each));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, printable(each)]),
  );
}

function escape(character: string): string {
  const code = character.codePointAt(0)!;
  const digits = code.toString(16);
  return code < 0x100 ? `\\x${digits.padStart(2, "0")}` : `\\u{${digits}}`;
}
