// SPDX-License-Identifier: GPL-2.0-only

/**
 * Puts a mutant's fault into the model without touching any file: an import
 * map has a module's own URL stand for its changed text, as a `data:` URL.
 * Everyone who imports the module then gets the changed one.
 *
 * @module
 */

import type { Mutant } from "./mutant.ts";

/** The root of the project. */
const ROOT = new URL("../../", import.meta.url);

/** A mutant whose text is not in its file, or not only once. */
export class StaleMutant extends Error {
  override name = "StaleMutant";
}

/** An import map as JSON. */
export interface ImportMap {
  /** What stands for a specifier or a module's URL. */
  readonly imports: Readonly<Record<string, string>>;
}

/**
 * The import map of a mutant, or of the model as it is. Throws
 * {@link StaleMutant}, and what reading the file throws.
 */
export function importMapOf(mutant?: Mutant): ImportMap {
  const { imports } = JSON.parse(read("deno.json")) as ImportMap;
  if (mutant === undefined) return { imports };
  const url = new URL(mutant.file, ROOT);
  const text = withAbsoluteImports(mutate(read(mutant.file), mutant), url);
  return { imports: { ...imports, [url.href]: dataUrl("typescript", text) } };
}

/** An import map as a URL that the command line takes. */
export function importMapUrl(map: ImportMap): string {
  return dataUrl("json", JSON.stringify(map));
}

/** A file's text with a mutant's fault. Throws {@link StaleMutant}. */
export function mutate(text: string, mutant: Mutant): string {
  const { name, file, find, replace } = mutant;
  const parts = text.split(find);
  if (parts.length !== 2) {
    throw new StaleMutant(
      `Mutant ${name}: its text must stand in ${file} once, and is there ${
        parts.length - 1
      } times`,
    );
  }
  return parts.join(replace);
}

/** The same module for another place: relative specifiers become URLs. */
function withAbsoluteImports(text: string, url: URL): string {
  return text.replace(
    /^(.*\bfrom |import )"(\.\.?\/[^"]+)";$/gm,
    (_, before, specifier) => `${before}"${new URL(specifier, url).href}";`,
  );
}

function dataUrl(type: string, text: string): string {
  const bytes = new TextEncoder().encode(text);
  return `data:application/${type};base64,${bytes.toBase64()}`;
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}
