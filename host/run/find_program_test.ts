// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Sys } from "../sys/sys.ts";
import { findProgram } from "./find_program.ts";
import { CannotRun } from "./program.ts";

const sys = Sys.shared;

/** A folder with a script, a text, a folder, and a program for 32 bits. */
function withFolder(body: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/script`, "#!/bin/sh\n", { mode: 0o755 });
    Deno.writeTextFileSync(`${folder}/text`, "no program", { mode: 0o644 });
    Deno.mkdirSync(`${folder}/folder`);
    const elf = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0);
    Deno.writeFileSync(`${folder}/old`, elf, { mode: 0o755 });
    body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

describe("findProgram()", () => {
  it("takes a path as it is, from the folder it starts in", () => {
    withFolder((folder) => {
      const path = "";
      const here = { cwd: undefined, path };
      const script = `${folder}/script`;
      assertEquals(findProgram(sys, script, here), script);
      const there = { cwd: folder, path };
      assertEquals(findProgram(sys, "./script", there), "./script");
      assertThrows(() => findProgram(sys, "./script", here), CannotRun);
    });
  });

  it("looks for a name in the folders of PATH", () => {
    withFolder((folder) => {
      const place = { cwd: undefined, path: `/none:${folder}` };
      assertEquals(findProgram(sys, "script", place), `${folder}/script`);
      const inCwd = { cwd: folder, path: "/none:" };
      assertEquals(findProgram(sys, "script", inCwd), "./script");
    });
  });

  const refusals: [name: string, code: number, message: string][] = [
    ["none", 127, "There is no program none in PATH."],
    ["./none", 127, "There is no program ./none."],
    ["./script/x", 127, "There is no program ./script/x."],
    ["./text", 126, "./text is not executable."],
    ["text", 126, "./text is not executable."],
    ["./folder", 126, "./folder is a folder."],
    ["./old", 126, "./old is a program for 32 bits"],
  ];
  for (const [name, code, message] of refusals) {
    it(`refuses ${name} with ${code}: ${message}`, () => {
      withFolder((folder) => {
        const place = { cwd: folder, path: "." };
        const error = assertThrows(
          () => findProgram(sys, name, place),
          CannotRun,
          message,
        );
        assertEquals(error.code, code);
      });
    });
  }
});
