// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  CHARACTER_DEVICE,
  cpioArchive,
  type CpioEntry,
  DIRECTORY,
  PROGRAM,
} from "./cpio.ts";

const HEADER = 110;

/** Reads an archive as the kernel does: by what the headers say. */
function read(archive: Uint8Array): Required<CpioEntry>[] {
  const text = new TextDecoder("latin1").decode(archive);
  const entries: Required<CpioEntry>[] = [];
  let at = 0;
  function align(): void {
    at = Math.ceil(at / 4) * 4;
  }
  for (;;) {
    assertEquals(text.slice(at, at + 6), "070701");
    const field = (index: number) =>
      parseInt(text.slice(at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const [mode, size, major, minor, nameSize] = [
      field(1),
      field(6),
      field(9),
      field(10),
      field(11),
    ] as const;
    const path = text.slice(at + HEADER, at + HEADER + nameSize - 1);
    assertEquals(text.charCodeAt(at + HEADER + nameSize - 1), 0);
    at += HEADER + nameSize;
    align();
    const data = archive.slice(at, at + size);
    at += size;
    align();
    if (path === "TRAILER!!!") break;
    entries.push({ path, mode, data, device: [major, minor] });
  }
  assertEquals(at, archive.length);
  return entries;
}

describe("cpio archives", () => {
  it("hold what was put in, whatever its length", () => {
    const none = new Uint8Array(0);
    for (let length = 0; length < 9; length++) {
      const data = Uint8Array.from({ length }, (_, index) => index + 1);
      const path = "i".repeat(length + 1);
      const entries = [
        { path: "dev", mode: DIRECTORY },
        {
          path: "dev/console",
          mode: CHARACTER_DEVICE,
          device: [5, 1] as const,
        },
        { path, mode: PROGRAM, data },
      ];
      assertEquals(read(cpioArchive(entries)), [
        { path: "dev", mode: DIRECTORY, data: none, device: [0, 0] },
        {
          path: "dev/console",
          mode: CHARACTER_DEVICE,
          data: none,
          device: [5, 1],
        },
        { path, mode: PROGRAM, data, device: [0, 0] },
      ]);
    }
  });

  it("are the same for the same entries", () => {
    const entries = [{ path: "init", mode: PROGRAM, data: new Uint8Array(5) }];
    assertEquals(cpioArchive(entries), cpioArchive(entries));
  });
});
