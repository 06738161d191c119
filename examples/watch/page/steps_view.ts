// SPDX-License-Identifier: GPL-2.0-only

/**
 * The program, line by line.
 *
 * @module
 */

import { grouped } from "../../../impl/inspect/units.ts";
import type { Line } from "../play/player.ts";
import { h } from "./dom.ts";
import type { PageElement } from "./browser.ts";

/** Lines that are shown before and behind the one that was made last. */
const AROUND = 60;

/** Draws the lines; the one at `position - 1` was made last. */
export function stepsView(
  lines: readonly Line[],
  position: number,
  onGo: (position: number) => void,
): PageElement[] {
  const first = Math.max(0, position - 1 - AROUND);
  const end = Math.min(lines.length, position + AROUND);
  return [
    ...first === 0 ? [] : [more(first)],
    ...lines.slice(first, end).map((line, i) =>
      step(line, first + i + 1, position, onGo)
    ),
    ...end === lines.length ? [] : [more(lines.length - end)],
  ];
}

function more(count: number): PageElement {
  return h("li", { class: "more" }, `… ${grouped(count)} more`);
}

function step(
  { text, note }: Line,
  number: number,
  position: number,
  onGo: (position: number) => void,
): PageElement {
  const state = number < position ? "made" : number === position ? "now" : "";
  return h(
    "li",
    { class: state },
    note === "" ? undefined : h("p", { class: "note" }, note),
    h(
      "button",
      {
        class: "step",
        "data-step": number,
        "aria-current": number === position ? "step" : false,
        click: () => onGo(number),
      },
      h("span", { class: "number" }, String(number)),
      h("code", {}, text),
    ),
  );
}
