// SPDX-License-Identifier: GPL-2.0-only

/**
 * The machine's package archive, as apt's lists of sources name it, in both of
 * their forms.
 *
 * @module
 */

/** Where packages come from. */
export interface Archive {
  /** Its address. */
  readonly uri: string;
  /** The keys that sign it, as apt's `Signed-By` has them: a path, or the key itself. */
  readonly signedBy: string | undefined;
}

/** Names of releases that do not say which. */
const SUITES = ["oldstable", "stable", "testing", "unstable", "sid"];

/** The archive that the distribution with a code name comes from, of all that the lists name; undefined if none is it. */
export function findArchive(
  lists: readonly { readonly name: string; readonly text: string }[],
  codename: string,
): Archive | undefined {
  const suites = [codename, ...SUITES];
  return lists.flatMap(({ name, text }) =>
    name.endsWith(".sources") ? stanzas(text) : lines(text)
  ).find((entry) =>
    entry.components.includes("main") &&
    entry.suites.some((suite) => suites.includes(suite))
  );
}

interface Entry extends Archive {
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/** `deb [options] URI SUITE COMPONENT…` */
function lines(text: string): Entry[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/
      .exec(line);
    if (match === null) return [];
    const [, options = "", uri = "", suite = "", components = ""] = match;
    const signedBy = /\bsigned-by=(\S+)/i.exec(options)?.[1];
    return [{ uri, signedBy, suites: [suite], components: words(components) }];
  });
}

/** Paragraphs of `Field: value`, with more lines of a value indented. */
function stanzas(text: string): Entry[] {
  return text.replace(/^#.*\n/gm, "").split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map(
      [...stanza.matchAll(/^([\w-]+):((?:.*)(?:\n[ \t].*)*)/gm)].map((
        [, name = "", value = ""],
      ) => [name.toLowerCase(), value.trim()]),
    );
    const list = (name: string) => words(fields.get(name) ?? "");
    if (!list("types").includes("deb")) return [];
    if (fields.get("enabled")?.toLowerCase() === "no") return [];
    return list("uris").map((uri) => ({
      uri,
      signedBy: fields.get("signed-by"),
      suites: list("suites"),
      components: list("components"),
    }));
  });
}

function words(text: string): string[] {
  return text.match(/\S+/g) ?? [];
}
