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

/**
 * The root by other URLs, in which letters are written by their numbers: those
 * of the bits of `number`. Modules by such URLs are other ones than those of the
 * same files by the usual URLs, so that they can be there at once.
 */
export function otherRoot(number: number): URL {
  let rest = number;
  const href = ROOT.href.replaceAll(/(?<=^file:\/\/.*\/.*)[a-z]/g, (letter) => {
    const isChosen = rest & 1;
    rest >>= 1;
    return isChosen ? `%${letter.charCodeAt(0).toString(16)}` : letter;
  });
  return new URL(href);
}

/** A mutant whose text is not in its file, or not only once. */
export class StaleMutant extends Error {
  override name = "StaleMutant";
}

/**
 * What an import map says of a mutant whose modules are under `root`: a URL, and
 * what stands for it. Throws {@link StaleMutant}, and what reading the file
 * throws.
 */
export function changeOf(mutant: Mutant, root = ROOT): [string, string] {
  const url = new URL(mutant.file, root);
  const text = withAbsoluteImports(mutate(read(mutant.file), mutant), url);
  return [url.href, dataUrl(text)];
}

/**
 * The import map with some changes, or of the model as it is, as a URL that the
 * command line takes; an argument of it may have 128 KiB.
 */
export function importMapOf(...changes: [string, string][]): string {
  const { imports } = JSON.parse(read("deno.json"));
  const map = { imports: { ...imports, ...Object.fromEntries(changes) } };
  return `data:application/json,${encodeURIComponent(JSON.stringify(map))}`;
}

/** A file's text with a mutant's fault. Throws {@link StaleMutant}. */
function mutate(text: string, mutant: Mutant): string {
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

/** A module's text as a URL. */
function dataUrl(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return `data:application/typescript;base64,${bytes.toBase64()}`;
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}
