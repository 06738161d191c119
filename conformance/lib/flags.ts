// SPDX-License-Identifier: GPL-2.0-only

/**
 * The values of flags of a command line. What is wrong with one is a
 * {@link UsageError} that says what is allowed.
 *
 * @module
 */

import { suggestion, UsageError } from "./usage_error.ts";

/** The values of flags by name. */
export type Values = Readonly<Record<string, unknown>>;

/** The value of a flag as text; undefined where it is not there. It must not be empty. */
export function valueOf(value: unknown, flag: string): string | undefined {
  if (value === undefined) return undefined;
  if (value === "") throw new UsageError(`${flag} needs a value.`);
  return String(value);
}

/** The text of a flag by its name. */
export function textOf(values: Values, name: string): string | undefined {
  return valueOf(values[name], `--${name}`);
}

/** A number from `min` to `max`; a whole one, unless it may have another form. */
export function numberOf(
  values: Values,
  name: string,
  min: number,
  max: number,
  form = /^\d+$/,
): number | undefined {
  const text = textOf(values, name);
  if (text === undefined) return undefined;
  const number = Number(text);
  if (form.test(text) && number >= min && number <= max) return number;
  throw new UsageError(
    `Cannot parse --${name} "${text}": it must be a number from ${min} to ${max}.`,
  );
}

/** One of some names; `what` says of what. */
export function oneOf<T extends string>(
  name: string,
  known: readonly T[],
  what: string,
): T {
  const found = known.find((each) => each === name);
  if (found !== undefined) return found;
  throw new UsageError(
    `Unknown ${what} "${name}": it must be ${known.join(", ")}.${
      suggestion(name, known)
    }`,
  );
}
