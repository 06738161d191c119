// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { stripAnsiCode } from "@std/fmt/colors";
import { NEWEST, REVISION_NAMES, type RevisionName } from "@iommufd/kit";
import { demo } from "./demo.ts";

function linesOf(revision: RevisionName): string[] {
  const lines: string[] = [];
  demo(revision, (line) => lines.push(stripAnsiCode(line)));
  return lines;
}

function run(...args: string[]): Deno.CommandOutput {
  const script = new URL("./demo.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), { args: ["run", script, ...args] })
    .outputSync();
}

for (const revision of REVISION_NAMES) {
  Deno.test(`the demo plays to its end in 100 columns [${revision}]`, () => {
    const lines = linesOf(revision);
    assertEquals(lines.filter((line) => line.length > 100), []);
    const text = lines.join("\n");
    assertStringIncludes(text, "9. The process exits");
    assertStringIncludes(text, "What is left over: nothing.");
  });
}

Deno.test("the demo marks what a step changed, and only that", () => {
  const step = linesOf(NEWEST).join("\n").split(/^\d\. /m)[5]!;
  const marked = step.split("\n").filter((line) => line.startsWith(">"));
  assertEquals(marked.map((line) => line.slice(1).trim()), [
    "context 1 (process 1 fd 3): 9 objects, pinned memory is charged to the user",
    "1  IOAS          3  1 area, HWPT 4, 1 access",
    "9  access        2  IOAS 1, needs IOVA aligned to 4 KiB",
    "IOAS 1: IOVA is aligned to 4 KiB, large IO pages are on",
    "0x0000000001000000  |##|      64 KiB  rw    P1 0-15  HWPT 4          1",
    "0-3      1  pinned_pfns  2-5",
    "4-15     1  HWPT 4       6-17",
  ]);
});

Deno.test("the demo prints no colours into a pipe", () => {
  const { code, stdout } = run("v3");
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0);
  assertEquals(text, stripAnsiCode(text));
  assertStringIncludes(text, "iommufd v3: 1 context");
});

Deno.test("the demo refuses a revision that is not there", () => {
  const { code, stderr } = run("7.0");
  assertEquals(code, 2);
  assertStringIncludes(
    new TextDecoder().decode(stderr),
    `The demo takes one argument, the revision: ${REVISION_NAMES.join(" or ")}`,
  );
});
