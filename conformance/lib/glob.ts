// SPDX-License-Identifier: GPL-2.0-only

/**
 * Patterns for ids.
 *
 * @module
 */

/**
 * A pattern for ids. `*` stands for any run of characters, `?` for one. It
 * must match the whole id, or the id up to a dot or slash: `iommufd_ioas`
 * selects every test of that fixture.
 */
export class Glob {
  /** The pattern as it was written. */
  readonly pattern: string;

  /** `pattern` may be any string: all but `*` and `?` stand for themselves. */
  constructor(pattern: string) {
    this.pattern = pattern;
  }

  /** True if the pattern selects the test of that id. */
  matches(id: string): boolean {
    const { pattern } = this;
    return [pattern, `${pattern}.*`, `${pattern}/*`]
      .some((each) => matchesWhole(each, id));
  }

  /** True if the pattern matches all of a text, which need not be an id. */
  matchesAll(text: string): boolean {
    return matchesWhole(this.pattern, text);
  }
}

/**
 * True if a pattern matches a text. Only the last `*` ever takes another
 * character: what the ones before it took need not change, so that the steps
 * are no more than the lengths multiplied, whatever the pattern.
 */
function matchesWhole(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  /** Behind the last `*` of the pattern, and where in the text that part begins. */
  let star = { p: -1, t: 0 };
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = { p: ++p, t };
    } else if (pattern[p] === "?" || pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star.p >= 0) {
      p = star.p;
      t = ++star.t;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(p));
}
