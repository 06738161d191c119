// SPDX-License-Identifier: GPL-2.0-only

/**
 * A line of a program, read from left to right.
 *
 * @module
 */

import { suggestion, UsageError } from "../../lib/usage_error.ts";

/** The most names that a message lists. */
const LISTED = 12;

/** Reads a line. What does not fit throws a {@link UsageError} that names the line and what is allowed. */
export class Scanner {
  readonly #text: string;
  readonly #line: number;
  #at = 0;
  /** Where what was matched last begins. */
  #from = 0;

  /** `line` counts from 1. */
  constructor(text: string, line: number) {
    this.#text = text;
    this.#line = line;
    this.#skipSpace();
  }

  /** True at the end of the line, or before a comment. */
  get isAtEnd(): boolean {
    return this.#at === this.#text.length || this.#text[this.#at] === "#";
  }

  /** Throws: `why` is a sentence without its end. */
  refuse(why: string): never {
    const end = why.endsWith("?") ? "" : ".";
    const where = `Line ${this.#line}, column ${this.#at + 1}`;
    throw new UsageError(`${where}: ${why}${end}`);
  }

  /** Throws about a name that is none of those that are allowed. */
  refuseName(what: string, name: string, allowed: readonly string[]): never {
    const list = allowed.length <= LISTED
      ? `: it must be ${allowed.join(", ")}`
      : "";
    const near = suggestion(name, allowed);
    this.#at = this.#from;
    return this.refuse(
      `there is no ${what} "${name}"${list}${near && `.${near}`}`,
    );
  }

  /** Goes past a text if it comes next. */
  skip(text: string): boolean {
    if (!this.isNext(text)) return false;
    this.#at += text.length;
    this.#skipSpace();
    return true;
  }

  /** True if a text comes next. */
  isNext(text: string): boolean {
    return this.#text.startsWith(text, this.#at);
  }

  /** Goes past a text that must come next. */
  expect(text: string, where: string): void {
    if (!this.skip(text)) this.refuse(`${where} needs "${text}" here`);
  }

  /** What a pattern matches that comes next; undefined if it does not. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    const sticky = new RegExp(pattern, "y");
    sticky.lastIndex = this.#at;
    const match = sticky.exec(this.#text);
    if (match === null) return undefined;
    this.#from = this.#at;
    this.#at += match[0].length;
    this.#skipSpace();
    return match;
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
  }
}
