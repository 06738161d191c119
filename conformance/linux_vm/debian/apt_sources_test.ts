// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { findArchive } from "./apt_sources.ts";

const LINES = `
# deb https://archive.test/commented trixie main
deb-src https://archive.test/sources trixie main
deb https://archive.test/other tool-trixie main
deb https://archive.test/debian-security trixie-security main
deb [ arch=amd64 signed-by=/keys/own.gpg ] https://archive.test/debian trixie main contrib # ours
`;

const STANZAS = `Types: deb
# a comment between
URIs: https://archive.test/nodes
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: https://archive.test/off
Suites: trixie
Components: main

Types: deb deb-src
URIs: https://archive.test/debian
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN KEY-----
 .
 abc
`;

describe("the machine's archive", () => {
  it("is that of its release, from lines", () => {
    assertEquals(find([["sources.list", LINES]]), {
      uri: "https://archive.test/debian",
      signedBy: "/keys/own.gpg",
    });
    const plain = "deb https://archive.test/debian trixie main";
    assertEquals(find([["a.list", plain]]), {
      uri: "https://archive.test/debian",
      signedBy: undefined,
    });
  });

  it("is that of its release, from paragraphs", () => {
    assertEquals(find([["debian.sources", STANZAS]]), {
      uri: "https://archive.test/debian",
      signedBy: "-----BEGIN KEY-----\n .\n abc",
    });
  });

  it("is the first that is named, in any of the lists", () => {
    const other = "deb https://archive.test/mirror trixie main";
    const lists = [["a.list", ""], ["b.sources", STANZAS], ["c.list", other]];
    assertEquals(
      find(lists as [string, string][])?.uri,
      "https://archive.test/debian",
    );
  });

  it("may be named by what the release is", () => {
    const line = "deb https://archive.test/debian unstable main";
    assertEquals(find([["a.list", line]])?.uri, "https://archive.test/debian");
  });

  it("is none where there is none", () => {
    const other = "deb https://archive.test/debian trixie contrib";
    assertEquals(find([["a.list", other], ["b.sources", ""]]), undefined);
  });
});

function find(lists: readonly (readonly [string, string])[]) {
  const archive = findArchive(
    lists.map(([name, text]) => ({ name, text })),
    "trixie",
  );
  return archive && { uri: archive.uri, signedBy: archive.signedBy };
}
