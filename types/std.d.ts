// SPDX-License-Identifier: GPL-2.0-only

/**
 * Types of the `@std` functions that this project uses. The npm package that
 * deno.json maps these names to carries the standard library's code, but not
 * its declarations; the signatures are those of the library's documentation.
 */

declare module "@std/assert" {
  /** What every failed assertion throws. */
  export class AssertionError extends Error {
    constructor(message: string, options?: ErrorOptions);
  }

  // deno-lint-ignore no-explicit-any -- a class of any constructor, as in the library
  type AnyConstructor = abstract new (...args: any[]) => unknown;
  // deno-lint-ignore no-explicit-any -- likewise, of errors
  type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

  /** Asserts that a value is truthy. */
  export function assert(expr: unknown, msg?: string): asserts expr;
  /** Asserts that a value is `false`. */
  export function assertFalse(expr: unknown, msg?: string): asserts expr is
    | false
    | 0
    | 0n
    | ""
    | null
    | undefined;
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
  /** Asserts that two values are not the same one. */
  export function assertNotStrictEquals<T>(
    actual: T,
    expected: T,
    msg?: string,
  ): void;
  /** Asserts that two numbers differ by no more than a tolerance. */
  export function assertAlmostEquals(
    actual: number,
    expected: number,
    tolerance?: number,
    msg?: string,
  ): void;
  /** Asserts that `actual > expected`. */
  export function assertGreater<T>(actual: T, expected: T, msg?: string): void;
  /** Asserts that `actual >= expected`. */
  export function assertGreaterOrEqual<T>(
    actual: T,
    expected: T,
    msg?: string,
  ): void;
  /** Asserts that `actual < expected`. */
  export function assertLess<T>(actual: T, expected: T, msg?: string): void;
  /** Asserts that `actual <= expected`. */
  export function assertLessOrEqual<T>(
    actual: T,
    expected: T,
    msg?: string,
  ): void;
  /** Asserts that a value is neither null nor undefined. */
  export function assertExists<T>(
    actual: T,
    msg?: string,
  ): asserts actual is NonNullable<T>;
  /** Asserts that a value is an instance of a class. */
  export function assertInstanceOf<T extends AnyConstructor>(
    actual: unknown,
    expectedType: T,
    msg?: string,
  ): asserts actual is InstanceType<T>;
  /** Asserts that a value is not an instance of a class. */
  export function assertNotInstanceOf<A, T>(
    actual: A,
    // deno-lint-ignore no-explicit-any -- likewise
    unexpectedType: abstract new (...args: any[]) => T,
    msg?: string,
  ): asserts actual is Exclude<A, T>;
  /** Asserts that a string contains another. */
  export function assertStringIncludes(
    actual: string,
    expected: string,
    msg?: string,
  ): void;
  /** Asserts that an array contains all values of another. */
  export function assertArrayIncludes<T>(
    actual: ArrayLike<T>,
    expected: ArrayLike<T>,
    msg?: string,
  ): void;
  /** Asserts that a string matches a pattern. */
  export function assertMatch(
    actual: string,
    expected: RegExp,
    msg?: string,
  ): void;
  /** Asserts that a string does not match a pattern. */
  export function assertNotMatch(
    actual: string,
    expected: RegExp,
    msg?: string,
  ): void;
  /** Asserts that an object has at least the given properties. */
  export function assertObjectMatch(
    // deno-lint-ignore no-explicit-any -- any object, as in the library
    actual: Record<PropertyKey, any>,
    expected: Record<PropertyKey, unknown>,
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
  /** Fails. */
  export function fail(msg?: string): never;
  /** Fails where control must not come. */
  export function unreachable(msg?: string): never;
  /** True if two values are equal in depth. */
  export function equal(a: unknown, b: unknown): boolean;
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
    /** Flags that `--no-…` turns off. */
    negatable?: readonly string[];
    /** Values of flags that are not given. */
    default?: Readonly<Record<string, unknown>>;
    /** Other names of flags. */
    alias?: Readonly<Record<string, string | readonly string[]>>;
    /** Puts all that follows the first argument that is not a flag into `_`. */
    stopEarly?: boolean;
    /** Puts what follows `--` into a property of that name. */
    "--"?: boolean;
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
  /** True if the functions of the module colour: false when NO_COLOR is set. */
  export function getColorEnabled(): boolean;
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
  /** Gray text. */
  export function gray(str: string): string;
  /** The text without colours. */
  export function stripAnsiCode(str: string): string;
}
