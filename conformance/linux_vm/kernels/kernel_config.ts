// SPDX-License-Identifier: GPL-2.0-only

/**
 * Kernel configurations: which options a fragment asks for, and which of them
 * the kernel did not take.
 *
 * @module
 */

/** The lines of a fragment that set options, in order. */
export function optionLines(fragment: string): string[] {
  return fragment.split("\n").filter((line) => /^CONFIG_\w+=/.test(line));
}

/**
 * The options of `fragment` that `config`, the kernel's `.config`, does not
 * hold as they stand: misspelt, or something that they depend on is off.
 */
export function refusedOptions(fragment: string, config: string): string[] {
  const taken = new Set(config.split("\n"));
  return optionLines(fragment).filter((line) => !taken.has(line));
}
