// SPDX-License-Identifier: GPL-2.0-only

/**
 * The call that was made last: what went in, what came back, why it failed.
 *
 * @module
 */

import type { MadeCall, ToldValue } from "../play/call.ts";
import { h } from "./dom.ts";
import type { PageElement } from "./browser.ts";

/** Draws a call; before the first one, what to do. */
export function callView(made: MadeCall | undefined): PageElement[] {
  if (made === undefined) {
    return [
      h("h2", {}, "Before the first call"),
      h("p", {}, "Step forward to make it."),
    ];
  }
  const { name, process, result, isFailed, why, args, struct, fields } = made;
  return [
    h(
      "h2",
      {},
      h("code", {}, name),
      " ",
      h(
        "span",
        { class: isFailed ? "result failed" : "result" },
        isFailed ? result : `= ${result}`,
      ),
    ),
    ...why === undefined ? [] : [h("p", { class: "why" }, `${result}: ${why}`)],
    ...process === 0 ? [] : [h("p", {}, `By process P${process}`)],
    ...struct === undefined ? [list(args)] : [
      h("h3", {}, ["struct", struct, ...args.map(inWords)].join(" ")),
      list(fields),
    ],
  ];
}

/** An argument beside a struct. */
function inWords({ name, sent }: ToldValue): string {
  return `on ${name} ${sent}`;
}

/** Values in the order in which they lie in memory. */
function list(values: readonly ToldValue[]): PageElement {
  return h("dl", { class: "fields" }, values.map(valueView));
}

function valueView({ name, sent, back, meaning }: ToldValue): PageElement {
  const hasBoth = sent !== "" && back !== undefined;
  return h(
    "div",
    { class: back === undefined ? undefined : "changed" },
    h("dt", {}, h("code", {}, name)),
    h(
      "dd",
      {},
      h("code", {}, sent),
      hasBoth ? h("span", { "aria-label": "became" }, " → ") : undefined,
      back === undefined ? undefined : h("code", { class: "back" }, back),
    ),
    meaning === "" ? undefined : h("dd", { class: "meaning" }, meaning),
  );
}
