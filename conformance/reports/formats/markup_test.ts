// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { attributes, escapeMarkup } from "./markup.ts";

describe("escapeMarkup()", () => {
  it("keeps nothing that could end a text or an attribute", () => {
    assertEquals(
      escapeMarkup(`<a b="c" d='e'>&`),
      "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;",
    );
  });

  it("replaces what XML cannot hold, and nothing else", () => {
    assertEquals(
      escapeMarkup("\0a\x1bb\ud800c\udc00d\ufffe"),
      "\ufffda\ufffdb\ufffdc\ufffdd\ufffd",
    );
    assertEquals(escapeMarkup("é\t\n😀"), "é\t\n😀");
  });
});

describe("attributes()", () => {
  it("quotes values", () => {
    assertEquals(attributes({ a: 1, b: '"' }), ` a="1" b="&quot;"`);
  });
});
