// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import config from "../deno.json" with { type: "json" };

const ROOT = new URL("../", import.meta.url);
const README = Deno.readTextFileSync(new URL("README.md", ROOT));

/** The code blocks of a language. */
function blocks(language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms");
  return Array.from(README.matchAll(fence), ([, text]) => text!);
}

/** An example without the line that states its licence. */
function example(name: string): string {
  const text = Deno.readTextFileSync(new URL(`examples/${name}`, ROOT));
  return text.slice(text.indexOf("\n\n") + 2);
}

/** What `deno doc` tells of a module. */
interface Documented {
  readonly module_doc: { readonly doc: string };
  readonly symbols: readonly { readonly name: string }[];
}

Deno.test("each example in README.md is a file that runs", () => {
  const files = ["first.ts", "client_test.ts", "run_test.ts"];
  assertEquals(blocks("ts"), files.map(example));
});

function deno(...args: string[]): { code: number; output: string } {
  const { code, stdout } = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).outputSync();
  return { code, output: new TextDecoder().decode(stdout) };
}

Deno.test("the first example prints what README.md shows", () => {
  const { code, output } = deno("run", "examples/first.ts");
  assertEquals([code, output], [0, blocks("text")[0]]);
});

Deno.test("the examples in the documentation of the module run", () => {
  const files = ["mod.ts", "impl/client/client.ts"];
  const { code, output } = deno("test", "--doc", "--no-check", ...files);
  assertEquals(code, 0, output);
  assertStringIncludes(output, "ok | 2 passed | 0 failed");
});

Deno.test("the documentation begins with what it says to begin with", () => {
  const { output } = deno("doc", "--json", "mod.ts");
  const [module] = Object.values<Documented>(JSON.parse(output).nodes);
  const { module_doc: { doc }, symbols } = module!;
  const links = Array.from(
    doc.matchAll(/\{@link (\w+)\}/g),
    ([, name]) => name,
  );
  assert(links.length > 10);
  const first = symbols.slice(0, links.length).map(({ name }) => name);
  assertEquals(first, links);
});

Deno.test("each link in README.md leads to a file", () => {
  const links = Array.from(README.matchAll(/\]\(([^)]+)\)/g), ([, to]) => to!)
    .filter((to) => !to.startsWith("https:"));
  assert(links.length > 10);
  for (const to of links) Deno.statSync(new URL(to, ROOT));
});

Deno.test("each task that README.md names is there", () => {
  const names = Array.from(README.matchAll(/deno(?:@\S+)? task ([\w:]+)/g))
    .map(([, name]) => name!);
  assert(names.length > 5);
  const missing = names.filter((name) => !Object.hasOwn(config.tasks, name));
  assertEquals(missing, []);
});
