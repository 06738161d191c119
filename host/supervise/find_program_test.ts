// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { cannotRun } from "../testing/real_programs.ts";
import { Sys } from "../sys/sys.ts";
import { findProgram, ProgramError } from "./find_program.ts";

const sys = cannotRun ? undefined! : Sys.shared;

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

describe("findProgram()", { skip: cannotRun }, () => {
  it("takes a path as it is, from the folder it starts in", () => {
    withFolder((folder) => {
      const path = "";
      const here = { cwd: undefined, path };
      const script = `${folder}/script`;
      assertEquals(findProgram(sys, script, here), script);
      const there = { cwd: folder, path };
      assertEquals(findProgram(sys, "./script", there), "./script");
      assertThrows(() => findProgram(sys, "./script", here), ProgramError);
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

  const refusals: [name: string, errno: number, message: string][] = [
    ["none", 2, "There is no program none in PATH."],
    ["./none", 2, "There is no program ./none."],
    ["./script/x", 2, "There is no program ./script/x."],
    ["./text", 13, "./text is not executable."],
    ["text", 13, "./text is not executable."],
    ["./folder", 21, "./folder is a folder."],
    ["./old", 8, "./old is no program for this machine, or one for 32 bits."],
  ];
  for (const [name, errno, message] of refusals) {
    it(`refuses ${name}: ${message}`, () => {
      withFolder((folder) => {
        const place = { cwd: folder, path: "." };
        const error = assertThrows(
          () => findProgram(sys, name, place),
          ProgramError,
          message,
        );
        assertEquals(error.errno, errno);
      });
    });
  }
});
