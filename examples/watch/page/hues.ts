// SPDX-License-Identifier: GPL-2.0-only

/**
 * A colour for each range of memory, so that its areas can be told.
 *
 * @module
 */

/** Degrees between neighbours, so that the first ones differ most. */
const STEP = 137;
const FIRST = 150;

/** The style that sets `--hue` for pages such as `P1`. */
export function hueOf(pages: string | undefined): string | undefined {
  if (pages === undefined) return undefined;
  const number = Number(pages.slice(1)) - 1;
  return `--hue: ${(FIRST + number * STEP) % 360}`;
}
