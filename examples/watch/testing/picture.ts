// SPDX-License-Identifier: GPL-2.0-only

/**
 * Takes the picture of the page that the README has: `deno task watch:picture`.
 * Needs Debian's package chromium.
 *
 * @module
 */

import { buildPage } from "../build.ts";
import { servePage } from "../serve.ts";
import { openPage, startBrowser } from "./browser.ts";
import { smaller } from "./png.ts";

const PATH = new URL("../watch.png", import.meta.url);
/** What is seen: an access has pinned pages that two devices have too. */
const HASH = "#scenario=tour&step=10";
const SCREEN = { width: 1280, height: 1000 };

let address = "";
const server = servePage(await buildPage(), 0, (at) => address = at);
const browser = await startBrowser();
try {
  const { page } = await openPage(browser, `${address}${HASH}`, SCREEN);
  Deno.writeFileSync(PATH, smaller(await page.screenshot()));
  console.log(`${PATH.pathname} is written`);
} finally {
  await browser.close();
  await server.shutdown();
}
