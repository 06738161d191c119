// SPDX-License-Identifier: GPL-2.0-only

/**
 * Texts that are hard to read.
 *
 * @module
 */

import type { Page } from "playwright-core";

/** What WCAG 2 asks for at level AA, of text of ordinary size. */
const LEAST = 4.5;

/** A text, its colour, and those of what it stands on, from the element outwards or from the last thing drawn. */
interface Text {
  readonly text: string;
  readonly ink: string;
  readonly papers: readonly string[];
}

/** Texts of a page whose contrast is too low, with the contrast. */
export async function faintTexts(page: Page): Promise<string[]> {
  const texts: Text[] = await page.evaluate(COLLECT);
  if (texts.length < 50) throw new Error("The texts of the page are not found");
  return texts.flatMap(({ text, ink, papers }) => {
    const paper = papers.map(channels).find(([, , , alpha]) => alpha === 1) ??
      [255, 255, 255];
    const [light, dark] = [luminance(channels(ink)), luminance(paper)]
      .sort((a, b) => b - a) as [number, number];
    const contrast = (light + 0.05) / (dark + 0.05);
    return contrast < LEAST ? [`${contrast.toFixed(2)}: ${text}`] : [];
  });
}

/** In the page: every element with text of its own. In a picture it stands on the box of its group. */
const COLLECT = `
  [...document.querySelectorAll("body *")].flatMap((element) => {
    const own = [...element.childNodes].filter((node) => node.nodeType === 3)
      .map((node) => node.textContent.trim()).join("");
    const isShown = element.getClientRects().length > 0 &&
      !["TITLE", "OPTION", "SCRIPT", "NOSCRIPT"].includes(element.tagName.toUpperCase()) &&
      !element.closest("[aria-disabled=true]");
    if (own === "" || !isShown) return [];
    const style = getComputedStyle(element);
    const isDrawn = element.namespaceURI.endsWith("svg");
    const papers = [];
    if (isDrawn) {
      const box = element.parentElement.querySelector(":scope > rect");
      if (box) papers.push(getComputedStyle(box).fill);
    }
    for (let at = element; at; at = at.parentElement) {
      papers.push(getComputedStyle(at).backgroundColor);
    }
    return [{ text: own, ink: isDrawn ? style.fill : style.color, papers }];
  })
`;

/** Red, green and blue from 0 to 255, and alpha from 0 to 1. */
function channels(colour: string): number[] {
  const [r = 0, g = 0, b = 0, alpha = 1] =
    colour.match(/[\d.]+/g)?.map(Number) ??
      [];
  return colour.startsWith("rgb") ? [r, g, b, alpha] : [0, 0, 0, 0];
}

function luminance(rgb: readonly number[]): number {
  const [r, g, b] = rgb.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
