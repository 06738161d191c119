// SPDX-License-Identifier: GPL-2.0-only

/**
 * What is different in the npm package's sources: where names lead, and what
 * Node does not have.
 *
 * @module
 */

import { npmName } from "./package.ts";

/** What a script may use that not every JavaScript has, and the module that has it. */
const RUNTIME: readonly { name?: string; used: RegExp; from: string }[] = [
  { used: /\bSymbol\.(asyncD|d)ispose\b/, from: "npm/runtime/symbols.js" },
  { name: "Deno", used: /(?<!["\w])Deno\./, from: "npm/runtime/deno.js" },
  {
    name: "DisposableStack",
    used: /\bnew DisposableStack\b/,
    from: "npm/runtime/disposable_stack.js",
  },
];

/**
 * A source without imports of what is no module: texts and JSON stand in it.
 * `read` returns the text of a file by its path from the top.
 */
export function stage(
  path: string,
  text: string,
  read: (path: string) => string,
): string {
  let count = 0;
  const valueOf = (from: string, type: string) => {
    const found = read(resolve(path, from));
    return type === "json"
      ? JSON.stringify(JSON.parse(found))
      : JSON.stringify(found);
  };
  return text
    .replaceAll(
      /^import (\w+) from "(\.[^"]+)" with \{ type: "(json)" \};$/gm,
      (_, name, from, type) => `const ${name} = ${valueOf(from, type)};`,
    )
    .replaceAll(
      /^export \{ default as ("[^"]+") \} from "(\.[^"]+)" with \{ type: "(text)" \};$/gm,
      (_, name, from, type) => {
        const local = `text${count++}`;
        return `const ${local}: string = ${
          valueOf(from, type)
        };\nexport { ${local} as ${name} };`;
      },
    );
}

/** A script whose imports lead to npm's packages, and to what Node does not have. */
export function finishScript(path: string, text: string): string {
  const up = "../".repeat(path.split("/").length - 1) || "./";
  const added = path.startsWith("npm/runtime/") ? [] : RUNTIME
    .filter(({ used }) => used.test(withoutComments(text)))
    .map(({ name, from }) =>
      `import ${name ? `{ ${name} } from ` : ""}"${up}${from}";\n`
    );
  const start = text.startsWith("#!") ? text.indexOf("\n") + 1 : 0;
  const named = renameImports(text);
  return named.slice(0, start) + added.join("") + named.slice(start);
}

/** Declarations whose imports lead to files that are there. */
export function finishTypes(text: string): string {
  return renameImports(text).replaceAll(
    /(from |import\()"(\.[^"]+)\.ts"/g,
    '$1"$2.js"',
  );
}

/** A module with the exports of one that needs Deno, which can be found but not run. */
export function needsDeno(names: readonly string[]): string {
  const message = "@iommufd/kit/host needs Deno, on Linux";
  const exports = names.map((name) => `export const ${name} = undefined;\n`);
  return `${exports.join("")}throw new Error("${message}");\n`;
}

function renameImports(text: string): string {
  return text.replaceAll(
    /(from |import\()"(@std\/[^"]+)"/g,
    (all, before, name) => {
      const npm = npmName(name);
      return npm === undefined ? all : `${before}"${npm}"`;
    },
  );
}

function withoutComments(text: string): string {
  return text.replaceAll(/^\s*(\*|\/\/|\/\*).*$/gm, "");
}

/** The path from the top that `from` means in a file. */
function resolve(path: string, from: string): string {
  return new URL(from, `file:///${path}`).pathname.slice(1);
}
