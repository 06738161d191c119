// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Host } from "../lib/host.ts";
import { result } from "../reports/testing/sample_run.ts";
import { excerpt, TranscriptFolder } from "./transcript_folder.ts";

const FAILED = result("a.b.c", {
  status: "fail",
  transcript: { text: "# test a.b.c\n" },
});

/** A host that keeps files, or cannot. */
function fakeHost(
  broken = false,
): Pick<Host, "save" | "err"> & { files: Map<string, string>; errors: string } {
  const files = new Map<string, string>();
  return {
    files,
    errors: "",
    err(text) {
      this.errors += text;
    },
    save(path, text) {
      if (broken) throw new Error("read-only");
      files.set(path, text);
    },
  };
}

describe("TranscriptFolder", () => {
  it("saves a file for each test, by target and revision", () => {
    const host = fakeHost();
    const folder = new TranscriptFolder("calls", host);
    const saved = folder.save("stdio:../my adapter --x", FAILED);
    const path = "calls/stdio-..-my-adapter---x/6.12/a.b.c.txt";
    assertEquals(saved.transcript, { text: "# test a.b.c\n", path });
    assertEquals([...host.files], [[path, "# test a.b.c\n"]]);
  });

  it("keeps targets apart whose long names begin in the same way", () => {
    const host = fakeHost();
    const folder = new TranscriptFolder("calls", host);
    const long = `stdio:/home/user/${"deep/".repeat(20)}adapter --vary`;
    const paths = ["a", "b"].map((end) =>
      folder.save(`${long} ${end}`, FAILED).transcript?.path
    );
    assertEquals(new Set(paths), new Set(host.files.keys()));
    assertEquals(host.files.size, 2);
    const parts = paths.flatMap((path) => path!.split("/"));
    assertEquals(parts.filter((part) => part.length > 100), []);
  });

  it("keeps the calls of the first run that failed", () => {
    const host = fakeHost();
    const folder = new TranscriptFolder("calls", host);
    folder.save("impl:", FAILED);
    const again = folder.save("impl:", {
      ...FAILED,
      transcript: { text: "again\n" },
    });
    assertEquals(again.transcript, { text: "again\n" });
    assertEquals([...host.files.values()], ["# test a.b.c\n"]);
  });

  it("names the file that was played back, and saves no other", () => {
    const host = fakeHost();
    const saved = new TranscriptFolder("calls", host)
      .save("replay:calls/impl/6.12/a.b.c.txt", FAILED);
    assertEquals(saved.transcript?.path, "calls/impl/6.12/a.b.c.txt");
    assertEquals(host.files.size, 0);
  });

  it("saves nothing where that is not wanted", () => {
    const host = fakeHost();
    const { transcript } = new TranscriptFolder(undefined, host)
      .save("impl:", FAILED);
    assertEquals(transcript, { text: "# test a.b.c\n" });
    assertEquals(host.files.size, 0);
  });

  it("says once that it cannot save", () => {
    const host = fakeHost(true);
    const folder = new TranscriptFolder("calls", host);
    folder.save("impl:", FAILED);
    folder.save("impl:", { ...FAILED, id: "a.b.d" });
    assertEquals(
      host.errors,
      "The calls of failed tests are not saved: read-only\n",
    );
  });
});

describe("excerpt()", () => {
  it("leaves a short text as it is", () => {
    assertEquals(excerpt("a\nb\n"), "a\nb\n");
  });

  it("leaves out the middle of a long text and the ends of long lines", () => {
    const lines = Array.from({ length: 1000 }, (_, index) => `line ${index}`);
    lines[0] = "x".repeat(1000);
    const text = excerpt(lines.join("\n"));
    assertEquals(text.split("\n").length, 302);
    assertStringIncludes(
      text,
      `${"x".repeat(400)}… (1000 characters)\nline 1\n`,
    );
    assertStringIncludes(text, "\n# … 700 lines left out …\nline 760\n");
    assertStringIncludes(text, "line 999\n");
  });
});
