// SPDX-License-Identifier: GPL-2.0-only

/**
 * Elements, made in one call each.
 *
 * @module
 */

import { type KeyPress, type PageElement, window } from "./browser.ts";

/** What an element can be given: attributes by name, `false` and undefined for none, and what to do at events. */
export type Attributes = Readonly<
  Record<
    string,
    string | number | boolean | undefined | ((event: Event) => void)
  >
>;

/** What can stand in an element. */
export type Child = PageElement | string | undefined | readonly Child[];

const SVG = "http://www.w3.org/2000/svg";

/** An element of HTML. */
export function h(
  tag: string,
  attributes: Attributes = {},
  ...children: readonly Child[]
): PageElement {
  return filled(window.document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function s(
  tag: string,
  attributes: Attributes = {},
  ...children: readonly Child[]
): PageElement {
  const element = window.document.createElementNS(SVG, tag);
  return filled(element, attributes, children);
}

/** The element with an id, which must be there. */
export function byId(id: string): PageElement {
  const element = window.document.getElementById(id);
  if (element === null) throw new Error(`The page has no #${id}`);
  return element;
}

function filled(
  element: PageElement,
  attributes: Attributes,
  children: readonly Child[],
): PageElement {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element: PageElement, children: readonly Child[]): void {
  for (const child of children) {
    if (child === undefined) continue;
    if (isList(child)) append(element, child);
    else element.append(child);
  }
}

function isList(child: Child): child is readonly Child[] {
  return Array.isArray(child);
}

/** What can be pressed among neighbours: one tab stop for all, and arrows between them. */
export function roving(container: PageElement, selector: string): void {
  const all = [...container.querySelectorAll(selector)];
  all.forEach((each, i) => each.setAttribute("tabindex", i === 0 ? "0" : "-1"));
  container.addEventListener("keydown", (event) => {
    const { key, target } = event as KeyPress;
    const at = all.indexOf(target as PageElement);
    const to = KEYS[key]?.(at, all.length - 1);
    if (to !== undefined) {
      all[at]?.setAttribute("tabindex", "-1");
      all[to]?.setAttribute("tabindex", "0");
      all[to]?.focus();
    } else if (key === "Enter" || key === " ") {
      target?.dispatchEvent(new Event("click", { bubbles: true }));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Where keys go, from a place and the last one. */
const KEYS: Readonly<
  Record<string, (at: number, last: number) => number>
> = {
  ArrowLeft: (at) => Math.max(0, at - 1),
  ArrowRight: (at, last) => Math.min(last, at + 1),
  Home: () => 0,
  End: (_, last) => last,
};

/** Characters that fit into a width, at the size of text in pictures. */
export function fits(text: string, width: number): boolean {
  return text.length * CHARACTER + 6 <= width;
}

/** The width of a character in pictures, in CSS pixels. */
export const CHARACTER = 6.7;
