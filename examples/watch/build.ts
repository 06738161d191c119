// SPDX-License-Identifier: GPL-2.0-only

/**
 * Builds the page that shows iommufd at work: one HTML file that needs no
 * other. `deno task watch:build` writes it to a folder that git ignores; it can
 * be put on any web server.
 *
 * @module
 */

import * as esbuild from "esbuild";

const FOLDER = new URL("./page/", import.meta.url);
const ROOT = new URL("../../", import.meta.url);
/** Where the page is written to. */
const TO = ".cache/watch/index.html";

/** What the package is called in the page's sources, and the files. */
const ALIAS = { "@iommufd/kit": new URL("mod.ts", ROOT).pathname };

/** The browsers that it is made for: the first that have what the model needs, DisposableStack and base64 among that. */
const TARGET = ["chrome140", "firefox141"];

/** The page. Throws where its sources cannot be bundled. */
export async function buildPage(): Promise<string> {
  try {
    const { outputFiles } = await esbuild.build({
      entryPoints: [new URL("main.ts", FOLDER).pathname],
      alias: ALIAS,
      bundle: true,
      minify: true,
      keepNames: true,
      write: false,
      format: "esm",
      target: TARGET,
      legalComments: "none",
      logLevel: "silent",
    });
    const script = outputFiles[0]!.text.replaceAll("</script", "<\\/script");
    const style = Deno.readTextFileSync(new URL("style.css", FOLDER));
    return Deno.readTextFileSync(new URL("page.html", FOLDER))
      .replace("/*STYLE*/", () => style)
      .replace("/*SCRIPT*/", () => script);
  } finally {
    await esbuild.stop();
  }
}

if (import.meta.main) {
  const path = new URL(TO, ROOT);
  Deno.mkdirSync(new URL("./", path), { recursive: true });
  const page = await buildPage();
  Deno.writeTextFileSync(path, page);
  const size = Math.round(new TextEncoder().encode(page).length / 1024);
  console.log(`${TO}: ${size} KiB, no other file is needed`);
}
