// SPDX-License-Identifier: GPL-2.0-only

/**
 * Chromium, as Debian has it, with the page in it.
 *
 * @module
 */

import { type Browser, chromium, type Page } from "playwright-core";

const PROGRAM = "chromium";

/** Why the page cannot be tested here; nothing where it can. */
export async function lacksChromium(): Promise<string> {
  try {
    await new Deno.Command(PROGRAM, { args: ["--version"] }).output();
    return "";
  } catch {
    return " (there is no chromium)";
  }
}

/** Where a program is. */
function pathOf(program: string): string {
  const folders = Deno.env.get("PATH")?.split(":") ?? [];
  const path = folders.map((folder) => `${folder}/${program}`)
    .find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
  if (path === undefined) throw new Error(`There is no ${program}`);
  return path;
}

/** Starts a browser without a window. What it draws is the same with and without a graphics card. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: pathOf(PROGRAM),
    args: ["--no-sandbox", "--disable-gpu", "--disable-lcd-text"],
    timeout: 120_000,
  });
}

/** What a screen is. */
export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly isDark?: boolean;
  readonly isPhone?: boolean;
}

/** A screen of a desk. */
export const DESK: Screen = { width: 1280, height: 900 };
/** A small phone. */
export const PHONE: Screen = { width: 360, height: 740, isPhone: true };

/** Opens the page; errors in it are collected. */
export async function openPage(
  browser: Browser,
  address: string,
  { width, height, isDark = false, isPhone = false }: Screen,
): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: isDark ? "dark" : "light",
    hasTouch: isPhone,
    isMobile: isPhone,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(address);
  await page.locator("#state > *").first().waitFor();
  return { page, errors };
}
