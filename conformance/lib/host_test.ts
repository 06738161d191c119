// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import { denoHost } from "./host.ts";

const host = denoHost();
let folder: string;

function read(name: string): string {
  return Deno.readTextFileSync(`${folder}/${name}`);
}

function write(name: string, text: string): string {
  const path = `${folder}/${name}`;
  Deno.writeTextFileSync(path, text);
  return path;
}

function names(): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

describe("denoHost()", () => {
  before(() => folder = Deno.makeTempDirSync());
  after(() => Deno.removeSync(folder, { recursive: true }));

  it("leaves a file alone that it is to write, and then replaces it", () => {
    const path = write("old", "old and longer");
    const replace = host.prepare(path);
    assertEquals(read("old"), "old and longer");
    const before = Deno.statSync(path).ino;
    replace("new");
    assertEquals([read("old"), names()], ["new", ["old"]]);
    // It is another file: nobody saw a part of it.
    assertEquals(Deno.statSync(path).ino === before, false);
  });

  it("makes a file that is not there only when there is a text for it", () => {
    const replace = host.prepare(`${folder}/fresh`);
    assertEquals(names(), ["old"]);
    replace("text");
    assertEquals([read("fresh"), names()], ["text", ["fresh", "old"]]);
  });

  it("writes through a link and into a device, and leaves them what they are", () => {
    const path = `${folder}/link`;
    Deno.symlinkSync(`${folder}/old`, path);
    const replace = host.prepare(path);
    assertEquals(read("old"), "new");
    replace("through");
    assertEquals(read("old"), "through");
    assertEquals(Deno.lstatSync(path).isSymlink, true);
    host.prepare("/dev/null")("gone");
    assertEquals(Deno.lstatSync("/dev/null").isFile, false);
  });

  it("throws for a file that cannot be written, before it is written", () => {
    for (const path of [`${folder}/none/x`, folder]) {
      assertThrows(() => host.prepare(path)("x"));
    }
    assertThrows(() => host.prepare(`${folder}/none/x`));
  });

  it("reads files, the mark at their beginning included, and not for ever", () => {
    write("bom", "\ufeff[]\r\n");
    assertEquals(host.readText(`${folder}/bom`), "\ufeff[]\r\n");
    assertEquals(host.readText(`${folder}/nothing`), undefined);
    assertThrows(() => host.readText("/dev/zero"), Error, "more than");
  });

  it("saves files in folders that are not there", () => {
    host.save(`${folder}/a/b/c`, "text");
    assertEquals(read("a/b/c"), "text");
  });
});
