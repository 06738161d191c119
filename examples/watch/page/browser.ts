// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the page uses of a browser. The types that TypeScript has for browsers
 * would hold for all of this project, and change what is there of Deno.
 *
 * @module
 */

/** An element, of HTML or SVG. */
export interface PageElement extends EventTarget {
  textContent: string;
  readonly clientWidth: number;
  readonly clientHeight: number;
  readonly offsetTop: number;
  scrollTop: number;
  hidden: boolean;
  append(...children: (PageElement | string)[]): void;
  replaceChildren(...children: PageElement[]): void;
  setAttribute(name: string, value: string): void;
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
  closest(selector: string): PageElement | null;
  contains(other: PageElement | null): boolean;
  focus(options?: { readonly preventScroll: boolean }): void;
}

/** One that a person fills in or chooses. */
export interface Field extends PageElement {
  value: string;
  max: string;
}

/** One that can be opened. */
export interface Details extends PageElement {
  open: boolean;
}

/** A key that was pressed. */
export interface KeyPress extends Event {
  readonly key: string;
  readonly altKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
}

/** The window, as far as the page goes. */
interface Window extends EventTarget {
  readonly document: {
    readonly activeElement: PageElement | null;
    createElement(tag: string): PageElement;
    createElementNS(namespace: string, tag: string): PageElement;
    getElementById(id: string): PageElement | null;
  };
  readonly location: { readonly hash: string; readonly href: string };
  readonly history: {
    replaceState(state: null, unused: string, address: string): void;
  };
  readonly navigator: {
    readonly clipboard: { writeText(text: string): Promise<void> };
  };
}

/** The window that the page is in. */
export const window: Window = globalThis as unknown as Window;
