// SPDX-License-Identifier: GPL-2.0-only

/**
 * Types of the `@std` functions that this project uses. The npm package that
 * deno.json maps these names to carries the standard library's code, but not
 * its declarations; the signatures are those of the library's documentation.
 * What a test needs beside them is declared here when it does.
 */

declare module "@std/assert" {
  // deno-lint-ignore no-explicit-any -- a class of any constructor, as in the library
  type AnyConstructor = abstract new (...args: any[]) => unknown;
  // deno-lint-ignore no-explicit-any -- likewise, of errors
  type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

  /** Asserts that a value is truthy. */
  export function assert(expr: unknown, msg?: string): asserts expr;
  /** Asserts that two values are equal in depth. */
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  /** Asserts that two values differ in depth. */
  export function assertNotEquals<T>(
    actual: T,
    expected: T,
    msg?: string,
  ): void;
  /** Asserts that two values are the same one. */
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    msg?: string,
  ): asserts actual is T;
  /** Asserts that a value is an instance of a class. */
  export function assertInstanceOf<T extends AnyConstructor>(
    actual: unknown,
    expectedType: T,
    msg?: string,
  ): asserts actual is InstanceType<T>;
  /** Asserts that a string contains another. */
  export function assertStringIncludes(
    actual: string,
    expected: string,
    msg?: string,
  ): void;
  /** Asserts that a string matches a pattern. */
  export function assertMatch(
    actual: string,
    expected: RegExp,
    msg?: string,
  ): void;
  /** Asserts that a function throws. */
  export function assertThrows(fn: () => unknown, msg?: string): unknown;
  /** Asserts that a function throws an instance of a class; returns it. */
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    errorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ): E;
  /** Asserts that a promise rejects. */
  export function assertRejects(
    fn: () => PromiseLike<unknown>,
    msg?: string,
  ): Promise<unknown>;
  /** Asserts that a promise rejects with an instance of a class; resolves to it. */
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    errorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
}

declare module "@std/cli/parse-args" {
  /** How arguments are to be read. */
  export interface ParseOptions {
    /** Flags that never take a value. */
    boolean?: readonly string[];
    /** Flags whose value stays a string. */
    string?: readonly string[];
    /** Flags that may be repeated: their values are gathered in an array. */
    collect?: readonly string[];
    /** Other names of flags. */
    alias?: Readonly<Record<string, string | readonly string[]>>;
    /** Called for each argument that was not declared; false leaves it out. */
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }

  /** The values of flags by name, and in `_` what is not a flag. */
  export interface Args {
    /** Arguments that are not flags. */
    _: (string | number)[];
    [name: string]: unknown;
  }

  /** Reads command line arguments. */
  export function parseArgs(
    args: readonly string[],
    options?: ParseOptions,
  ): Args;
}

declare module "@std/fmt/colors" {
  /** Turns colours on or off for all functions of the module. */
  export function setColorEnabled(value: boolean): void;
  /** Bold text. */
  export function bold(str: string): string;
  /** Dim text. */
  export function dim(str: string): string;
  /** Red text. */
  export function red(str: string): string;
  /** Green text. */
  export function green(str: string): string;
  /** Yellow text. */
  export function yellow(str: string): string;
  /** Blue text. */
  export function blue(str: string): string;
  /** Cyan text. */
  export function cyan(str: string): string;
  /** The text without colours. */
  export function stripAnsiCode(str: string): string;
}
