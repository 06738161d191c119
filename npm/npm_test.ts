// SPDX-License-Identifier: GPL-2.0-only

/** The npm package, as those have it who install it. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isThere } from "../conformance/linux_vm/programs.ts";
import { build } from "./build.ts";
import { OLDEST_NODE } from "./package.ts";
import { type Installed, installed } from "./testing/installed.ts";

const TESTING = new URL("testing/", import.meta.url).pathname;
const ADAPTER =
  new URL("../examples/adapters/adapter.py", import.meta.url).pathname;
/** What page.ts prints. */
const PAGE = "iommufd 7.3: 1 context, 17 frames in use\n[]\n";

/** The programs that run JavaScript, by name. */
function engines({ tools }: Installed): Record<string, string> {
  return {
    "the oldest Node": `${tools}oldest-node/bin/node`,
    "the newest Node": `${tools}newest-node/bin/node`,
    "Bun": `${tools}@oven/bun-linux-x64/bin/bun`,
  };
}

Deno.test({
  name: "The npm package",
  ignore: Deno.build.os !== "linux" || Deno.build.arch !== "x86_64" ||
    !await isThere("npm"),
  async fn(t) {
    const built = await build();
    await using kit = await installed(built);
    const { folder, tools, says } = kit;
    const esbuild = (...args: string[]) =>
      says("node", `${tools}esbuild/bin/esbuild`, ...args);
    const command = `${kit.kit}npm/bin.js`;

    await t.step("is published with what it needs, and no tests", async () => {
      const args = ["pack", "--dry-run", "--json", built];
      const { stdout } = await says("npm", ...args);
      const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
      const paths = files.map(({ path }) => path);
      for (const path of ["LICENSE", "README.md", "package.json", "mod.js"]) {
        assert(paths.includes(path), path);
      }
      assertEquals(paths.filter((path) => /_test\.|testing\//.test(path)), []);
    });

    await t.step("is as package managers and compilers want it", async () => {
      const lint = [`${tools}publint/src/cli.js`, built, "--strict"];
      const linted = await says("node", ...lint);
      assertEquals(linted.code, 0, linted.stdout);
      const attw = `${tools}@arethetypeswrong/cli/dist/index.js`;
      const types = ["--pack", built, "--profile", "esm-only", "--no-emoji"];
      const checked = await says("node", attw, ...types);
      assertEquals(checked.code, 0, checked.stdout);
    });

    await t.step("has types that need no others", async () => {
      const consumer = `${folder}consumer.ts`;
      await Deno.copyFile(`${TESTING}consumer.ts`, consumer);
      const tsc = new URL(
        "../.cache/npm/npm-tools/node_modules/typescript/bin/tsc",
        import.meta.url,
      );
      const options = ["--noEmit", "--strict", "--module", "nodenext"];
      const lib = ["--target", "esnext", "--lib", "esnext", "--types", ""];
      const args = [tsc.pathname, ...options, ...lib, consumer];
      const { code, stdout } = await says("node", ...args);
      assertEquals(code, 0, stdout);
    });

    await t.step("names the oldest Node that it was tested with", async () => {
      const { stdout } = await says(
        engines(kit)["the oldest Node"]!,
        "--version",
      );
      assertEquals(stdout, `v${OLDEST_NODE}\n`);
    });

    const page = `${folder}page.js`;
    const lower = ["--target=es2022", "--format=esm"];
    await esbuild(`${TESTING}page.ts`, ...lower, `--outfile=${page}`);
    for (const [name, engine] of Object.entries(engines(kit))) {
      await t.step(`is a model in ${name}`, async () => {
        const { code, stdout, stderr } = await says(engine, page);
        assertEquals([code, stdout], [0, PAGE], stderr);
      });

      const chosen = name === "the oldest Node" ? "*" : "iommufd*";
      await t.step(`runs the selftests ${chosen} in ${name}`, async () => {
        const selection = ["--uapi", "7.3", "--filter", chosen];
        const args = [command, ...selection, "--report", "json:report.json"];
        const { code, stdout, stderr } = await says(engine, ...args);
        assertEquals(code, 0, stdout + stderr);
        assert(/^7\.3: 2\d\d of 2\d\d .* passed/m.test(stdout), stdout);
        const report = await Deno.readTextFile(`${folder}report.json`);
        assertEquals(JSON.parse(report).good, true);
      });

      await t.step({
        name: `speaks to adapters in ${name}`,
        ignore: !await isThere("python3"),
        async fn() {
          const target = `stdio:python3 ${ADAPTER}`;
          const args = [command, "check-adapter", target];
          const { code, stdout, stderr } = await says(engine, ...args);
          assertEquals(code, 0, stdout + stderr);
        },
      });
    }

    await t.step(
      "is a bundle for a page, which has no more than a page has",
      async () => {
        const bundle = `${folder}bundle.js`;
        const forPages = ["--bundle", "--platform=browser", "--format=iife"];
        const source = `${folder}page.ts`;
        await Deno.copyFile(`${TESTING}page.ts`, source);
        const made = await esbuild(source, ...forPages, `--outfile=${bundle}`);
        assertEquals(made.code, 0, made.stderr);
        const script = `const vm = require("node:vm"), fs = require("node:fs");
        const page = { console, TextEncoder, TextDecoder };
        vm.runInNewContext(fs.readFileSync("bundle.js", "utf8"), page);`;
        const eval_ = ["--input-type=commonjs", "--eval", script];
        const node = engines(kit)["the newest Node"]!;
        const { stdout, stderr } = await says(node, ...eval_);
        assertEquals(stdout, PAGE, stderr);
      },
    );

    await t.step("has a host on Deno, and says so elsewhere", async () => {
      const file = `${folder}host.js`;
      await Deno.writeTextFile(
        file,
        `import { run } from "@iommufd/kit/host";
         console.log((await run("/bin/true")).code);`,
      );
      const node = await says(engines(kit)["the newest Node"]!, file);
      assertStringIncludes(node.stderr, "@iommufd/kit/host needs Deno");
      const deno = await says(Deno.execPath(), "run", "-A", file);
      assertEquals(deno.stdout, "0\n", deno.stderr);
    });
  },
});
