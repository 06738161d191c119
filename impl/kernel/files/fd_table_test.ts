// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EBADF, EMFILE } from "../../uapi/errno.ts";
import { FdTable } from "./fd_table.ts";
import { File } from "./file.ts";

/** A file that says when it was released. */
class TestFile extends File {
  released = false;
  protected override release(): void {
    this.released = true;
  }
}

describe("FdTable", () => {
  it("hands out the lowest free descriptor below the limit", () => {
    const table = new FdTable();
    for (let fd = 0; fd < 4; fd++) {
      assertEquals(table.install(new TestFile(), 4n), fd);
    }
    const file = new TestFile();
    assertEquals(assertThrows(() => table.install(file, 4n)), EMFILE);
    assertEquals(file.refs, 1, "the caller keeps the reference");
    table.close(1);
    assertEquals(table.install(file, 4n), 1);
  });

  it("reuses what was closed lowest first, in a fork too", () => {
    const table = new FdTable();
    for (let fd = 0; fd < 8; fd++) table.install(new TestFile(), 99n);
    for (const fd of [5, 2, 7, 3]) table.close(fd);
    const child = table.fork();
    for (const each of [table, child]) {
      const fds = [1, 2, 3, 4, 5].map(() => each.install(new TestFile(), 99n));
      assertEquals(fds, [2, 3, 5, 7, 8]);
    }
  });

  it("has no file at what is no open descriptor", () => {
    const table = new FdTable();
    table.install(new TestFile(), 1n);
    for (const fd of [1, -1, 0.5, NaN, 2 ** 40]) {
      assertEquals(assertThrows(() => table.lookup(fd)), EBADF, `${fd}`);
      assertEquals(assertThrows(() => table.close(fd)), EBADF, `${fd}`);
    }
    table.close(0);
    assertEquals(assertThrows(() => table.close(0)), EBADF);
  });

  it("lists the open descriptors, lowest first", () => {
    const table = new FdTable();
    const files = [new TestFile(), new TestFile(), new TestFile()];
    for (const file of files) table.install(file, 9n);
    table.close(1);
    assertEquals([...table], [[0, files[0]!], [2, files[2]!]]);
  });

  it("shares files with a fork, each side with references of its own", () => {
    const table = new FdTable();
    const file = new TestFile();
    table.install(file, 9n);
    const child = table.fork();
    table.closeAll();
    assertEquals(file.released, false);
    assertStrictEquals(child.lookup(0), file);
    child.closeAll();
    assertEquals(file.released, true);
  });
});
