// SPDX-License-Identifier: GPL-2.0-only

/**
 * The symbols of `using`, for where they are not.
 *
 * @module
 */

for (const name of ["dispose", "asyncDispose"] as const) {
  if (Symbol[name] === undefined) {
    Object.defineProperty(Symbol, name, {
      value: Symbol.for(`Symbol.${name}`),
    });
  }
}
