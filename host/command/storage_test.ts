// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { afterEach, describe, it } from "@std/testing/bdd";
import { FileStorage } from "./storage.ts";

const SIZE = 2 ** 20;
const made: string[] = [];

/** A file of so many bytes. */
function fileOf(size: number): string {
  const path = Deno.makeTempFileSync();
  made.push(path);
  Deno.truncateSync(path, size);
  return path;
}

describe("a file behind a drive", () => {
  afterEach(() => {
    for (const path of made.splice(0)) Deno.removeSync(path);
  });

  it("has what is written, and what it had", () => {
    const path = fileOf(SIZE);
    const storage = new FileStorage(path);
    const bytes = Uint8Array.from({ length: 2 ** 18 }, (_, i) => 1 + i % 255);
    storage.write(512, bytes.length, (to) => to.set(bytes));
    storage.zero(1024, 2 ** 17);
    storage.flush();
    const wanted = new Uint8Array(SIZE);
    wanted.set(bytes, 512);
    wanted.fill(0, 1024, 1024 + 2 ** 17);
    assertEquals(Deno.readFileSync(path), wanted);
    assertEquals(storage.read(0, SIZE), wanted);
    assertEquals([storage.size, storage.isReadOnly], [SIZE, false]);
  });

  it("is not written where it is read-only", () => {
    const path = fileOf(SIZE);
    Deno.chmodSync(path, 0o400);
    const storage = new FileStorage(path, { isReadOnly: true });
    assertEquals([storage.isReadOnly, storage.read(0, 1)[0]], [true, 0]);
    assertThrows(() => storage.write(0, 512, () => {}));
  });

  it("fails where it became shorter", () => {
    const path = fileOf(SIZE);
    const storage = new FileStorage(path);
    Deno.truncateSync(path, 100);
    assertThrows(() => storage.read(0, 512), Error, "became shorter");
  });

  it("has whole blocks", () => {
    for (const size of [0, 100]) {
      assertThrows(
        () => new FileStorage(fileOf(size)),
        RangeError,
        `has ${size} bytes: a drive has whole blocks`,
      );
    }
  });
});
